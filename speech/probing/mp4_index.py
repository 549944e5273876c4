"""Find out how long the index is that ffmpeg will build of an mp4 or mov, before it is built.

The tables can say "a hundred million frames" in a few bytes, and ffmpeg takes up to 70 bytes of memory for
each, so opening a file of 10 kB can fill gigabytes. Here the numbers are only read. (ISO/IEC 14496-12: hdlr
8.4.3, stts 8.6.1.2, stsz and stz2 8.7.3, stsc 8.7.4, stco 8.7.5, trun 8.8.8.)
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from speech.probing.tag_blocks import MOST_TAGS

# Where ffmpeg looks for tables. These are more places than in the standard.
_WITH_CHILDREN = {
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex",
    b"dinf", b"edts", b"tref", b"udta", b"wave", b"ilst", b"sinf", b"schi", b"meta",
}  # fmt: skip
_HIDDEN = {b"cmov", b"hoov"}  # compressed or misnamed tables, from the last century
_OTHER_HANDLERS = {b"vide", b"subp", b"clcp", b"text", b"sbtl"}
_PLAIN = {
    b"sowt", b"twos", b"raw ", b"NONE", b"lpcm", b"ipcm", b"fpcm", b"in24", b"in32", b"fl32", b"fl64",
    b"ulaw", b"alaw", b"ima4", b"MAC3", b"MAC6", b"agsm",
}  # fmt: skip
_LARGEST = 1 << 62  # the largest size of an atom; a file has no position beyond
_STSC_BYTES = 12 << 18


@dataclass
class _Tables:
    """The contents of the tables of one track. If a table comes twice, the worse one counts."""

    frames: int = 0
    chunks: int = 0
    samples_a_chunk: int = 0
    plain_samples: bool = True
    handlers: set[bytes] = field(default_factory=set)
    formats: set[bytes] = field(default_factory=set)

    @property
    def index_length(self) -> int:
        if self.plain_samples and b"soun" in self.handlers and self.handlers.isdisjoint(_OTHER_HANDLERS):
            # Each sample counts as a frame, and ffmpeg reads 1024 of them together.
            return self.chunks * -(-self.samples_a_chunk // 1024)
        return self.frames


def index_length(file: BinaryIO, *, most_atoms: int, hidden: dict[int, bytes] | None = None) -> int | None:
    """Return the most entries that the index may get: 0 if the file is no mp4, None if that cannot be said.

    It cannot be said if there are more than `most_atoms` atoms, or if tables are compressed. Counting ends at
    a damaged atom, where ffmpeg's reading ends too. If there are too many tags, `hidden` gets the bytes that
    hide them, by offset. The position of `file` moves.
    """
    read = _tables(file, most_atoms, hidden)
    return None if read is None else read[1] + sum(track.index_length for track in read[0])


def sound_formats(file: BinaryIO, *, most_atoms: int) -> set[str]:
    """Return the names of the sample entries of the sound tracks, such as "mp4a"; none if that cannot be
    said.
    """
    tracks, _ = _tables(file, most_atoms) or ([], 0)
    heard = [track for track in tracks if b"soun" in track.handlers]
    return {name.decode("latin-1") for track in heard for name in track.formats}


def _tables(
    file: BinaryIO, most_atoms: int, hidden: dict[int, bytes] | None = None
) -> tuple[list[_Tables], int] | None:
    """Return the tables of each track, and the number of entries in fragments; None as in `index_length`."""
    tracks = [_Tables()]
    fragments = position = 0
    tags = tags_end = 0
    with_tags: list[int] = []
    length = file.seek(0, io.SEEK_END)
    for _ in range(most_atoms):
        if position >= length:
            break  # sizes have up to 64 bits, and seeking to such a place raises an error
        file.seek(position)
        head = file.read(20)
        if len(head) < 8:
            break
        size, kind = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1 and len(head) >= 16:
            size, header = struct.unpack_from(">Q", head, 8)[0], 16
        if kind in (b"udta", b"meta"):
            with_tags.append(position + 4)
            tags_end = max(tags_end, position + size)
        tags += position < tags_end
        if kind == b"trak":
            tracks.append(_Tables())
        first_child = head[header + 4 : header + 8]
        if kind in _HIDDEN or first_child == b"cmov":
            return None
        if kind in _WITH_CHILDREN or (kind == b"free" and first_child == b"mvhd"):
            # Only in QuickTime does a meta atom have no version before its children.
            position += header + (4 if kind == b"meta" and first_child != b"hdlr" else 0)
            continue
        file.seek(position + header)
        if kind == b"trun":
            fragments += _numbers(file, 2)[1]
        else:
            _read_table(file, kind, tracks[-1])
        if not header <= size < _LARGEST:
            break  # 0 means: to the end of the file
        position += size
    else:
        return None
    if hidden is not None and tags > MOST_TAGS:
        hidden.update(dict.fromkeys(with_tags, b"skip"))
    return tracks, fragments


def _read_table(file: BinaryIO, kind: bytes, track: _Tables) -> None:
    if kind == b"hdlr":
        track.handlers.add(file.read(12)[8:])
    elif kind == b"stsd":
        entries, name = _numbers(file, 2)[1], file.read(8)[4:]
        track.formats.add(name)
        track.plain_samples &= entries == 1 and name in _PLAIN
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
    """Read 32-bit numbers, the first of which is version and flags. Past the end of the file they are 0."""
    return struct.unpack(f">{count}I", file.read(4 * count).ljust(4 * count, b"\0"))
