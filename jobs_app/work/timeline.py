"""The audio of a session as one timeline: its chunks one after another, read from their working copies.

A working copy is a cache on the worker's machine. It can be deleted at any time, and is made again when it is
needed.
"""

from __future__ import annotations

import fcntl
import logging
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile

from jobs_app.models import PlacedChunk
from jobs_app.recordings import STREAM_CONTAINERS, UPLOAD, Chunk
from jobs_app.storage import loose_files
from jobs_app.storage.durable import sync_stored
from jobs_app.storage.working_copies import lock_file, working_copy_path
from speech.errors import SpeechError, UnreadableAudio
from speech.files.recorded_stream import RecordedStream
from speech.samples import Samples
from speech.sound.peaks import PeakMeter
from speech.sound.tracks.wish import AUTO, TrackWish
from speech.sound.working_copy import Block, new_flac, read_range, write_working_copy
from speech.speakers import Speakers, people_on_channels
from speech.types import DecodeReport, ms_to_samples
from speech.windows.planner import BLOCK_MS


class AudioMissing(SpeechError):
    code = "audio_missing"
    permanent = True
    message = "The stored audio of this recording is no longer there. Upload it again."


logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.2
FULL_SCALE = 32768


def copy_of(chunk: Chunk, wish: TrackWish) -> Path:
    """Return the path of the working copy of a chunk.

    A file with several tracks has one copy for each wish.
    """
    if chunk.audio_tracks == 1 or wish == TrackWish(most=wish.most):
        return working_copy_path(chunk.pk)
    language = wish.language if wish.track == AUTO else ""
    return working_copy_path(chunk.pk, f"{wish.track}{language}")


class Timeline:
    """The chunks that have a place, with silence for those that are missing or cannot be read.

    `unreadable` has the numbers of the chunks that cannot be read. If a working copy is lost, reading makes
    it again.
    """

    def __init__(
        self, pieces: Sequence[PlacedChunk], *, unreadable: Container[int] = (), wish: TrackWish | None = None
    ) -> None:
        self._pieces = pieces
        self._wish = wish or TrackWish()
        self._placed = [
            (p.start_sample, p)
            for p in pieces
            if p.start_sample is not None and p.sample_count != 0 and p.chunk.number not in unreadable
        ]

    def read(self, start_ms: int, end_ms: int, *, on_progress: Callable[[], None] | None = None) -> Samples:
        """Return the samples of `[start_ms, end_ms)`.

        `on_progress` is called from time to time while a working copy is made again. An exception that it
        raises stops that.
        """
        first, end = ms_to_samples(start_ms), ms_to_samples(end_ms)
        samples = np.zeros(end - first, dtype=np.float32)
        for start, piece in self._placed:
            begins = max(first, start)
            ends = end
            if piece.sample_count is not None:
                ends = min(end, start + piece.sample_count)
            if begins < ends:
                part = self._read(piece, begins - start, ends - start, on_progress)
                samples[begins - first :][: len(part)] = part
        return samples

    def people_on_channels(self, on_progress: Callable[[], None]) -> Speakers | None:
        """Return who speaks when, if all the sound is one file with a person on each channel or track.

        `on_progress` is called from time to time. If the file is gone, the answer is None as well.
        """
        if len(self._pieces) != 1 or len(self._placed) != 1:
            return None
        try:
            with _local_file(self._pieces[0].chunk.file) as path:
                return people_on_channels(
                    path, max_duration_s=settings.MAX_AUDIO_S, wish=self._wish, on_progress=on_progress
                )
        except (SpeechError, OSError):
            logger.exception("%s: its channels could not be looked at", self._pieces[0].chunk)
            return None

    def _read(
        self, piece: PlacedChunk, first: int, end: int, on_progress: Callable[[], None] | None
    ) -> Samples:
        copy = copy_of(piece.chunk, self._wish)
        # The copy is only a cache. Somebody may have deleted it, or a disk may have damaged it.
        with suppress(FileNotFoundError, UnreadableAudio):
            return read_range(copy, first, end)
        with lock_file(copy).open("w") as lock:
            while not _locked(lock):
                # Another worker decodes the chunk. If all workers decoded it at once, each would take that
                # long again.
                if on_progress is not None:
                    on_progress()
                time.sleep(LOOK_AGAIN_S)
                with suppress(FileNotFoundError, UnreadableAudio):
                    return read_range(copy, first, end)
            with suppress(FileNotFoundError, UnreadableAudio):
                return read_range(copy, first, end)
            prepare_chunk(
                piece,
                self._pieces,
                wish=self._wish,
                max_duration_s=settings.MAX_AUDIO_S,
                on_progress=None if on_progress is None else lambda *_: on_progress(),
            )
            return read_range(copy, first, end)


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def prepare_chunk(
    piece: PlacedChunk,
    pieces: Sequence[PlacedChunk],
    *,
    wish: TrackWish,
    max_duration_s: int,
    on_progress: Callable[[int, int | None], None] | None = None,
    on_block: Callable[[Block, int], None] | None = None,
) -> DecodeReport:
    """Decode a chunk into its working copy, as `write_working_copy` does.

    `pieces` are all chunks of its session.

    Raises:
        SpeechError: the chunk cannot be decoded, or is longer than `max_duration_s`.
    """
    stream = stream_of(piece, pieces)
    session = piece.sound.session
    # The chunk is a whole file, either an upload or a file that came through OpenAI's API.
    is_whole = session.source == UPLOAD or (len(pieces) == 1 and session.finished_at is not None)
    # A piece of a stream may begin with the end of a packet, and end in the middle of one.
    streamed = not is_whole and stream[0] is not None and stream[0].chunk.container in STREAM_CONTAINERS
    with ExitStack() as files:
        paths = [
            files.enter_context(_local_file(part.chunk.file)) if part is not None else None for part in stream
        ]
        alone = paths[0] if len(paths) == 1 else None
        return write_working_copy(
            alone or files.enter_context(RecordedStream(paths)),
            copy_of(piece.chunk, wish),
            wish=wish,
            start_sample=sum(p.sample_count or 0 for p in stream[:-1] if p) if streamed else None,
            max_duration_s=max_duration_s,
            on_progress=on_progress,
            on_block=on_block,
        )


def stream_of(last: PlacedChunk, pieces: Iterable[PlacedChunk]) -> list[PlacedChunk | None]:
    """Return the pieces that are needed to decode `last`, including itself; None stands for a missing piece.

    The first of them is the last piece before `last` that has a header. If there is none, `last` stands
    alone.
    """
    stream: list[PlacedChunk | None] = []
    next_number = 0
    for piece in pieces:
        if piece.chunk.number > last.chunk.number:
            break
        if stream and piece.chunk.continues:
            stream += [None] * (piece.chunk.number - next_number)
        else:
            stream.clear()
        stream.append(piece)
        next_number = piece.chunk.number + 1
    return stream


@dataclass(frozen=True, slots=True)
class JoinedFile:
    """The name and size of a recording stored as one file, and its `peaks` as `speech.sound.peaks` gives
    them.
    """

    name: str
    size_bytes: int
    peaks: bytes


def store_joined(
    sound: Timeline, duration_ms: int, folder: str, *, on_progress: Callable[[int], None]
) -> JoinedFile:
    """Store the first `duration_ms` as one FLAC file beside the chunks.

    The file is announced as loose. The code that stores a row with its name must adopt it.
    """
    meter = PeakMeter()
    with tempfile.TemporaryDirectory(dir=settings.WORK_DIR) as work_folder:
        path = Path(work_folder) / "joined.flac"
        with new_flac(path) as write:
            for start_ms in range(0, duration_ms, BLOCK_MS):
                end_ms = min(start_ms + BLOCK_MS, duration_ms)
                samples = sound.read(start_ms, end_ms, on_progress=lambda: on_progress(0))
                # The samples are converted back to those of the working copies.
                block = np.rint(samples * FULL_SCALE).astype(np.int16)
                write(block)
                meter.feed(block)
                on_progress(end_ms)
        with path.open("rb") as file:
            name = f"audio/{folder}/joined-{secrets.token_hex(8)}.flac"
            loose_files.announce(name)
            default_storage.save(name, File(file))
            sync_stored(name)
            return JoinedFile(name, path.stat().st_size, meter.peaks())


@contextmanager
def _local_file(file: FieldFile) -> Iterator[Path]:
    """Yield the stored file as a file of this machine.

    If it is kept elsewhere, it is copied block by block.
    """
    try:
        path = Path(file.path)
    except NotImplementedError:  # a storage without paths, such as S3
        path = None
    if path is not None:
        if not path.is_file():
            raise AudioMissing
        yield path
        return
    with tempfile.NamedTemporaryFile(dir=settings.WORK_DIR, suffix=".part") as copy:
        try:
            with file.open("rb") as source:
                shutil.copyfileobj(source, copy, 1024 * 1024)
        except FileNotFoundError as e:
            raise AudioMissing from e
        copy.flush()
        yield Path(copy.name)
