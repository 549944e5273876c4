"""A session's audio as one timeline: its chunks one after another, read through their working copies.

A working copy is a cache beside the worker. It can be deleted at any time and is made again when needed.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models.fields.files import FieldFile

from speech.engines.base import Samples
from speech.errors import SpeechError, UnreadableAudio
from speech.types import DecodeReport
from speech.working_copy import read_samples, working_copy_duration_ms, write_working_copy


class AudioMissing(SpeechError):
    code = "audio_missing"
    permanent = True
    message = "The stored audio of this recording is no longer there. Upload it again."


Chunk = Any
"""A sessions_app.models.AudioChunk, which this app reaches only through the job's session."""


def working_copy_path(chunk_id: uuid.UUID) -> Path:
    return Path(settings.WORK_DIR) / f"{chunk_id}.flac"


def prepare_chunk(
    chunk: Chunk, *, max_duration_s: int, on_progress: Callable[[int, int | None], None] | None = None
) -> DecodeReport:
    """Decode a chunk into its working copy.

    Raises:
        SpeechError: it cannot be decoded, or is longer than `max_duration_s`.
    """
    with _local_file(chunk.file) as source:
        return write_working_copy(
            source,
            working_copy_path(chunk.id),
            max_duration_s=max_duration_s,
            on_progress=on_progress,
        )


def read(
    chunks: Iterable[Chunk], start_ms: int, end_ms: int, *, on_progress: Callable[[], None] | None = None
) -> Samples:
    """The samples of `[start_ms, end_ms)` of the timeline that `chunks` make, in their order.

    `on_progress` is called now and then while a working copy has to be made again; what it raises ends that.
    """
    parts = []
    offset_ms = 0
    for chunk in chunks:
        samples, duration_ms = _read_chunk(chunk, start_ms - offset_ms, end_ms - offset_ms, on_progress)
        parts.append(samples)
        offset_ms += duration_ms
        if offset_ms >= end_ms:
            break
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _read_chunk(
    chunk: Chunk, start_ms: int, end_ms: int, on_progress: Callable[[], None] | None
) -> tuple[Samples, int]:
    """What a chunk has of `[start_ms, end_ms)` of its own timeline, and its duration in milliseconds."""
    copy = working_copy_path(chunk.id)

    def read_copy() -> tuple[Samples, int]:
        duration_ms = working_copy_duration_ms(copy)
        first, last = max(start_ms, 0), min(end_ms, duration_ms)
        samples = read_samples(copy, first, last) if first < last else np.zeros(0, dtype=np.float32)
        return samples, duration_ms

    try:
        return read_copy()
    except (FileNotFoundError, UnreadableAudio):
        # It is only a cache, which someone may have deleted or a disk damaged.
        prepare_chunk(
            chunk,
            max_duration_s=settings.MAX_AUDIO_S,
            on_progress=None if on_progress is None else lambda *_: on_progress(),
        )
        return read_copy()


def forget(chunk_ids: Iterable[uuid.UUID]) -> None:
    """Delete the working copies of these chunks."""
    for chunk_id in chunk_ids:
        working_copy_path(chunk_id).unlink(missing_ok=True)


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
                # Of a `manage.py transcribe` that was killed.
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
