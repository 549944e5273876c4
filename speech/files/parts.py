"""One of several files in a file, as a file of its own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from speech.files.virtual_file import VirtualFile

Mended: TypeAlias = tuple[tuple[int, bytes], ...]
"""(place, right bytes) for each wrong place in a header.

Places count from the beginning of the whole file.
"""


@dataclass(frozen=True)
class Part:
    """One file within a file: the bytes `[start, end)`. Readers get the `mended` bytes in their places.

    `cut_off` says that its headers promise more for certain. `missing_bytes` says how much, in kinds whose
    headers state no time.
    """

    start: int
    end: int
    cut_off: bool = False
    missing_bytes: int = 0
    mended: Mended = ()


class PartFile(io.BufferedReader):
    """A part of a seekable file, as a file. Reading it moves the position of the whole file."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        super().__init__(_PartBytes(file, part), 1 << 16)


class _PartBytes(VirtualFile):
    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file = file
        self._part = part
        self._length = part.end - part.start

    def _read_at(self, position: int, size: int) -> bytes:
        at = self._part.start + position
        self._file.seek(at)
        data = bytearray(self._file.read(size))
        for place, right in self._part.mended:
            first, end = max(place, at), min(place + len(right), at + len(data))
            if first < end:
                data[first - at : end - at] = right[first - place : end - place]
        return bytes(data)
