"""How long the index is that ffmpeg will build of an mp4 or mov, found out before it is built.

The tables may say "a hundred million frames" in a few bytes, and ffmpeg takes up to 70 bytes of memory for
each: a file of 10 kB fills gigabytes while it is opened. Here the numbers are read and nothing is built.
(ISO/IEC 14496-12: hdlr 8.4.3, stts 8.6.1.2, stsz and stz2 8.7.3, stsc 8.7.4, stco 8.7.5, trun 8.8.8.)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

# Where ffmpeg looks for tables, which is in more places than the standard puts them.
_WITH_CHILDREN = {
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex",
    b"dinf", b"edts", b"tref", b"udta", b"wave", b"ilst", b"sinf", b"schi", b"meta",
}  # fmt: skip
_HIDDEN = {b"cmov", b"hoov"}  # compressed or misnamed tables, of the last century
_OTHER_HANDLERS = {b"vide", b"subp", b"clcp", b"text", b"sbtl"}
_PLAIN = {
    b"sowt", b"twos", b"raw ", b"NONE", b"lpcm", b"ipcm", b"fpcm", b"in24", b"in32", b"fl32", b"fl64",
    b"ulaw", b"alaw", b"ima4", b"MAC3", b"MAC6", b"agsm",
}  # fmt: skip
_LARGEST = 1 << 62  # of an atom; a file cannot be sought to more
_STSC_BYTES = 12 << 18


@dataclass
class _Tables:
    """What the tables of one track say. Where one comes twice, the worse counts."""

    frames: int = 0
    chunks: int = 0
    samples_a_chunk: int = 0
    plain_samples: bool = True
    handlers: set[bytes] = field(default_factory=set)

    @property
    def index_length(self) -> int:
        if self.plain_samples and b"soun" in self.handlers and self.handlers.isdisjoint(_OTHER_HANDLERS):
            # Each sample is a "frame" of its own, and ffmpeg reads 1024 of them together.
            return self.chunks * -(-self.samples_a_chunk // 1024)
        return self.frames


def index_length(file: BinaryIO, *, most_atoms: int) -> int | None:
    """The most entries that the index may get, 0 for what is no mp4; None where that cannot be said.

    It cannot where there are more than `most_atoms` atoms or where tables are compressed. Moves the position
    of `file`. Where an atom is damaged the count ends, as does ffmpeg's reading.
    """
    tracks = [_Tables()]
    fragments = position = 0
    for _ in range(most_atoms):
        file.seek(position)
        head = file.read(20)
        if len(head) < 8:
            break
        size, kind = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1 and len(head) >= 16:
            size, header = struct.unpack_from(">Q", head, 8)[0], 16
        if kind == b"trak":
            tracks.append(_Tables())
        first_child = head[header + 4 : header + 8]
        if kind in _HIDDEN or first_child == b"cmov":
            return None
        if kind in _WITH_CHILDREN or (kind == b"free" and first_child == b"mvhd"):
            # Only the meta of QuickTime has no version before its children.
            position += header + (4 if kind == b"meta" and first_child != b"hdlr" else 0)
            continue
        file.seek(position + header)
        if kind == b"trun":
            fragments += _numbers(file, 2)[1]
        else:
            _read_table(file, kind, tracks[-1])
        if not header <= size < _LARGEST:
            break  # 0: it goes on to the end of the file
        position += size
    else:
        return None
    return fragments + sum(track.index_length for track in tracks)


def _read_table(file: BinaryIO, kind: bytes, track: _Tables) -> None:
    if kind == b"hdlr":
        track.handlers.add(file.read(12)[8:])
    elif kind == b"stsd":
        track.plain_samples &= _numbers(file, 2)[1] == 1 and file.read(8)[4:] in _PLAIN
    elif kind == b"stts":
        _, entries, _, delta = _numbers(file, 4)
        track.plain_samples &= (entries, delta) == (1, 1)
    elif kind in (b"stsz", b"stz2"):
        track.frames = max(track.frames, _numbers(file, 3)[2])
    elif kind in (b"stco", b"co64"):
        track.chunks = max(track.chunks, _numbers(file, 2)[1])
    elif kind == b"stsc":
        entries = _numbers(file, 2)[1]
        table = file.read(min(12 * entries, _STSC_BYTES))
        runs = np.frombuffer(table, dtype=">u4", count=len(table) // 12 * 3).reshape(-1, 3)
        track.samples_a_chunk = max(track.samples_a_chunk, int(runs[:, 1].max(initial=0)))


def _numbers(file: BinaryIO, count: int) -> tuple[int, ...]:
    """32-bit numbers, the first of which is version and flags; 0 past the end of the file."""
    return struct.unpack(f">{count}I", file.read(4 * count).ljust(4 * count, b"\0"))
