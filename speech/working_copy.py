"""The working copy of a recording: 16 kHz mono 16-bit FLAC, from which windows are read by sample.

It is made once, so that reading a window costs milliseconds wherever it lies, and is exact; seeking in what
people upload is neither. FLAC takes 0.6 times the space of WAV and has no limit at 4 GB.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from soundfile import LibsndfileError, SoundFile

from speech.decode import decode
from speech.errors import UnreadableAudio
from speech.probe import probe
from speech.types import SAMPLE_RATE, DecodeReport, ms_to_samples

_PROGRESS_SAMPLES = 10 * SAMPLE_RATE
_DAMAGED = "The working copy of this recording is damaged. Transcribe the recording again."


class _Sink:
    """A file for libsndfile to write to. libsndfile loses the OSError of a full disk; here it is kept."""

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
    target: Path,
    *,
    max_duration_s: int,
    start_sample: int | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> DecodeReport:
    """Decode `source` into `target`, which appears whole or not at all, and say what was met.

    `on_progress(done_ms, total_ms)` is called every 10 s of sound; `total_ms` is what the header says, or
    None. What it raises ends the work. Raises what `decode` raises, and OSError, as of a full disk. A killed
    process leaves a hidden `.NAME.*.part` beside the target, never half a target.

    With a `start_sample`, be it 0, `source` is a stream as far as it has arrived, and the copy is of what
    lies at or after that sample. Copies that each start where the one before ended make up the stream.
    """
    total_ms = probe(source).duration_ms if start_sample is None else None
    report = DecodeReport()
    said = 0
    with new_flac(target) as write:
        blocks = decode(source, report=report, max_duration_s=max_duration_s, start_sample=start_sample)
        for block in blocks:
            write(block)
            if on_progress and report.samples - said >= _PROGRESS_SAMPLES:
                said = report.samples
                on_progress(report.duration_ms, total_ms)
    return report


@contextmanager
def new_flac(target: Path) -> Iterator[Callable[[npt.NDArray[np.int16] | npt.NDArray[np.float32]], None]]:
    """A function that writes samples to `target`, which appears after the `with`, whole or not at all."""
    handle, name = mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with open(handle, "wb", buffering=0) as file:
            sink = _Sink(file)
            with SoundFile(
                sink, "w", SAMPLE_RATE, channels=1, subtype="PCM_16", format="FLAC", compression_level=0.5
            ) as flac:

                def write(samples: npt.NDArray[np.int16] | npt.NDArray[np.float32]) -> None:
                    flac.write(samples)
                    if sink.error:
                        raise sink.error

                yield write
            # Closing has written the length into the header, but of a FLAC without samples nothing at all.
            if not os.fstat(handle).st_size:
                SoundFile(sink, "w", SAMPLE_RATE, channels=1, subtype="PCM_16", format="WAV").close()
            if sink.error:
                raise sink.error
            os.fsync(handle)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def read_samples(path: Path, start_ms: int, end_ms: int) -> npt.NDArray[np.float32]:
    """`read_range` in milliseconds."""
    return read_range(path, ms_to_samples(start_ms), ms_to_samples(end_ms))


def read_range(path: Path, first: int, end: int) -> npt.NDArray[np.float32]:
    """The samples `[first, end)` of a working copy, from -1 to 1; fewer at the recording's end.

    Raises UnreadableAudio where the copy is damaged, and OSError where it cannot be opened.
    """
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
