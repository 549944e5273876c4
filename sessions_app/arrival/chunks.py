"""Store a recording chunk by chunk.

As with uploads, the audio is on disk before there are rows. A lock on the session's row ensures that no chunk
is stored while the recording ends. So every chunk that was accepted is part of the recording.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Sum

from jobs_app.lifecycle.sound_tracks import usual_ms
from jobs_app.lifecycle.starting import audio_arrived
from jobs_app.recordings import STREAM_CONTAINERS
from jobs_app.storage import loose_files, working_copies
from sessions_app.arrival.intake import clean_filename, store_audio
from sessions_app.arrival.pieces import cover
from sessions_app.arrival.probing import probe
from sessions_app.arrival.refusals import (
    ChecksumMismatch,
    ChunkConflict,
    ChunkNeeded,
    ChunkTooLarge,
    NumberTooHigh,
    SessionFinished,
    SessionGone,
    TooManyRecordings,
)
from sessions_app.arrival.upload_handler import HashedUpload
from sessions_app.models import AudioChunk, LiveSender, RecordingSession
from speech.errors import AudioTooLong, SpeechError
from speech.files.frames import LONGEST_LOOK
from speech.files.recorded_stream import is_continuation
from speech.probing.signatures import is_foreign
from speech.sound.tracks.wish import check_track_number
from speech.types import MediaInfo

if TYPE_CHECKING:
    from people_app.models import User


def check_open_recordings(owner: User) -> None:
    """Check that the person may begin another recording. Call this in the transaction that begins it.

    Raises:
        TooManyRecordings: the person has too many unfinished recordings.
    """
    # This lock makes requests that begin recordings at the same time count one after the other.
    get_user_model().objects.select_for_update(no_key=True).get(pk=owner.pk)
    if RecordingSession.objects.filter(owner=owner, finished_at=None).count() >= settings.MAX_OPEN_RECORDINGS:
        raise TooManyRecordings


def store_chunk(
    session: RecordingSession,
    upload: HashedUpload,
    *,
    number: int,
    claimed_ms: int | None = None,
    sha256: str = "",
) -> tuple[AudioChunk, bool]:
    """Store a chunk of a recording. Return the chunk, and whether it is new or was stored before.

    `claimed_ms` is the length that the sender gives; `sha256` is the hash that the content must have. Both
    may be left out.

    Raises:
        Refusal: the upload was cut off, or does not fit the chunks that are stored.
        UnsupportedMedia, UnreadableAudio, NoAudio, NoSuchTrack: the chunk's header says so.
        AudioTooLong: with this chunk, the recording is longer than allowed.
        NumberTooHigh: with the chunks that are missing before this one, the recording would be longer than
            allowed.
    """
    if upload.refused is not None:
        raise upload.refused
    if sha256 and sha256.lower() != upload.sha256:
        raise ChecksumMismatch("chunk", "SHA-256")
    if earlier := _stored_before(session, number, upload):
        return earlier, False
    if session.finished_at is not None:
        raise SessionFinished
    if upload.size > settings.MAX_CHUNK_BYTES:
        raise ChunkTooLarge
    info, continues = _look(session, number, upload)
    check_has_track(session, info.audio_streams)
    _check_length(session, info.duration_ms or 0)
    if not continues:
        _check_gap(session, number, info.duration_ms or claimed_ms)
    return keep_chunk(session, upload, info, number=number, continues=continues, claimed_ms=claimed_ms)


def keep_chunk(
    session: RecordingSession,
    upload: HashedUpload,
    info: MediaInfo,
    *,
    number: int,
    continues: bool = False,
    claimed_ms: int | None = None,
) -> tuple[AudioChunk, bool]:
    """Store a chunk whose header was checked. Return the chunk, and whether it is new.

    Raises:
        StorageFull, SessionGone, SessionFinished: it cannot be stored.
        ChunkConflict: another chunk has this number.
    """
    stored = store_audio(session.pk, number, upload, info)
    chunk = AudioChunk(
        session=session,
        number=number,
        file=stored,
        filename=clean_filename(upload.name or ""),
        container=info.container,
        codec=info.codec,
        audio_tracks=info.audio_streams,
        continues=continues,
        claimed_ms=claimed_ms,
        duration_ms=info.duration_ms,
        size_bytes=upload.size,
        sha256=upload.sha256,
    )
    earlier = None
    committed = False
    try:
        with transaction.atomic():
            earlier = _add(chunk, upload)
        committed = earlier is None
    finally:
        if not committed:
            loose_files.remove_unless_adopted(stored)
    return earlier or chunk, committed


def _add(chunk: AudioChunk, upload: HashedUpload) -> AudioChunk | None:
    """Save `chunk` in the caller's transaction. If the same chunk was stored meanwhile, return that one."""
    session = chunk.session.lock()
    if session is None:
        raise SessionGone
    if earlier := _stored_before(session, chunk.number, upload):
        return earlier
    if session.finished_at is not None:
        raise SessionFinished
    chunk.save(force_insert=True)
    loose_files.adopt(str(chunk.file))
    chunk.refresh_from_db(fields=["received_at"])
    cover(session)
    audio_arrived(session)
    return None


def _stored_before(session: RecordingSession, number: int, upload: HashedUpload) -> AudioChunk | None:
    chunk = session.chunks.filter(number=number).first()
    if chunk is not None and (chunk.sha256, chunk.size_bytes) != (upload.sha256, upload.size):
        raise ChunkConflict
    return chunk


def _look(session: RecordingSession, number: int, upload: HashedUpload) -> tuple[MediaInfo, bool]:
    """Return what the chunk's header says; and True if it has no header, but continues an earlier stream.

    A piece of a stream may come before the piece with the header. A worker finds out whether they belong
    together.
    """
    path = Path(upload.temporary_file_path())
    with path.open("rb") as file:
        head = file.read(LONGEST_LOOK)
    if not number or is_foreign(head) or not is_continuation(head):
        return probe(path), False
    whole = session.chunks.filter(number__lt=number, continues=False).order_by("-number")
    begun = whole.values_list("container", "audio_tracks").first()
    container, tracks = begun or (None, 0)
    piece = MediaInfo(container or "", "", tracks, 0, 0, 0)
    # This is checked before the probe, because bytes in a stream can look like the start of another file.
    if container in STREAM_CONTAINERS:
        return piece, True
    try:
        return probe(path), False
    except SpeechError:
        if container is None:
            return piece, True
        raise


def check_has_track(session: RecordingSession, n_tracks: int) -> None:
    """Check that audio with so many tracks has the one that the job asks for, without which it could not be
    heard. 0: how many it has is not known.

    Raises:
        NoSuchTrack: the audio does not have this track.
    """
    job = session.jobs.active().first()
    if job is not None and n_tracks:
        check_track_number(job.short_options.audio_track, n_tracks)


def _check_length(session: RecordingSession, more_ms: int) -> None:
    """Check the length of the recording with `more_ms` added.

    This only stops recordings that are much too long; workers measure exactly. It counts lengths from headers
    and those that workers measured, but not those that senders give, because their clocks may be wrong.

    Raises:
        AudioTooLong: the recording would be longer than allowed.
    """
    known = session.chunks.with_length().aggregate(ms=Sum("length_ms"))
    if (known["ms"] or 0) + more_ms > settings.MAX_AUDIO_S * 1000:
        raise AudioTooLong


def _check_gap(session: RecordingSession, number: int, length_ms: int | None) -> None:
    """Check that there is room for the chunks that are missing before this one.

    Raises:
        NumberTooHigh: with them, the recording would be longer than allowed.
    """
    before = session.chunks.filter(number__lt=number)
    missing = number - before.count()
    if not missing:
        return
    # The stubs do not know the column that with_length() adds.
    told = session.chunks.with_length().order_by().values_list("length_ms", "claimed_ms")  # type: ignore[misc]
    # The worker gives this length to each missing chunk.
    usual = usual_ms([length_ms, *(known_ms or claimed_ms for known_ms, claimed_ms in told)])
    known_ms = before.with_length().aggregate(ms=Sum("length_ms"))["ms"] or 0
    if known_ms + missing * usual + (length_ms or 0) > settings.MAX_AUDIO_S * 1000:
        raise NumberTooHigh(number, missing)


def missing_below(end: int, numbers: Iterable[int]) -> list[int]:
    """Return the numbers from 0 to `end` - 1 that are not in `numbers`."""
    return sorted(set(range(end)).difference(numbers))


def delete_chunk(session: RecordingSession, number: int) -> None:
    """Remove a chunk of a recording that goes on. If there is no such chunk, this is no error.

    If the chunk had a place on the timeline, the place becomes a gap, so that nothing shifts. The next
    preparation plans the windows around it again, and so removes its text. Another chunk may be sent under
    the same number.

    Raises:
        SessionFinished, SessionGone: the recording is finished or deleted.
        ChunkNeeded: the chunk has the header of the pieces after it, or a socket counts from its end.
    """
    with transaction.atomic():
        locked = session.lock()
        if locked is None:
            raise SessionGone
        if locked.finished_at is not None:
            raise SessionFinished
        chunk = locked.chunks.filter(number=number).first()
        if chunk is None:
            return
        after = locked.chunks.filter(number__gt=number).order_by("number").first()
        if not chunk.continues and after is not None and after.continues:
            raise ChunkNeeded
        if LiveSender.objects.filter(session=locked).exists():
            raise ChunkNeeded(
                "This recording comes by a socket, which counts its samples from the chunks that are here. "
                "Leave this one, or remove the whole recording."
            )
        name, chunk_id = str(chunk.file), chunk.pk
        # This locks the job. A worker takes the same lock before it gives a chunk its place.
        audio_arrived(locked)
        loose_files.doom([name])
        chunk.delete()
        transaction.on_commit(lambda: working_copies.forget([chunk_id]), robust=True)
