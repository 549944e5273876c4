"""One recording in several files, as a browser's MediaRecorder gives it while it records.

Only the first file has a header, and a file may end in the middle of a packet, so no later file can be read
alone. `RecordedStream` is the recording as far as it has arrived, and `decode` takes from it what is new.
"""

from __future__ import annotations

import io
import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speech.files.frames import begins_with_frames
from speech.files.virtual_file import VirtualFile

# All of them are long enough that a cut in the middle of a stream is not mistaken for one.
_HEADERS = (
    b"\x1a\x45\xdf\xa3", b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff\x2e\x91\xcf\x11", b"fLaC",
    b"ID3", b"#!AMR", b"caff", b".snd", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x00\x00\x01\xba",
)  # fmt: skip

# Places from which a reader can go on. A cluster has its id, its size in 1 to 8 bytes, and its time stamp.
_CLUSTER = re.compile(
    rb"\x1f\x43\xb6\x75(?:[\x80-\xff]|[\x40-\x7f].|[\x20-\x3f]..|[\x10-\x1f].{3}|[\x08-\x0f].{4}"
    rb"|[\x04-\x07].{5}|[\x02\x03].{6}|\x01.{7})\xe7",
    re.DOTALL,
)
_FRAGMENT = re.compile(rb"\0...moof\0\0\0\x10mfhd", re.DOTALL)
_PAGE = re.compile(rb"OggS\0")
_SEARCHED = 16 << 20
_LONGEST_BLOCK = 1 << 20
_MOST_BOXES = 500_000  # two for each fragment of a stream


def is_continuation(head: bytes) -> bool:
    """Whether a file that begins with `head` may go on where the file before it was cut.

    `head` has `speech.files.frames.LONGEST_LOOK` bytes, or all of the file. The result is False for a file
    with a header of its own, and for a row of MP3 or AAC frames. The two bytes that begin a frame are not
    enough, because one of 2,000 cuts hits such bytes. The result is True for a page of ogg, a fragment of
    mp4, a cluster of webm, and unknown bytes, which may be a stream cut anywhere, or rubbish. So ask only
    about a file that comes after one of webm, mp4 or ogg.
    """
    if head.startswith(b"OggS"):
        return not head[5:6] or not head[5] & 2
    if not head or head.startswith(_HEADERS) or head[4:8] in (b"ftyp", b"moov"):
        return False
    return not begins_with_frames(head)


class RecordedStream(io.BufferedReader):
    """Files one after another, read as one file. At most one of them is open, and only during a read.

    None in `pieces` stands for files that were lost. Zeros fill up the end of what was cut by the loss, and
    the next file is read from a place where a reader can go on: a webm cluster, an mp4 fragment or an ogg
    page. Raises OSError, for example if a file is missing.
    """

    def __init__(self, pieces: Sequence[Path | None]) -> None:
        super().__init__(_StreamBytes(pieces), 1 << 16)


@dataclass(frozen=True)
class _Part:
    """`length` bytes of a file from `offset` on, or as many zeros.

    They begin at `start` of the whole stream.
    """

    path: Path | None
    offset: int
    length: int
    start: int


class _StreamBytes(VirtualFile):
    def __init__(self, pieces: Iterable[Path | None]) -> None:
        self._parts: list[_Part] = []
        self._starts: list[int] = []
        self._length = 0
        self._path: Path | None = None
        self._file: io.FileIO | None = None
        lost = False
        for piece in pieces:
            offset = self._way_back(piece) if piece is not None and lost else 0
            if piece is None or offset is None:
                lost = True
                continue
            if lost:
                self._end_cleanly(more=True)
                lost = False
            self._append(piece, offset, piece.stat().st_size - offset)
        self._end_cleanly(more=False)
        self.seek(0)

    def _append(self, path: Path | None, offset: int, length: int) -> None:
        if length > 0:
            self._parts.append(_Part(path, offset, length, self._length))
            self._starts.append(self._length)
            self._length += length

    def _at(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from `position` on; fewer at the end."""
        self.seek(position)
        data = b""
        while len(data) < size and (more := self.read(size - len(data))):
            data += more
        return data

    def _way_back(self, piece: Path) -> int | None:
        """Return where a reader that knows nothing of the earlier bytes can begin in `piece`; None if
        nowhere.
        """
        begin = self._at(0, 8)
        pattern = _PAGE if begin.startswith(b"OggS") else _FRAGMENT if begin[4:] == b"ftyp" else _CLUSTER
        with piece.open("rb") as file:
            found = pattern.search(file.read(_SEARCHED))
        return found.start() if found else None

    def _end_cleanly(self, *, more: bool) -> None:
        """End the stream where a reader can stop. With `more`, end it so that the reader can go on after a
        loss.

        ffmpeg refuses an mp4 that ends within a box, except a box of sound. Zeros stand for what is lost.
        """
        begin = self._at(0, 8)
        missing = 0 if begin.startswith(b"OggS") else _LONGEST_BLOCK
        if begin[4:] == b"ftyp":
            start, kind, end = self._last_box()
            missing = end - self._length
            if missing and kind != b"mdat":
                self._shorten(start)
                missing = 0
        if more:
            self._append(None, 0, min(missing, _SEARCHED))

    def _last_box(self) -> tuple[int, bytes, int]:
        """Return the start, kind and end of the last box of an mp4. The box may be cut off."""
        start = end = 0
        kind = b""
        for _ in range(_MOST_BOXES):
            if end >= self._length:
                return start, kind, end
            start = end
            head = self._at(start, 16).ljust(16, b"\0")
            size, kind = struct.unpack_from(">I4s", head)
            if size == 1:
                size = struct.unpack_from(">Q", head, 8)[0]
            if size < 8:
                break  # 0 means: to the end of the file; all else is damaged, and ffmpeg decides
            end = start + size
        return start, kind, self._length

    def _shorten(self, length: int) -> None:
        while self._parts and self._parts[-1].start >= length:
            self._parts.pop()
            self._starts.pop()
        if self._parts:
            last = self._parts[-1]
            self._parts[-1] = replace(last, length=length - last.start)
        self._length = length

    def _read_at(self, position: int, size: int) -> bytes:
        part = self._parts[bisect_right(self._starts, position) - 1]
        skipped = position - part.start
        size = min(size, part.length - skipped)
        if part.path is None:
            return bytes(size)
        return self._opened(part.path, part.offset + skipped).read(size)

    def _opened(self, path: Path, position: int) -> io.FileIO:
        if self._file is None or path != self._path:
            self._close()
            self._file, self._path = path.open("rb", buffering=0), path
        self._file.seek(position)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        self._close()
        super().close()
