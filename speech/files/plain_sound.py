"""Files of samples in chunks, such as WAV: where they end, and what is wrong in their headers.

A program that streams cannot go back to correct the header, so it writes a size of 0, of all ones, or of the
first seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from speech.files.kinds import is_name, keys_to_search
from speech.files.parts import Mended, Part
from speech.files.scan import STRAY_BYTES, Scan

PLAIN_KINDS = ("wav", "w64", "aiff", "caf", "au")

_MOST_CHUNKS = 1_000
_GUID_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # of the chunks of Wave64


@dataclass
class _Sound:
    """The bytes of sound in such a file, and where its header states their number."""

    start: int
    stated: int
    number: int = 0
    form: str = "<I"
    adds: int = 0  # what the stated number counts besides the sound
    bytes_a_second: int = 0


def plain_part(scan: Scan, start: int, kind: str) -> Part:
    """Return the file that begins at `start` and is of one of `PLAIN_KINDS`.

    A stated size that is too small is mended if nothing that makes sense follows the sound.
    """
    sound, end, mended = _sound(scan, start, kind)
    if sound is None:
        return Part(start, scan.length, mended=mended)
    stated_end = sound.start + sound.stated
    if stated_end <= scan.length:
        rest = scan.length - end
        nothing_lost = rest < max(STRAY_BYTES, sound.bytes_a_second) if sound.stated else not rest
        # Sound of unknown length may be silence, which looks like padding.
        if nothing_lost or (sound.stated and scan.agrees(end)):
            return Part(start, end, mended=mended)
    end = scan.search(sound.start, keys_to_search(kind)) or scan.length
    missing = max(0, stated_end - end)
    if not missing or kind == "w64":  # ffmpeg refuses the largest sizes in w64
        right = min(end - sound.start + sound.adds, 2 ** (8 * struct.calcsize(sound.form) - 1) - 1)
        mended += ((sound.number, struct.pack(sound.form, right)),)
    unknown = 0x7FFF0000 if sound.form[1] == "I" else 1 << 61  # what programs write that cannot know the size
    cut_off = missing > 0 and sound.stated < unknown
    return Part(start, end, cut_off, missing if cut_off else 0, mended)


def _sound(scan: Scan, start: int, kind: str) -> tuple[_Sound | None, int, Mended]:
    """Return where the sound is, if that is known, where the chunks end, and what is wrong in the format."""
    if kind == "au":
        header, size = struct.unpack(">II", scan.read(start + 4, 8).ljust(8, b"\0"))
        return _Sound(start + header, size, start + 8, ">I"), min(start + header + size, scan.length), ()
    sound = None
    mended: Mended = ()
    end = start + {"wav": 12, "aiff": 12, "caf": 8, "w64": 40}[kind]
    rate = 0
    for at, name, size, number, form in _chunks(scan, end, kind, scan.read(start, 4)):
        if name == b"fmt " and kind in ("wav", "w64"):
            content = scan.read(at, 40)
            rate = struct.unpack_from(form[0] + "I", content.ljust(40, b"\0"), 8)[0]
            mended = _mended_bits(content, at, form[0])
        elif name == b"desc" and kind == "caf":
            a_second, packet, frames = struct.unpack(">d8xII", scan.read(at, 24).ljust(24, b"\0"))
            rate = round(a_second * packet / frames) if frames and 0 < a_second < 1e6 else 0
        elif name in (b"data", b"SSND") and sound is None:
            sound = _Sound(at, size, number, form, 24 if kind == "w64" else 0, rate)
        end = min(at + size, scan.length)
    return sound, end, mended


def _chunks(scan: Scan, at: int, kind: str, magic: bytes) -> Iterator[tuple[int, bytes, int, int, str]]:
    """Yield for each chunk: where its content begins, its name, its size, and where and how the size is
    written.
    """
    wide = 0  # the place where an RF64 has the size of its sound
    for _ in range(_MOST_CHUNKS):
        scan.steps += 1
        if kind == "w64":
            head = scan.read(at, 24)
            if len(head) < 24 or head[4:16] != _GUID_TAIL:
                return
            size = max(0, struct.unpack_from("<Q", head, 16)[0] - 24)
            name, content, number, form = head[:4], at + 24, at + 16, "<Q"
            align = 8
        else:
            form = ">q" if kind == "caf" else ">I" if kind == "aiff" or magic == b"RIFX" else "<I"
            width = struct.calcsize(form)
            head = scan.read(at, 4 + width)
            if len(head) < 4 + width:
                return
            name, size = head[:4], struct.unpack_from(form, head, 4)[0]
            content, number = at + 4 + width, at + 4
            align = 1 if kind == "caf" else 2
        if size < 0:  # only in CAF, where it means: to the end
            size = 1 << 62
        if wide and name == b"data" and size == 0xFFFFFFFF:
            number, form = wide, "<Q"
            size = struct.unpack("<Q", scan.read(wide, 8).ljust(8, b"\0"))[0]
        is_sound = name in (b"data", b"SSND")
        if not is_sound and (not is_name(name) or content + size > scan.length or scan.begins(at)):
            return
        if name == b"ds64":
            wide = content + 8
        yield content, name, size, number, form
        at = content + size
        if at > scan.length:
            return
        padded = at + -size % align
        # Some programs leave the padding out.
        at = at if align == 2 and is_name(scan.read(at, 4)) and not is_name(scan.read(padded, 4)) else padded


def _mended_bits(content: bytes, at: int, order: str) -> Mended:
    """Return the right numbers of bits for a WAV format at `at` whose samples are wider than it says.

    With 24 valid bits in 32, ffmpeg takes the stated number for the width, and the sound becomes noise. The
    samples stand at the high end. In the shorter form of the format, 24 in 32 is what Cool Edit wrote, and
    ffmpeg knows that.
    """
    if len(content) < 16:
        return ()
    tag, channels, _, _, block, bits = struct.unpack_from(order + "HHIIHH", content)
    long_form = tag == 0xFFFE and len(content) >= 40
    coding, valid = struct.unpack_from(order + "H4xH", content, 18)[::-1] if long_form else (tag, bits)
    if not channels or block % channels:
        return ()
    width = block // channels
    if coding not in (1, 3) or width not in (1, 2, 3, 4, 8) or (bits, valid) == (8 * width, 8 * width):
        return ()
    if not long_form:
        return (
            ()
            if width == 4 or width == (bits + 7) // 8
            else ((at + 14, struct.pack(order + "H", 8 * width)),)
        )
    return ((at + 14, struct.pack(order + "H", 8 * width)), (at + 18, struct.pack(order + "H", 8 * width)))
