"""The audio that came by a socket and is in no chunk yet: how far it reaches, and what a chunk replaces.

Positions are in samples of the recording at 16 kHz. A chunk begins where the chunk before it ends, by the
lengths in their headers.
"""

from __future__ import annotations

import io
import itertools
import uuid
import wave
from dataclasses import dataclass

from django.conf import settings
from django.db.models.functions import Length

from sessions_app.models import AudioChunk, LivePiece, RecordingSession
from sessions_app.models.live import SAMPLE_BYTES
from speech.types import SAMPLE_RATE, ms_to_samples, samples_to_ms

CUTS_AHEAD = 5
"""A client is told so many cuts that are still to come."""


def chunk_ms(number: int) -> int:
    """Return the length of this chunk of a recording that comes by a socket."""
    cuts = settings.RECORDER_CUTS_S
    return int(cuts[min(number, len(cuts) - 1)] * 1000)


@dataclass(frozen=True)
class Reach:
    """How far a recording has come without a hole.

    `ends` has the end of each chunk from number 0 on, up to the first that is missing. `end` is where the
    pieces after them end. `n_chunks` counts all chunks, those after a missing one too.
    """

    ends: tuple[int, ...]
    end: int
    n_chunks: int

    @property
    def saved(self) -> int:
        """Where the last of these chunks ends."""
        return self.ends[-1] if self.ends else 0

    @property
    def saved_ms(self) -> int:
        return samples_to_ms(self.saved)

    @property
    def received_ms(self) -> int:
        return samples_to_ms(self.end)

    @property
    def next_cut(self) -> int:
        """Where the chunk ends that the pieces fill."""
        return self.saved + ms_to_samples(chunk_ms(len(self.ends)))

    def cuts_ms(self) -> list[int]:
        """Return where chunks end: those that are here, and the next ones."""
        n = len(self.ends)
        ahead = itertools.accumulate(map(chunk_ms, range(n, n + CUTS_AHEAD)), initial=self.saved_ms)
        return [*map(samples_to_ms, self.ends), *itertools.islice(ahead, 1, None)]


def reach_of(session_id: uuid.UUID) -> Reach:
    """Return how far a recording has come. This takes two queries."""
    ends, n_chunks = _ends(session_id)
    end = ends[-1] if ends else 0
    pieces = LivePiece.objects.of(session_id).order_by("first_sample")
    for first, size in pieces.values_list("first_sample", Length("pcm")):
        if first > end:
            break
        end = max(end, first + size // SAMPLE_BYTES)
    return Reach(tuple(ends), end, n_chunks)


def _ends(session_id: uuid.UUID) -> tuple[list[int], int]:
    """Return where the chunks end, up to the first that is missing, and the number of all chunks."""
    columns = ("number", "container", "size_bytes", "duration_ms", "claimed_ms")
    chunks = list(AudioChunk.objects.filter(session=session_id).order_by("number").only(*columns))
    ends: list[int] = []
    end = 0
    for chunk in chunks:
        if chunk.number != len(ends):
            break
        told = chunk.told_samples
        end += ms_to_samples(chunk.claimed_ms or 0) if told is None else told
        ends.append(end)
    return ends, len(chunks)


def cover(session: RecordingSession) -> None:
    """Remove what the chunks hold by now from the pieces. The piece that crosses their end is cut there.

    The caller holds the lock on the session, and has stored a chunk.
    """
    pieces = LivePiece.objects.of(session.pk)
    if not pieces.exists():
        return
    ends, _ = _ends(session.pk)
    held = pieces.filter(first_sample__lt=ends[-1] if ends else 0)
    # Pieces do not overlap, so only the last of these can cross the end.
    last = held.order_by("-first_sample").first()
    if last is None:
        return
    held.delete()
    if rest := bytes(last.pcm)[(ends[-1] - last.first_sample) * SAMPLE_BYTES :]:
        LivePiece.objects.create(session=session, first_sample=ends[-1], pcm=rest)


def wav_of(pcm: bytes) -> bytes:
    """Return a WAV file, byte for byte as the recorder page makes it of the same samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(SAMPLE_BYTES)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(pcm)
    return file.getvalue()
