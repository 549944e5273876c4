"""The audio that came by a socket and is in no chunk yet: how far it reaches, and what a chunk replaces.

Positions are in samples of the recording at 16 kHz. A chunk begins where the chunk before it ends, by the
lengths in their headers.
"""

from __future__ import annotations

import io
import itertools
import uuid
import wave
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db.models.functions import Length

from sessions_app.models import AudioChunk, LivePiece, RecordingSession
from sessions_app.models.recordings import SAMPLES_PER_MS
from speech.types import SAMPLE_RATE

SAMPLE_BYTES = 2
CUTS_AHEAD = 5
"""A client is told so many cuts that are still to come."""


def chunk_ms(number: int) -> int:
    """Return the length of this chunk of a recording that comes by a socket."""
    cuts = settings.RECORDER_CUTS_S
    return int(cuts[min(number, len(cuts) - 1)] * 1000)


@dataclass(frozen=True)
class Reach:
    """How far a recording has come without a hole.

    `ends_ms` has the end of each chunk from number 0 on, up to the first that is missing. `end` is where the
    pieces after them end. `n_chunks` counts all chunks, those after a missing one too.
    """

    ends_ms: tuple[int, ...]
    end: int
    n_chunks: int

    @property
    def saved_ms(self) -> int:
        """Where the last of these chunks ends."""
        return self.ends_ms[-1] if self.ends_ms else 0

    @property
    def received_ms(self) -> int:
        return self.end // SAMPLES_PER_MS

    @property
    def next_cut(self) -> int:
        """Where the chunk ends that the pieces fill, in samples."""
        return (self.saved_ms + chunk_ms(len(self.ends_ms))) * SAMPLES_PER_MS

    def cuts_ms(self) -> list[int]:
        """Return where chunks end: those that are here, and the next ones."""
        n = len(self.ends_ms)
        ahead = itertools.accumulate(map(chunk_ms, range(n, n + CUTS_AHEAD)), initial=self.saved_ms)
        return [*self.ends_ms, *itertools.islice(ahead, 1, None)]


def reach_of(session_id: uuid.UUID) -> Reach:
    """Return how far a recording has come. This takes two queries."""
    chunks = AudioChunk.objects.filter(session=session_id).order_by("number")
    lengths = list(chunks.values_list("number", "duration_ms", "claimed_ms"))
    ends_ms: list[int] = []
    for number, header_ms, claimed_ms in lengths:
        if number != len(ends_ms):
            break
        ends_ms.append((ends_ms[-1] if ends_ms else 0) + (header_ms or claimed_ms or 0))
    end = (ends_ms[-1] if ends_ms else 0) * SAMPLES_PER_MS
    pieces = LivePiece.objects.filter(session=session_id).order_by("first_sample")
    for first, size in pieces.values_list("first_sample", Length("pcm")):
        if first > end:
            break
        end = max(end, first + size // SAMPLE_BYTES)
    return Reach(tuple(ends_ms), end, len(lengths))


def cover(session: RecordingSession) -> None:
    """Remove what the chunks hold by now from the pieces. A piece that crosses their end is cut there.

    The caller holds the lock on the session, and has stored a chunk.
    """
    pieces = session.live_pieces.order_by("first_sample")
    if not pieces.exists():
        return
    saved = reach_of(session.pk).saved_ms * SAMPLES_PER_MS
    for piece in pieces.filter(first_sample__lt=saved):
        rest = bytes(piece.pcm)[(saved - piece.first_sample) * SAMPLE_BYTES :]
        piece.delete()
        if rest:
            LivePiece.objects.create(session=session, first_sample=saved, pcm=rest)


def pcm_of(session: RecordingSession, start: int, end: int) -> bytes:
    """Return the samples of the pieces in `[start, end)`."""

    def parts() -> Iterator[bytes]:
        at = start
        pieces = session.live_pieces.filter(first_sample__lt=end).order_by("first_sample")
        for piece in pieces.iterator():
            skipped = max(at - piece.first_sample, 0) * SAMPLE_BYTES
            part = bytes(piece.pcm)[skipped : (end - piece.first_sample) * SAMPLE_BYTES]
            at = max(at, piece.first_sample) + len(part) // SAMPLE_BYTES
            yield part

    return b"".join(parts())


def wav_of(pcm: bytes) -> bytes:
    """Return a WAV file, byte for byte as the recorder page makes it of the same samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(SAMPLE_BYTES)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(pcm)
    return file.getvalue()
