"""Find where one file ends and the next begins in files that somebody has put together with `cat`.

ffmpeg reads the first file and stops at its end. So the layout is found before ffmpeg reads: from the lengths
in headers if they agree with what lies there, else by a search for whole headers. MP3, AAC and similar kinds
need no division; only a file of another kind, which is complete in itself, is divided off. If a header states
too small a length, ffmpeg gets the file with the right number in its place.

The work is bounded: in a file that is made of a million headers, what lies behind `_MOST_PARTS` counts as
unread.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from speech.files.kinds import EBML, HEAD_BYTES, is_name, keys_to_search, kind_of
from speech.files.parts import Part
from speech.files.plain_sound import PLAIN_KINDS, plain_part
from speech.files.scan import MOST_STEPS, STRAY_BYTES, Scan
from speech.probing.signatures import is_foreign

_MOST_PARTS = 10_000
_MOST_CHUNKS = 1_000  # in one file
_LONGEST_HEADER = 1 << 20
_LONGEST_PAGE = 65_307
_ASF_PROPERTIES = b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65"
_ASF_PACKETS = b"\x36\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
_ASF_STREAMED = 1
_FLV_TAGS = (8, 9, 18)
_SEGMENT = b"\x18\x53\x80\x67"


@dataclass
class Layout:
    """The parts in their order.

    `unread_bytes` counts the bytes that are in no part and may have been sound.
    """

    parts: list[Part] = field(default_factory=list)
    unread_bytes: int = 0


def layout_of(file: BinaryIO) -> Layout:
    """Find the parts of `file`.

    It has one part, all of it, unless something shows more. The position of `file` moves.
    """
    scan = Scan(file)
    layout = Layout()
    start = 0
    while True:
        part = _part(scan, start)
        layout.parts.append(part)
        after = scan.after(part.end)
        if after.is_known and after.head is None:
            return layout
        next_head = after.head
        if next_head is None:
            next_head = scan.search(part.end + 1, keys_to_search())
            if not is_foreign(scan.read(after.at, 512)):
                stray = (scan.length if next_head is None else next_head) - after.at
                layout.unread_bytes += stray if stray > STRAY_BYTES else 0
        if next_head is None:
            return layout
        if len(layout.parts) == _MOST_PARTS or scan.steps >= MOST_STEPS:
            layout.unread_bytes += scan.length - next_head
            return layout
        start = next_head


def _part(scan: Scan, start: int) -> Part:
    """Return the file that begins at `start`."""
    # An ID3 tag may stand before a file of any kind.
    body = scan.behind_tag(start) if scan.read(start, 3) == b"ID3" else start
    kind = kind_of(scan.read(body, HEAD_BYTES))
    if not kind:
        return Part(start, scan.length)
    if kind in PLAIN_KINDS:
        return replace(plain_part(scan, body, kind), start=start)
    stated = None
    if kind in _ENDS:
        stated = _ENDS[kind](scan, body)
        if stated is not None and stated <= scan.length and (kind == "mp4" or scan.agrees(stated)):
            return Part(start, stated)
    found = scan.search(body + 1, keys_to_search(kind))
    if kind in _LAST_ENDS and found is None:
        stated = _LAST_ENDS[kind](scan, body)
    missing = max(0, (stated or 0) - scan.length)
    missing_bytes = missing if kind in _WITHOUT_TIME else 0
    return Part(start, found or scan.length, cut_off=missing > 0, missing_bytes=missing_bytes)


def _end_of_mp4(scan: Scan, start: int) -> int | None:
    """Return where the boxes of an mp4 end, which may be past the end of the file; None if they do
    not tell.
    """
    at: int = start
    seen: set[bytes] = set()
    while scan.steps < MOST_STEPS:
        scan.steps += 1
        head = scan.read(at, 16)
        if len(head) < 8:
            break
        size, name = struct.unpack_from(">I4s", head)
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack_from(">Q", head, 8)
        if size == 0 and is_name(name):
            return scan.length
        if name == b"ftyp" and seen & {b"moov", b"mdat", b"moof"}:
            return at
        if size < 8 or not is_name(name):
            break
        seen.add(name)
        at += size
        if at > scan.length:
            return at
    else:
        return scan.length
    return at if b"moov" in seen else None


def _end_of_matroska(scan: Scan, start: int) -> int | None:
    at = start
    for _ in range(_MOST_CHUNKS):
        scan.steps += 1
        head = scan.read(at, 12)
        name = head[:4]
        if at > start and name != _SEGMENT:
            return at
        size = _ebml_size(head[4:])
        if size is None or name not in (EBML, _SEGMENT):
            return None
        at += 4 + size[0] + size[1]
        if at >= scan.length:
            return at
    return None


def _end_of_avi(scan: Scan, start: int) -> int | None:
    at = start
    for _ in range(_MOST_CHUNKS):
        scan.steps += 1
        head = scan.read(at, 12)
        if at > start and not (head[:4] == b"RIFF" and head[8:] == b"AVIX"):
            return at
        size = int.from_bytes(head[4:8], "little")
        if size in (0, 0xFFFFFFFF):
            return None
        at += 8 + size + size % 2
        if at >= scan.length:
            return at
    return None


def _end_of_asf(scan: Scan, start: int) -> int | None:
    """Return where the packets of an ASF file end.

    In a streamed file a flag says that the stated size means nothing.
    """
    (size,) = struct.unpack("<Q", scan.read(start + 16, 8).ljust(8, b"\0"))
    header = scan.read(start, min(size, _LONGEST_HEADER))
    properties = header.find(_ASF_PROPERTIES)
    name, packets = struct.unpack("<16sQ", scan.read(start + size, 24).ljust(24, b"\0"))
    flags = header[properties + 88 : properties + 89]
    is_stated = name == _ASF_PACKETS and properties >= 0 and flags and not flags[0] & _ASF_STREAMED
    return start + size + packets if is_stated else None


def _end_of_flv(scan: Scan, start: int) -> int | None:
    at = start + 13
    while scan.steps < MOST_STEPS:
        scan.steps += 1
        head = scan.read(at, 4)
        if len(head) < 4 or head[0] not in _FLV_TAGS:
            return at
        at += 15 + int.from_bytes(head[1:], "big")
        if at > scan.length:
            return at
    return None


def _end_of_mp3(scan: Scan, start: int) -> int | None:
    """Return where the frames end.

    The index in the first frame says it, and also how many frames there are.
    """
    head = scan.read(start, 64)
    for at in (36, 21, 13):
        if head[at : at + 4] in (b"Xing", b"Info") and head[at + 7 : at + 8] and head[at + 7] & 3 == 3:
            return start + int.from_bytes(head[at + 12 : at + 16], "big")
    return start + int.from_bytes(head[46:50], "big") if head[36:40] == b"VBRI" else None


def _end_of_ogg(scan: Scan, start: int) -> int | None:
    """Return where the last page ends by its own header."""
    at = max(start, scan.length - _LONGEST_PAGE)
    end = scan.read(at, _LONGEST_PAGE)
    page = end[max(0, end.rfind(b"OggS")) :]
    count = page[26] if len(page) > 26 else 0
    # If even the header of the page is cut off, the result lies behind the end of the file as well.
    return scan.length - len(page) + 27 + count + sum(page[27 : 27 + count])


def _ebml_size(head: bytes) -> tuple[int, int] | None:
    """Return how many bytes state the size, and the size; None for an unknown size."""
    if not head or not head[0]:
        return None
    width = 9 - head[0].bit_length()
    size = int.from_bytes(head[:width], "big") & ((1 << 7 * width) - 1)
    return None if len(head) < width or size == (1 << 7 * width) - 1 else (width, size)


_ENDS = {
    "mp4": _end_of_mp4, "matroska": _end_of_matroska, "avi": _end_of_avi, "asf": _end_of_asf,
    "flv": _end_of_flv,
}  # fmt: skip
# In these kinds the next file is searched for. Only the last file can lack its end.
_LAST_ENDS = {"mp3": _end_of_mp3, "ogg": _end_of_ogg}
# For these kinds ffmpeg takes what is there for everything, whatever length the header states.
_WITHOUT_TIME = ("avi", "asf")
