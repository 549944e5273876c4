"""Keep tags away from ffmpeg. Nothing here needs them, and they cost much.

For each new tag ffmpeg searches all earlier ones, so 40,000 tags take 9 s; a picture is read into memory. So
ffmpeg sees padding of the same length where it would find tags, and nothing else moves. An ID3 tag in front
of a file is left out altogether. Some tags are also useful (the channels of FLAC, the gap before the sound in
mp4, the length of flv). Those are hidden only if they are too many.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import BinaryIO

from speech.errors import UnreadableAudio
from speech.probing.tag_blocks import MOST_BLOCKS, MOST_TAGS, caf_tags, flac_tags, flv_tags, ogg_tags

_REACH = 64
"""In bytes. No beginning of an element that is recognised or replaced is longer."""

_Replace = Callable[[bytes, int], bytes]
"""(bytes, at) -> what takes the place of bytes[at:at + n]; b"" if nothing does."""


class _Behind(io.RawIOBase):
    """A file without its first `start` bytes."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file = file
        self._start = start
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and offset < 0:
            raise ValueError("before the beginning")
        at = self._file.seek(offset + self._start if whence == os.SEEK_SET else offset, whence)
        if at < self._start:
            raise ValueError("before the beginning")
        return at - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


def without_id3(file: BinaryIO) -> BinaryIO:
    """Return `file` without the ID3v2 tags in front of it, however many there are.

    Raises UnreadableAudio if the tags do not end.
    """
    start = 0
    for _ in range(MOST_BLOCKS):
        file.seek(start)
        head = file.read(10)
        if not _is_id3(head, 0):
            file.seek(0)
            return file if start == 0 else _Behind(file, start)  # type: ignore[return-value]
        footer = 10 if head[5] & 0x10 else 0
        start += 10 + footer + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    raise UnreadableAudio


def _is_id3(data: bytes, at: int) -> bool:
    head = data[at : at + 10]
    return len(head) == 10 and head[:3] == b"ID3" and 255 not in head[3:5] and max(head[6:]) < 128


class HiddenTags:
    """Hides the tags of one file.

    `limit` is how much of the beginning of the file will be read; None means all of it. `known` are
    replacements by offset that other code has found.
    """

    def __init__(self, file: BinaryIO, head: bytes, *, limit: int | None, known: dict[int, bytes]) -> None:
        self._file = file
        self._patches = dict(known)
        self._markers: dict[bytes, _Replace] = {}
        self._in_sound = False
        walk: Callable[[BinaryIO], Iterator[tuple[int, bytes]]] | None = None
        if head.startswith((b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")):
            self._markers = {b"LIST": _riff_info, b"ID3 ": _chunk_of_id3, b"id3 ": _chunk_of_id3}
        elif head.startswith(_W64):
            self._markers = {_W64_LIST: _without_first_byte}
        elif head.startswith(_ASF):
            self._markers = dict.fromkeys(_ASF_TAGS, _without_first_byte)
        elif head.startswith(b"\x1a\x45\xdf\xa3"):
            self._markers = dict.fromkeys(_EBML_TAGS, _void)
        elif head.startswith(b"fLaC"):
            walk = flac_tags
        elif head.startswith(b"caff"):
            walk = caf_tags
        elif head.startswith(b"FLV"):
            walk = flv_tags
        elif b"OggS" in head:
            walk = ogg_tags
        elif head.startswith((b"MAC ", b"MP+", b"MPCK", b"TTA1", b"wvpk")):
            self._markers = {b"APETAGEX": _many_ape}
        elif head[:1] == b"\xff":
            # A file that was joined from several has some in its middle.
            self._markers = {b"ID3": _no_id3}
            self._in_sound = True
        if walk is not None:
            for at, replacement in walk(file):
                if limit is not None and at > limit:
                    break
                self._patches[at] = replacement
        self._places = sorted(self._patches)

    def header_ended(self) -> None:
        """Note that sound follows, in which the bytes of a marker may come by chance."""
        if not self._in_sound:
            self._markers = {}

    def hide(self, at: int, data: bytes) -> bytes:
        """Return `data`, which the file has at `at`, with its tags replaced.

        The position of the file stays.
        """
        if self._markers and data:
            for found, replacement in self._found_in(at, data):
                data = _patched(data, found - at, replacement)
        first = bisect_left(self._places, at - _REACH)
        for place in self._places[first : bisect_left(self._places, at + len(data))]:
            data = _patched(data, place - at, self._patches[place])
        return data

    def _found_in(self, at: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        after = self._file.read(_REACH)
        start = max(0, at - _REACH)
        self._file.seek(start)
        window = self._file.read(at - start) + data + after
        self._file.seek(at + len(data))
        for marker, replace in self._markers.items():
            found = window.find(marker)
            while found >= 0:
                if replacement := replace(window, found):
                    yield start + found, replacement
                found = window.find(marker, found + 1)


def _patched(data: bytes, at: int, replacement: bytes) -> bytes:
    """Return `data` with `replacement` at `at`, part of which may lie outside of `data`."""
    first, end = max(0, at), min(len(data), at + len(replacement))
    if first >= end:
        return data
    return data[:first] + replacement[first - at : end - at] + data[end:]


_W64 = b"riff\x2e\x91\xcf\x11"
_W64_LIST = bytes.fromhex("bc945f925a52d21186dc00c04f8edb8a")
_ASF = bytes.fromhex("3026b2758e66cf11")
# Extended content description, metadata, metadata library, markers.
_ASF_TAGS = (
    bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850"),
    bytes.fromhex("eacbf8c5af5b77488467aa8c44fa4cca"),
    bytes.fromhex("941c23449894d149a1411d134e457054"),
    bytes.fromhex("01cd87f451a9cf118ee600c00c205365"),
)
_EBML_TAGS = (b"\x12\x54\xc3\x67", b"\x10\x43\xa7\x70")  # Tags and Chapters


def _riff_info(data: bytes, at: int) -> bytes:
    return b"JUNK" if data[at + 8 : at + 12] == b"INFO" else b""


def _chunk_of_id3(data: bytes, at: int) -> bytes:
    return b"JUNK" if data[at + 8 : at + 11] == b"ID3" else b""


def _without_first_byte(data: bytes, at: int) -> bytes:
    return bytes([data[at] ^ 0xFF])


def _many_ape(data: bytes, at: int) -> bytes:
    """Hide many APE tags only. The demuxer must see a few: the sound ends where they begin."""
    count = int.from_bytes(data[at + 16 : at + 20], "little")
    return _without_first_byte(data, at) if count > MOST_TAGS else b""


def _no_id3(data: bytes, at: int) -> bytes:
    return b"\0\0\0" if _is_id3(data, at) else b""


def _void(data: bytes, at: int) -> bytes:
    """Return the beginning of a Void element (RFC 8794, 11.3.2) of the same length, with its contents."""
    at += 4
    if len(data) < at + 8 or data[at] == 0:
        return b""
    width = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    room = 4 + width
    if size == (1 << 7 * width) - 1:
        # The end of the element is unknown. ffmpeg skips its contents, because they have no place outside of
        # it.
        return b"\xec\x82\0\0"
    filler = b"" if room <= 9 else b"\xec\x81\0"
    digits = room - len(filler) - 1
    return filler + b"\xec" + (size | 1 << 7 * digits).to_bytes(digits, "big")
