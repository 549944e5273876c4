"""The working copy of a recording: 16 kHz mono 16-bit FLAC, from which windows are read by sample.

It is made once, so that reading a window is exact and takes milliseconds wherever the window lies; seeking in
uploaded files is neither. FLAC takes 0.6 times the space of WAV. A copy is a folder of parts of two minutes.
Each part appears whole or not at all, so what is decoded can be read while the rest is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from soundfile import LibsndfileError, SoundFile

from speech.errors import UnreadableAudio
from speech.probing.probe import probe
from speech.sound.channels import Channels
from speech.sound.decode import decode
from speech.sound.tracks.wish import TrackWish
from speech.types import SAMPLE_RATE, DecodeReport, ms_to_samples

Block: TypeAlias = npt.NDArray[np.int16]

PART = 120 * SAMPLE_RATE
"""Samples in one file of a working copy. The last file has fewer, or does not exist."""
_EMPTY = np.zeros(0, dtype=np.float32)
_PROGRESS_SAMPLES = 10 * SAMPLE_RATE
_DAMAGED = "The working copy of this recording is damaged. Transcribe the recording again."


class _Sink:
    """A file for libsndfile to write to. It keeps the OSError of a full disk, which libsndfile would lose."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.error: OSError | None = None
        self.seek = file.seek
        self.tell = file.tell

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while rest and self.error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)


def write_working_copy(
    source: Path | BinaryIO,
    folder: Path,
    *,
    max_duration_s: int,
    start_sample: int | None = None,
    wish: TrackWish | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    on_block: Callable[[Block, int], None] | None = None,
    on_channels: Callable[[Channels], None] | None = None,
) -> DecodeReport:
    """Decode `source` into `folder`, and return what decoding found. `wish` says which audio tracks are
    heard.

    `on_progress(done_ms, total_ms)` is called every 10 s of sound; `total_ms` is what the header says, or
    None. `on_block(samples, readable)` gets all samples in blocks of about a second, with how many samples
    from the start `read_range` can give by then. `on_channels` is as in `decode`. An exception from any of
    them ends the work. Raises what `decode` raises, and OSError, for example if the disk is full. Nothing is
    left behind then. A killed process leaves whole parts, which the next one replaces, and a hidden
    `.NAME.*.part`.

    Several processes may write the same copy at once, such as those of a cancelled job and the next one. If
    one of them fails, the copy may lack parts in the end, and must be written again.

    With a `start_sample`, which may be 0, `source` is a stream as far as it has arrived, and the copy has
    what lies at or after that sample. Copies that each start where the one before ended make up the stream.
    """
    total_ms = probe(source).duration_ms if start_sample is None else None
    report = DecodeReport()
    said = written = 0
    whole: dict[Path, int | None] = {}
    try:
        with ExitStack() as part:
            blocks = decode(
                source,
                report=report,
                max_duration_s=max_duration_s,
                start_sample=start_sample,
                wish=wish,
                on_channels=on_channels,
            )
            for block in _cut_at_parts(blocks):
                if written % PART == 0:
                    path = _part(folder, written // PART)
                    write = part.enter_context(new_flac(path))
                write(block)
                written += len(block)
                if written % PART == 0:
                    part.close()
                    whole[path] = _inode(path)
                if on_block is not None:
                    on_block(block, len(whole) * PART)
                if on_progress and report.samples - said >= _PROGRESS_SAMPLES:
                    said = report.samples
                    on_progress(report.duration_ms, total_ms)
        if written % PART:
            whole[path] = _inode(path)
        _note_end(folder, written)
    except BaseException:
        for path, inode in whole.items():
            if _inode(path) == inode:  # else another process has replaced it
                path.unlink(missing_ok=True)
        with suppress(OSError):  # another copy has files in it
            folder.rmdir()
        raise
    return report


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _cut_at_parts(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the same samples, in blocks that each lie in one part."""
    room = PART
    for block in blocks:
        while len(block) >= room:
            yield block[:room]
            block, room = block[room:], PART
        if len(block):
            yield block
            room -= len(block)


def _part(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.flac"


def _note_end(folder: Path, samples: int) -> None:
    """Mark the copy as complete, and remove parts that an earlier, longer copy had."""
    for path in folder.glob("*.flac"):
        if path >= _part(folder, -(-samples // PART)):
            path.unlink()
    with _new_file(folder / "end") as file:
        file.write(str(samples).encode())


def _end(folder: Path) -> int:
    try:
        return int((folder / "end").read_text())
    except ValueError as error:
        raise UnreadableAudio(_DAMAGED) from error


@contextmanager
def _new_file(target: Path) -> Iterator[FileIO]:
    """Open a file that appears as `target` after the `with`, whole or not at all. Its folder is made."""
    target.parent.mkdir(exist_ok=True)
    handle, name = mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with open(handle, "wb", buffering=0) as file:
            yield file
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def new_flac(target: Path) -> Iterator[Callable[[Block | npt.NDArray[np.float32]], None]]:
    """Give a function that writes samples to `target`, which appears after the `with`, whole or not
    at all.
    """
    with _new_file(target) as file:
        sink = _Sink(file)
        with SoundFile(
            sink, "w", SAMPLE_RATE, channels=1, subtype="PCM_16", format="FLAC", compression_level=0.5
        ) as flac:

            def write(samples: Block | npt.NDArray[np.float32]) -> None:
                flac.write(samples)
                if sink.error:
                    raise sink.error

            yield write
        if sink.error:
            raise sink.error
        os.fsync(file.fileno())


def read_samples(folder: Path, start_ms: int, end_ms: int) -> npt.NDArray[np.float32]:
    """Do what `read_range` does, in milliseconds."""
    return read_range(folder, ms_to_samples(start_ms), ms_to_samples(end_ms))


def read_range(folder: Path, first: int, end: int) -> npt.NDArray[np.float32]:
    """Return the samples `[first, end)` of a working copy, from -1 to 1; fewer at the end of the recording.

    Raises UnreadableAudio if the copy is damaged, FileNotFoundError if it is missing or not written yet, and
    OSError if it cannot be opened.
    """
    samples = [_EMPTY]
    while first < end:
        number, at = divmod(first, PART)
        try:
            some = _read_part(_part(folder, number), at, min(at + end - first, PART))
        except FileNotFoundError:
            if first < _end(folder):
                raise
            break
        samples.append(some)
        first += len(some)
        if first % PART:
            break
    return np.concatenate(samples)


def _read_part(path: Path, first: int, end: int) -> npt.NDArray[np.float32]:
    with _reading(path) as flac:
        start = min(first, flac.frames)
        wanted = min(end, flac.frames) - start
        flac.seek(start)
        samples: npt.NDArray[np.float32] = flac.read(max(0, wanted), dtype="float32")
        if len(samples) < wanted:
            raise UnreadableAudio(_DAMAGED)
        return samples


@contextmanager
def _reading(path: Path) -> Iterator[SoundFile]:
    path.stat()  # libsndfile does not say that a file is missing
    try:
        with SoundFile(path) as flac:
            yield flac
    except LibsndfileError as error:
        raise UnreadableAudio(_DAMAGED) from error
