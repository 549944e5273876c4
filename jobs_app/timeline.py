"""A session's audio as one timeline: its chunks one after another, read through their working copies.

A working copy is a cache beside the worker. It can be deleted at any time and is made again when needed.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile

from speech.engines.base import Samples
from speech.errors import SpeechError, UnreadableAudio
from speech.pieces import Joined
from speech.plan import BLOCK_MS
from speech.types import DecodeReport, ms_to_samples
from speech.working_copy import Block, new_flac, read_range, write_working_copy


class AudioMissing(SpeechError):
    code = "audio_missing"
    permanent = True
    message = "The stored audio of this recording is no longer there. Upload it again."


UPLOAD = "upload"
# What browsers record into, as ffmpeg calls it.
STREAM_CONTAINERS = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "ogg")

Chunk = Any
"""A sessions_app.models.AudioChunk, which this app reaches only through the job's session."""


def working_copy_path(chunk_id: uuid.UUID) -> Path:
    return Path(settings.WORK_DIR) / str(chunk_id)


class Timeline:
    """The chunks that have their place, with silence where a chunk is missing or cannot be read.

    `unreadable`: the numbers of those that cannot. Reading makes lost working copies again. A chunk whose
    start alone is known is being decoded: what is planned of it can be read.
    """

    def __init__(self, chunks: Sequence[Chunk], *, unreadable: Container[int] = ()) -> None:
        self._chunks = chunks
        self._placed = [
            c
            for c in chunks
            if c.start_sample is not None and c.sample_count != 0 and c.number not in unreadable
        ]

    def read(self, start_ms: int, end_ms: int, *, on_progress: Callable[[], None] | None = None) -> Samples:
        """The samples of `[start_ms, end_ms)`.

        `on_progress` is called now and then while a working copy is made again; what it raises ends that.
        """
        first, end = ms_to_samples(start_ms), ms_to_samples(end_ms)
        samples = np.zeros(end - first, dtype=np.float32)
        for chunk in self._placed:
            begins = max(first, chunk.start_sample)
            ends = end
            if chunk.sample_count is not None:
                ends = min(end, chunk.start_sample + chunk.sample_count)
            if begins < ends:
                part = self._read(chunk, begins - chunk.start_sample, ends - chunk.start_sample, on_progress)
                samples[begins - first :][: len(part)] = part
        return samples

    def _read(self, chunk: Chunk, first: int, end: int, on_progress: Callable[[], None] | None) -> Samples:
        copy = working_copy_path(chunk.id)
        try:
            return read_range(copy, first, end)
        except (FileNotFoundError, UnreadableAudio):
            # It is only a cache, which someone may have deleted or a disk damaged.
            prepare_chunk(
                chunk,
                self._chunks,
                max_duration_s=settings.MAX_AUDIO_S,
                on_progress=None if on_progress is None else lambda *_: on_progress(),
            )
            return read_range(copy, first, end)


def prepare_chunk(
    chunk: Chunk,
    chunks: Iterable[Chunk],
    *,
    max_duration_s: int,
    on_progress: Callable[[int, int | None], None] | None = None,
    on_block: Callable[[Block, int], None] | None = None,
) -> DecodeReport:
    """Decode a chunk into its working copy, as `write_working_copy` does; `chunks` are all of its session.

    Raises:
        SpeechError: it cannot be decoded, or is longer than `max_duration_s`.
    """
    stream = stream_of(chunk, chunks)
    # A piece of a stream may end in the middle of a packet, and begins with the end of one.
    streamed = chunk.session.source != UPLOAD and stream[0].container in STREAM_CONTAINERS
    with ExitStack() as files:
        paths = [piece and files.enter_context(_local_file(piece.file)) for piece in stream]
        return write_working_copy(
            paths[0] if len(paths) == 1 else files.enter_context(Joined(paths)),
            working_copy_path(chunk.id),
            start_sample=sum(p.sample_count or 0 for p in stream[:-1] if p) if streamed else None,
            max_duration_s=max_duration_s,
            on_progress=on_progress,
            on_block=on_block,
        )


def stream_of(chunk: Chunk, chunks: Iterable[Chunk]) -> list[Chunk | None]:
    """The pieces that `chunk` needs to be decoded, itself last; None for one that is missing.

    The first is the last before it that has a header. A piece without one before it stands alone.
    """
    stream: list[Chunk | None] = []
    for piece in chunks:
        if piece.number > chunk.number:
            break
        if stream and piece.continues:
            stream += [None] * (piece.number - stream[-1].number - 1)
        else:
            stream.clear()
        stream.append(piece)
    return stream


def store_joined(
    sound: Timeline, duration_ms: int, folder: str, *, on_progress: Callable[[int], None]
) -> tuple[str, int]:
    """Store the first `duration_ms` as one FLAC file beside the chunks; its name, and its size in bytes."""
    with tempfile.TemporaryDirectory(dir=settings.WORK_DIR) as work_folder:
        path = Path(work_folder) / "joined.flac"
        with new_flac(path) as write:
            for start_ms in range(0, duration_ms, BLOCK_MS):
                end_ms = min(start_ms + BLOCK_MS, duration_ms)
                write(sound.read(start_ms, end_ms, on_progress=lambda: on_progress(0)))
                on_progress(end_ms)
        with path.open("rb") as file:
            name = f"audio/{folder}/joined-{secrets.token_hex(8)}.flac"
            return default_storage.save(name, File(file)), path.stat().st_size


def forget(chunk_ids: Iterable[uuid.UUID]) -> None:
    """Delete the working copies of these chunks."""
    for chunk_id in chunk_ids:
        shutil.rmtree(working_copy_path(chunk_id), ignore_errors=True)


def forget_unused(*, in_use: set[uuid.UUID], older_than_s: float) -> int:
    """Delete the working copies, and what is left of unfinished ones, that nobody has read lately."""
    kept = {working_copy_path(chunk_id).name for chunk_id in in_use}
    deleted = 0
    for path in Path(settings.WORK_DIR).iterdir():
        try:
            old = path.stat().st_mtime < time.time() - older_than_s
        except FileNotFoundError:
            continue
        if old and path.name not in kept:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            deleted += 1
    return deleted


@contextmanager
def _local_file(file: FieldFile) -> Iterator[Path]:
    """The stored file as a file of this machine; copied block by block when it is kept elsewhere."""
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
