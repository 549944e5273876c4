"""Time does not grow with the number of tags, and files with tags, or with pictures, are heard as without."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech.errors import UnreadableAudio
from speech.probing.probe import probe
from speech.probing.tag_blocks import _ogg_checksum
from tests.speech.sounds import Counting, Track, beeps, decoded, write_media

MANY = 40_000
MOST_S = 0.5
"""Of processor time. Without what is tested, each of the files takes from 2 to 15 s."""


def syncsafe(number: int) -> bytes:
    return bytes((number >> shift) & 127 for shift in (21, 14, 7, 0))


def id3(count: int) -> bytes:
    texts = [b"\0t%07d\0v" % n for n in range(count)]
    frames = b"".join(b"TXXX" + syncsafe(len(text)) + b"\0\0" + text for text in texts)
    return b"ID3\x04\0\0" + syncsafe(len(frames)) + frames


def vorbis_comments(count: int) -> bytes:
    return struct.pack("<II", 0, count) + b"".join(b"\x0a\0\0\0t%07d=v" % n for n in range(count))


def chunks(count: int) -> bytes:
    """Of RIFF INFO, with names of four letters."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
    names = (bytes(letters[n >> shift & 31] for shift in (15, 10, 5, 0)) for n in range(count))
    return b"INFO" + b"".join(name + b"\x02\0\0\0v\0" for name in names)


def ebml(name: bytes, content: bytes) -> bytes:
    return name + (len(content) | 1 << 56).to_bytes(8, "big") + content


def simple_tags(count: int) -> bytes:
    tags = (
        ebml(b"\x67\xc8", ebml(b"\x45\xa3", b"T%07d" % n) + ebml(b"\x44\x87", b"v")) for n in range(count)
    )
    return ebml(b"\x12\x54\xc3\x67", ebml(b"\x73\x73", ebml(b"\x63\xc0", b"") + b"".join(tags)))


def chapters(count: int) -> bytes:
    """Their ids go down: ffmpeg searches all of them for each that does not go up."""
    atoms = (
        ebml(b"\xb6", ebml(b"\x73\xc4", struct.pack(">I", count - n)) + ebml(b"\x91", bytes([n % 256])))
        for n in range(count)
    )
    return ebml(b"\x10\x43\xa7\x70", ebml(b"\x45\xb9", b"".join(atoms)))


def atom(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def itunes_tags(count: int) -> bytes:
    items = (
        atom(b"----", atom(b"mean", b"\0\0\0\0com.a") + atom(b"name", b"\0\0\0\0t%07d" % n)
             + atom(b"data", b"\0\0\0\x01\0\0\0\0v"))
        for n in range(count)
    )  # fmt: skip
    handler = atom(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    return atom(b"udta", atom(b"meta", bytes(4) + handler + atom(b"ilst", b"".join(items))))


def guid(text: str) -> bytes:
    return bytes.fromhex(text)


def asf_tags(kind: bytes, count: int) -> bytes:
    """As many objects as there must be: each counts its tags with 16 bits."""
    objects = []
    for start in range(0, count, 20_000):
        names = [f"t{n:07}\0".encode("utf-16-le") for n in range(start, min(count, start + 20_000))]
        value = "v\0".encode("utf-16-le")
        if kind == guid("40a4d0d207e3d21197f000a0c95ea850"):
            entries = [
                struct.pack("<H", len(n)) + n + struct.pack("<HH", 0, len(value)) + value for n in names
            ]
        else:
            entries = [struct.pack("<HHHHI", 0, 0, len(n), 0, len(value)) + n + value for n in names]
        content = struct.pack("<H", len(entries)) + b"".join(entries)
        objects.append(kind + struct.pack("<Q", 24 + len(content)) + content)
    return b"".join(objects)


# Where they are put


def sound(tmp_path: Path, kind: str, codec: str, rate: int = 16_000, **options: str) -> bytes:
    track = Track(beeps(3, rate=rate), rate=rate, codec=codec)
    return write_media(tmp_path / "sound", track, kind=kind, **options).read_bytes()


def put(data: bytes, at: int, more: bytes) -> bytes:
    assert at >= 0
    return data[:at] + more + data[at:]


def riff(data: bytes, more: bytes, *, size: str = "<I") -> bytes:
    data = put(data, 12, more)
    return data[:4] + struct.pack(size, len(data) - 8) + data[8:]


def mp3(tmp_path: Path) -> bytes:
    return sound(tmp_path, "mp3", "libmp3lame", id3v2_version="0")


def mp3_with_tag(tmp_path: Path, count: int) -> bytes:
    return id3(count) + mp3(tmp_path)


def mp3_with_many_tags(tmp_path: Path, count: int) -> bytes:
    return id3(count // 4) * 4 + mp3(tmp_path)


def joined_aac(tmp_path: Path, count: int) -> bytes:
    data = sound(tmp_path, "adts", "aac")
    return data + id3(count) + data


def flac_behind_tag(tmp_path: Path, count: int) -> bytes:
    return id3(count) + sound(tmp_path, "flac", "flac")


def flac(tmp_path: Path, count: int) -> bytes:
    data = sound(tmp_path, "flac", "flac")
    comments = vorbis_comments(count)
    return put(data, 4 + 4 + 34, b"\x04" + len(comments).to_bytes(3, "big") + comments)


def wav(tmp_path: Path, count: int) -> bytes:
    return riff(
        sound(tmp_path, "wav", "pcm_s16le"), b"LIST" + struct.pack("<I", 4 + 10 * count) + chunks(count)
    )


def wav_with_id3(tmp_path: Path, count: int) -> bytes:
    tag = id3(count)
    tag += bytes(len(tag) % 2)
    return riff(sound(tmp_path, "wav", "pcm_s16le"), b"id3 " + struct.pack("<I", len(tag)) + tag)


def aiff(tmp_path: Path, count: int) -> bytes:
    tag = id3(count)
    tag += bytes(len(tag) % 2)
    return riff(sound(tmp_path, "aiff", "pcm_s16be"), b"ID3 " + struct.pack(">I", len(tag)) + tag, size=">I")


def avi(tmp_path: Path, count: int) -> bytes:
    data = sound(tmp_path, "avi", "pcm_s16le")
    return put(data, data.index(b"movi") - 8, b"LIST" + struct.pack("<I", 4 + 10 * count) + chunks(count))


def w64(tmp_path: Path, count: int) -> bytes:
    data = sound(tmp_path, "w64", "pcm_s16le")
    entries = b"".join(
        b"%04d" % (n % 10_000) + b"\x04\0\0\0" + "v\0".encode("utf-16-le") for n in range(count)
    )
    content = struct.pack("<I", count) + entries
    content += bytes(-len(content) % 8)
    head = guid("bc945f925a52d21186dc00c04f8edb8a") + struct.pack("<Q", 24 + len(content))
    return put(data, data.index(b"data\xf3\xac\xd3\x11"), head + content)


def asf(tmp_path: Path, kind: bytes, count: int) -> bytes:
    data = sound(tmp_path, "asf", "libmp3lame")
    (length, objects) = struct.unpack_from("<QI", data, 16)
    more = asf_tags(kind, count)
    data = put(data, length, more)
    return data[:16] + struct.pack("<QI", length + len(more), objects + -(-count // 20_000)) + data[28:]


def asf_content(tmp_path: Path, count: int) -> bytes:
    return asf(tmp_path, guid("40a4d0d207e3d21197f000a0c95ea850"), count)


def asf_library(tmp_path: Path, count: int) -> bytes:
    return asf(tmp_path, guid("941c23449894d149a1411d134e457054"), count)


def matroska(tmp_path: Path, more: bytes) -> bytes:
    data = sound(tmp_path, "matroska", "libopus", 48_000, live="1")
    return put(data, data.index(b"\x1f\x43\xb6\x75"), more)


def matroska_tags(tmp_path: Path, count: int) -> bytes:
    return matroska(tmp_path, simple_tags(count))


def matroska_chapters(tmp_path: Path, count: int) -> bytes:
    return matroska(tmp_path, chapters(count))


def mp4(tmp_path: Path, count: int) -> bytes:
    return mp4_with(sound(tmp_path, "mp4", "aac"), itunes_tags(count))


def mp4_with(data: bytes, tags: bytes) -> bytes:
    moov = data.index(b"moov") - 4
    (length,) = struct.unpack_from(">I", data, moov)
    data = put(data, moov + 8, tags)
    return data[:moov] + struct.pack(">I", length + len(tags)) + data[moov + 4 :]


def caf(tmp_path: Path, count: int) -> bytes:
    data = sound(tmp_path, "caf", "pcm_s16be")
    content = struct.pack(">I", count) + b"".join(b"t%07d\0v\0" % n for n in range(count))
    return put(data, data.index(b"data"), b"info" + struct.pack(">Q", len(content)) + content)


def flv(tmp_path: Path, count: int) -> bytes:
    data = sound(tmp_path, "flv", "pcm_s16le", 44_100)
    names = b"".join(b"\0\x08t%07d\x01\x01" % n for n in range(count))
    script = b"\x02\0\x0aonMetaData\x08" + struct.pack(">I", count) + names + b"\0\0\x09"
    tag = b"\x12" + len(script).to_bytes(3, "big") + bytes(7) + script
    return put(data, 13, tag + struct.pack(">I", len(tag)))


def pages(data: bytes) -> Iterator[tuple[bytes, list[int], bytes]]:
    at = 0
    while at < len(data):
        lacing = list(data[at + 27 : at + 27 + data[at + 26]])
        end = at + 27 + len(lacing) + sum(lacing)
        yield data[at : at + 26], lacing, data[at + 27 + len(lacing) : end]
        at = end


def page(head: bytes, lacing: list[int], body: bytes) -> bytes:
    whole = head[:22] + bytes(4) + bytes([len(lacing)]) + bytes(lacing) + body
    return whole[:22] + struct.pack("<I", _ogg_checksum(whole)) + whole[26:]


def ogg(data: bytes, before: bytes, count: int, after: bytes = b"") -> bytes:
    """The same stream with other comments: they begin its second page."""
    (first, *rest) = pages(data)
    head, lacing, body = rest[0]
    old = next(n for n, size in enumerate(lacing) if size < 255) + 1
    comments = before + vorbis_comments(count) + after
    sizes = [255] * (len(comments) // 255) + [len(comments) % 255]
    made = [page(first[0], first[1], first[2])]
    at = 0
    for start in range(0, len(sizes), 255):
        some = sizes[start : start + 255]
        flags = bytes([1 if start else 0])
        # Nothing ends on a page that goes on.
        moment = head[6:14] if start + 255 >= len(sizes) else b"\xff" * 8
        made.append(page(head[:5] + flags + moment + head[14:], some, comments[at : at + sum(some)]))
        at += sum(some)
    if lacing[old:]:
        made.append(page(head[:5] + b"\0" + head[6:], lacing[old:], body[sum(lacing[:old]) :]))
    return b"".join(made + [page(*one) for one in rest[1:]])


def ogg_opus(tmp_path: Path, count: int) -> bytes:
    return ogg(sound(tmp_path, "ogg", "libopus", 48_000), b"OpusTags", count)


def ogg_vorbis(tmp_path: Path, count: int) -> bytes:
    soundfile.write(tmp_path / "sound.ogg", beeps(3), 16_000)
    return ogg((tmp_path / "sound.ogg").read_bytes(), b"\x03vorbis", count, b"\x01")


def ogg_flac(tmp_path: Path, count: int) -> bytes:
    size = len(vorbis_comments(count))
    return ogg(sound(tmp_path, "ogg", "flac"), b"\x84" + size.to_bytes(3, "big"), count)


def chained_opus(tmp_path: Path, count: int) -> bytes:
    data = sound(tmp_path, "ogg", "libopus", 48_000)
    # Another number, as every chain has.
    other = b"".join(page(head[:14] + b"next" + head[18:], *rest) for head, *rest in pages(data))
    return data + ogg(other, b"OpusTags", count)


TAGGED = [
    mp3_with_tag, mp3_with_many_tags, joined_aac, flac_behind_tag, flac, wav, wav_with_id3, aiff, avi, w64,
    asf_content, asf_library, matroska_tags, matroska_chapters, mp4, caf, flv, ogg_opus, ogg_vorbis, ogg_flac,
    chained_opus,
]  # fmt: skip


@pytest.mark.parametrize("tagged", TAGGED)
def test_forty_thousand_tags_cost_little_and_change_nothing_that_is_heard(
    tmp_path: Path, tagged: Callable[[Path, int], bytes]
) -> None:
    few, many = tagged(tmp_path, 3), tagged(tmp_path, MANY)
    start = time.process_time()
    probe(BytesIO(many))
    after_probe = time.process_time()
    samples, report = decoded(many)
    assert after_probe - start < MOST_S
    assert time.process_time() - after_probe < 2 * MOST_S  # it opens the file twice
    expected, _ = decoded(few)
    assert not report.damaged
    assert np.array_equal(samples, expected)


@pytest.mark.parametrize("tagged", TAGGED)
def test_few_tags_cost_no_bit_of_the_sound(tmp_path: Path, tagged: Callable[[Path, int], bytes]) -> None:
    info = probe(BytesIO(tagged(tmp_path, 3)))
    assert info.audio_streams == 1
    samples, report = decoded(tagged(tmp_path, 3))
    assert not report.damaged
    assert np.array_equal(samples, decoded(tagged(tmp_path, 0))[0])


def test_a_cover_of_ten_megabytes_is_passed_over(tmp_path: Path) -> None:
    size = 10 << 20
    picture = b"APIC" + syncsafe(size) + b"\0\0" + b"\0image/png\0\x03\0" + bytes(size - 13)
    info = probe(BytesIO(b"ID3\x04\0\0" + syncsafe(len(picture)) + picture + mp3(tmp_path)))
    assert (info.codec, info.duration_ms) == ("mp3", 3000)
    data = sound(tmp_path, "flac", "flac")
    block = struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">6I", 0, 1, 1, 24, 0, size) + bytes(size)
    covered = put(data, 42, b"\x06" + len(block).to_bytes(3, "big") + block)
    assert probe(BytesIO(covered)).duration_ms == 3000
    assert np.array_equal(decoded(covered)[0], decoded(data)[0])


def test_a_header_that_is_too_long_to_look_at_is_left_to_decoding(tmp_path: Path) -> None:
    cover = atom(b"covr", atom(b"data", b"\0\0\0\x0d" + bytes(8 << 20)))
    handler = atom(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    tags = atom(b"udta", atom(b"meta", bytes(4) + handler + atom(b"ilst", cover)))
    file = Counting(mp4_with(sound(tmp_path, "mp4", "aac"), tags))
    info = probe(file)
    assert file.count < 5 << 20
    assert (info.codec, info.audio_streams, info.duration_ms) == ("", 0, None)
    assert decoded(file.getvalue())[1].duration_ms == pytest.approx(3000, abs=60)


def test_tags_that_never_end_are_a_damaged_file(tmp_path: Path) -> None:
    for content in (id3(0) * 20_000 + mp3(tmp_path), b"fLaC" + b"\x01\0\0\0" * 20_000):
        with pytest.raises(UnreadableAudio):
            probe(BytesIO(content))
