"""The sound track that a job hears: find it, list its chunks with their places, and store what was found.

All code that changes its row holds the lock on it, which comes after the lock on a job. Places are stored
under the lock on the job that found them. That is enough, because only one job of a recording runs at a time.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from uuid import UUID

from django.conf import settings

from jobs_app.models import PlacedChunk, SoundTrack, Waveform
from jobs_app.recordings import Recording
from speech.sound.tracks.wish import AUTO, TrackWish

USUAL_CHUNK_S = 30
"""A missing chunk has this length if nothing else tells its length."""
LONGEST_TOLD_S = 600
"""A chunk that was not decoded counts as at most this long, whatever its sender says.

Chunks that are sent during a recording are hardly longer.
"""


def sound_of(session: Recording, wish: TrackWish, duration_ms: int | None = None) -> SoundTrack:
    """Return the sound of `session` for jobs that hear these audio tracks. It is created if there is none.

    If all files have one track, all jobs hear the same sound. `duration_ms` is the length in the header, for
    a new sound.
    """
    sounds = SoundTrack.objects.filter(session=session.pk)
    if not session.may_have_several_tracks() and (only := sounds.order_by("pk").first()):
        return only
    sound, _ = SoundTrack.objects.get_or_create(
        session_id=session.pk,
        audio_track=wish.track,
        language=wish.language if wish.track == AUTO else "",
        defaults={"duration_ms": duration_ms},
    )
    return sound


def wish_of(sound: SoundTrack) -> TrackWish:
    """Return the wish for audio tracks that this sound fulfils."""
    return TrackWish(track=sound.audio_track, language=sound.language, most=settings.MAX_AUDIO_TRACKS)


def pieces_of(sound: SoundTrack) -> list[PlacedChunk]:
    """Return the chunks of the recording in order. Each has its place on the timeline, or none yet."""
    placed = {place.chunk_id: place for place in sound.places.all()}
    pieces = []
    for chunk in sound.session.chunks_in_order():
        piece = placed.get(chunk.pk) or PlacedChunk(sound=sound)
        piece.sound, piece.chunk = sound, chunk
        pieces.append(piece)
    return pieces


def store_places(sound: SoundTrack, places: Mapping[UUID, tuple[int | None, int | None]]) -> None:
    """Store (start_sample, sample_count) of chunks by their ids.

    Chunks that were removed meanwhile are skipped.
    """
    there = sound.session.chunk_ids() & places.keys()
    PlacedChunk.objects.bulk_create(
        [
            PlacedChunk(sound=sound, chunk_id=pk, start_sample=places[pk][0], sample_count=places[pk][1])
            for pk in there
        ],
        update_conflicts=True,
        unique_fields=["sound", "chunk"],
        update_fields=["start_sample", "sample_count"],
    )


def store_peaks(sound: SoundTrack, peaks: bytes) -> None:
    Waveform.objects.update_or_create(sound=sound, defaults={"peaks": peaks})


def usual_ms(told_ms: Iterable[int | None]) -> int:
    """Return how long a missing chunk may have been, by the lengths that headers and senders give for the
    others.
    """
    told = [min(ms, LONGEST_TOLD_S * 1000) for ms in told_ms if ms]
    return statistics.median_low(told) if told else USUAL_CHUNK_S * 1000
