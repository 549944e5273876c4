"""Find the tags of a file by walking from block to block."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import BinaryIO

from speech.errors import UnreadableAudio

MOST_TAGS = 2000
"""How many tags ffmpeg may see. It takes 20 ms for them."""
_MOST_BYTES = 32 << 10
"""The same limit in bytes, for tags that are not counted. A tag takes 8 bytes at least."""
MOST_BLOCKS = 10_000
"""How many blocks of metadata a file may begin with before it counts as damaged."""
_BLOCK = 1 << 16


def flac_tags(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Turn pictures into padding, and also comments if they are many (RFC 9639, 8.1)."""
    at, comments = 4, 0
    for _ in range(MOST_BLOCKS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            return
        size, kind, last = int.from_bytes(head[1:], "big"), head[0] & 127, head[0] & 128
        comments += size if kind == 4 else 0
        if kind == 6 or (kind == 4 and comments > _MOST_BYTES):
            yield at, bytes([last | 1])
        if last:
            return
        at += 4 + size
    raise UnreadableAudio


def caf_tags(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Turn information chunks into free space (Apple's Core Audio Format)."""
    at = 8
    for _ in range(MOST_BLOCKS):
        file.seek(at)
        head = file.read(12)
        if len(head) < 12:
            return
        kind, size = struct.unpack(">4sq", head)
        if kind == b"info":
            yield at, b"free"
        if size < 0:
            return  # the sound lasts to the end of the file
        at += 12 + size
    raise UnreadableAudio


def flv_tags(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Give script data, which may come anywhere, a type that does not exist."""
    head = file.read(9)
    at, scripts = int.from_bytes(head[5:9], "big"), 0
    while True:
        file.seek(at)
        tag = file.read(8)
        if len(tag) < 8:
            return
        size = int.from_bytes(tag[5:8], "big")
        if tag[4] & 31 == 18:
            scripts += size
            if scripts > _MOST_BYTES:
                yield at + 4, b"\x0a"
        at += 15 + size


def ogg_tags(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Empty long lists of comments (RFC 3533).

    The second packet of a stream has its comments; a chain has several.
    """
    firsts: dict[bytes, bytes] = {}
    at = 0
    while True:
        file.seek(at)
        head = file.read(27)
        if len(head) < 27:
            return
        if head[:4] != b"OggS":
            found = (head + file.read(_BLOCK)).find(b"OggS", 1)
            at += found if found > 0 else _BLOCK
            continue
        lacing = file.read(head[26])
        serial, size = head[14:18], sum(lacing)
        if head[5] & 2:
            firsts[serial] = file.read(min(size, 16))
        elif (first := firsts.pop(serial, None)) is not None:
            body = file.read(size)
            start = _ogg_comments(first, body)
            if start is not None and _ogg_count(body, start) > MOST_TAGS:
                # The list then has no name of a program and no comments. The demuxer ignores the rest.
                body = body[:start] + bytes(8) + body[start + 8 :]
                page = head[:22] + bytes(4) + head[26:] + lacing + body
                yield at + 22, struct.pack("<I", _ogg_checksum(page))
                yield at + 27 + len(lacing) + start, bytes(8)
        at += 27 + len(lacing) + size


def _ogg_comments(first: bytes, body: bytes) -> int | None:
    """Return where the comments begin in the second packet of a stream; None if it has no comments."""
    if body.startswith(b"OpusTags"):
        return 8
    if first.startswith((b"Speex", b"CELT")):
        return 0
    if first.startswith(b"\x7fFLAC"):
        return 4 if body[:1] and body[0] & 127 == 4 else None
    return 7


def _ogg_count(body: bytes, start: int) -> int:
    """Return the stated number of comments, or a large number if the page does not state it."""
    vendor = int.from_bytes(body[start : start + 4], "little")
    count = body[start + 4 + vendor : start + 8 + vendor]
    if len(body) < 255 and len(count) < 4:
        return 0  # the packet ends here
    return int.from_bytes(count, "little") if len(count) == 4 else MOST_TAGS + 1


@cache
def _ogg_table() -> list[int]:
    table = []
    for value in range(256):
        register = value << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(register)
    return table


def _ogg_checksum(page: bytes) -> int:
    table, checksum = _ogg_table(), 0
    for byte in page:
        checksum = (checksum << 8 & 0xFFFFFFFF) ^ table[checksum >> 24 ^ byte]
    return checksum
