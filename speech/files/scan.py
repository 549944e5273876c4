"""Search a file for the beginnings of other files in it, at a bounded cost."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

from speech.files.frames import LONGEST_LOOK, begins_with_frames
from speech.files.kinds import FIRST_PAGE, HEAD_BYTES, LONGEST_KEY, is_name, kind_of

MOST_STEPS = 1_000_000
"""How many chunks, boxes and finds are examined in one file. A stream has two for each fragment."""

STRAY_BYTES = 4096
"""Fewer bytes than this at the end of a file are no speech."""

_FIRST_BLOCK = 4096
_BLOCK = 1 << 20
_BYTES_A_STEP = 16_384


@dataclass(frozen=True)
class After:
    """What lies at a place. `head` is where a file begins, after padding and tags.

    `is_known` says that it is a file, or only padding and tags.
    """

    at: int
    head: int | None = None
    is_known: bool = False


class Scan:
    """A seekable file and the number of steps taken in it. Its position moves."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.length = file.seek(0, io.SEEK_END)
        self.steps = 0

    def read(self, at: int, size: int) -> bytes:
        """Return up to `size` bytes at `at`; none behind the end of the file."""
        if at >= self.length:
            # Sizes in headers have up to 64 bits, and seeking to such a place raises an error.
            return b""
        self._file.seek(at)
        return self._file.read(size)

    def agrees(self, end: int) -> bool:
        """Whether a file can end at `end`, as its header says."""
        return end <= self.length and self.after(end).is_known

    def after(self, at: int) -> After:
        """Return what lies at `at`: only padding and tags, a file, or something unknown."""
        for _ in range(8):
            at, head = self._behind_padding(at)
            if head is not None:
                return After(at, head, is_known=True)
            if at >= self.length:
                return After(at, is_known=True)
            behind = self.behind_tag(at)
            if behind == at:
                return After(at)
            at = behind
        return After(at)

    def _behind_padding(self, at: int) -> tuple[int, int | None]:
        if self.begins(at):
            return at, at
        size = _FIRST_BLOCK
        while block := self.read(at, size):
            size = min(2 * size, _BLOCK)
            self.steps += 1 + len(block) // _BYTES_A_STEP
            rest = block.lstrip(b"\0")
            at += len(block) - len(rest)
            if rest:
                break
            if self.steps >= MOST_STEPS:
                return self.length, None
        for place in (at, at - 3, at - 2):  # the size of the first box of an mp4 begins with zeros
            if self.begins(place):
                return at, place
        return at, None

    def behind_tag(self, at: int) -> int:
        """Return the end of the tag at `at`, which may be an ID3, APE or Lyrics3 tag; `at` itself if there is
        none.
        """
        head = self.read(at, 32)
        if head[:3] == b"ID3" and len(head) >= 10:
            size = 0
            for seven in head[6:10]:
                size = size << 7 | seven & 127
            return min(at + 10 + size + (10 if head[5] & 16 else 0), self.length)
        if head[:8] == b"APETAGEX" and len(head) == 32:
            is_header = head[23] & 32
            return min(at + 32 + (struct.unpack_from("<I", head, 12)[0] if is_header else 0), self.length)
        if head[:4] == b"TAG+" and self.length - at >= 227:
            return at + 227
        if head[:3] == b"TAG" and self.length - at >= 128:
            return at + 128
        if head[:11] == b"LYRICSBEGIN":
            text = self.read(at, 1 << 16)
            end = text.find(b"LYRICS200")
            return at + end + 9 if end > 0 else at
        return at

    def begins(self, at: int) -> bool:
        """Whether a readable file begins at `at` for certain."""
        if at < 0:
            return False
        head = self.read(at, HEAD_BYTES)
        kind = kind_of(head)
        if kind == "mp4":
            second = at + int.from_bytes(head[:4], "big")
            return head[4:8] == b"ftyp" and is_name(head[8:12]) and is_name(self.read(second, 8)[4:])
        if kind == "au":
            header, _, coding, rate, channels = struct.unpack_from(">5I", head.ljust(24, b"\0"), 4)
            sane = 24 <= header <= 1 << 20 and 0 < coding < 30 and 0 < channels <= 64
            return bool(sane and 1000 <= rate <= 400_000)
        if kind in ("mp3", "aac"):
            behind = self.behind_tag(at)
            if self.read(behind, 1) != b"\xff":
                return False
            return begins_with_frames(self.read(behind, LONGEST_LOOK))
        return bool(kind)

    def search(self, at: int, keys: dict[bytes, int]) -> int | None:
        """Return where the next file begins, at or after `at`."""
        first = at
        size = _FIRST_BLOCK
        while self.steps < MOST_STEPS and (block := self.read(at, size)):
            size = min(2 * size, _BLOCK)
            self.steps += 1 + len(block) // _BYTES_A_STEP
            hits: list[int] = []
            for key, behind in keys.items():
                found = block.find(key)
                while found >= 0:
                    place = at + found - behind
                    if hits and place >= hits[-1]:
                        break
                    if place >= first and self._is_next(place):
                        hits.append(place)
                        break
                    found = block.find(key, found + 1)
            if hits:
                return min(hits)
            if len(block) < LONGEST_KEY or at + len(block) >= self.length:
                return None
            at += len(block) - LONGEST_KEY
        return None

    def _is_next(self, place: int) -> bool:
        self.steps += 1
        return self.steps < MOST_STEPS and self.begins(place) and not self._is_second_page(place)

    def _is_second_page(self, place: int) -> bool:
        """Whether a first page of ogg follows another first page, as those of a film's picture and
        sound do.
        """
        before = self.read(max(0, place - 512), min(512, place))
        at = before.rfind(FIRST_PAGE)
        if at < 0:
            return False
        page = before[at:]
        count = page[26] if len(page) > 26 else 0
        return len(page) == 27 + count + sum(page[27 : 27 + count])
