"""Find out from the header whether a recording is encrypted for the programs of its seller.

A decoder does not report encryption: it gives an error for each packet, or noise. (ISO/IEC 14496-12, 8.12 for
`enca`; ASF specification 3.14, 3.15; RFC 9559, 5.1.4.1.31.13 for Matroska and webm.)
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

from speech.probing.mp4_index import sound_formats

_AUDIBLE_AA = b"\x57\x90\x75\x36"
_MOST_ATOMS = 20_000
_MP4 = {"enca", "drms", "aavd"}

_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
_ASF_ENCRYPTED = (
    b"\xfb\xb3\x11\x22\x23\xbd\xd2\x11\xb4\xb7\x00\xa0\xc9\x55\xfc\x6e",
    b"\x14\xe6\x8a\x29\x22\x26\x17\x4c\xb9\x35\xda\xe0\x7e\xe9\x28\x9c",
)
_MOST_OBJECTS = 200

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK, _TRACK_TYPE, _ENCODINGS, _ENCODING, _ENCRYPTION = 0xAE, 0x83, 0x6D80, 0x6240, 0x5035
_SOUND = 2
_TRACKS_BYTES = 1 << 20


def is_protected(file: BinaryIO) -> bool:
    """Whether all sound in `file` is encrypted. It reads some kB of headers and moves the position."""
    file.seek(0)
    head = file.read(30)
    if head[4:8] == _AUDIBLE_AA:
        return True
    if head.startswith(_ASF):
        return _asf_is_protected(file)
    if head.startswith(_EBML):
        return _matroska_is_protected(file)
    formats = sound_formats(file, most_atoms=_MOST_ATOMS)
    return bool(formats) and formats <= _MP4


def _asf_is_protected(file: BinaryIO) -> bool:
    at = 30
    for _ in range(_MOST_OBJECTS):
        head = _read_at(file, at, 24)
        if len(head) < 24:
            return False
        if head[:16] in _ASF_ENCRYPTED:
            return True
        (size,) = struct.unpack_from("<Q", head, 16)
        if not 24 <= size < 1 << 32:
            return False
        at += size
    return False


def _matroska_is_protected(file: BinaryIO) -> bool:
    at = 0
    for _ in range(_MOST_OBJECTS):
        found = next(_elements(_read_at(file, at, 12)), None)
        if found is None or found[0] == _CLUSTER:
            return False
        name, start, size = found
        if name == _TRACKS:
            return _tracks_are_protected(_read_at(file, at + start, min(size, _TRACKS_BYTES)))
        at += start if name == _SEGMENT else start + size
    return False


def _tracks_are_protected(tracks: bytes) -> bool:
    encrypted = []
    for name, start, size in _elements(tracks):
        track = tracks[start : start + size] if name == _TRACK else b""
        inside = {child: track[first : first + length] for child, first, length in _elements(track)}
        if inside.get(_TRACK_TYPE, b"")[-1:] == bytes([_SOUND]):
            encrypted.append(_is_encrypted(inside.get(_ENCODINGS, b"")))
    return bool(encrypted) and all(encrypted)


def _is_encrypted(encodings: bytes) -> bool:
    for name, start, size in _elements(encodings):
        inside = _elements(encodings[start : start + size])
        if name == _ENCODING and any(child == _ENCRYPTION for child, _, _ in inside):
            return True
    return False


def _elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield id, start of the content and size of each element.

    An unknown size counts as the rest of the data.
    """
    at = 0
    while at < len(data):
        width = 9 - data[at].bit_length()
        begin = at + width
        if width > 4 or begin >= len(data) or not data[begin]:
            return
        name = int.from_bytes(data[at:begin], "big")
        width = 9 - data[begin].bit_length()
        size = int.from_bytes(data[begin : begin + width], "big") & ((1 << 7 * width) - 1)
        at = begin + width
        yield name, at, size
        at += size


def _read_at(file: BinaryIO, at: int, size: int) -> bytes:
    """Read up to `size` bytes at `at`, and none behind the end, however far away a header says that
    `at` is.
    """
    if at >= file.seek(0, io.SEEK_END):
        return b""
    file.seek(at)
    return file.read(size)
