"""A small mp4 cannot make ffmpeg fill the memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from speech.errors import AudioTooLong
from speech.probing.mp4_index import index_length
from speech.probing.probe import open_media, probe
from tests.speech.sounds import Track, decoded, silence, tone, write_media

HUNDRED_MILLION = 100_000_000


def length_of(data: bytes, *, most_atoms: int = 1000) -> int | None:
    return index_length(BytesIO(data), most_atoms=most_atoms)


def aac(tmp_path: Path, length_s: float = 2.0, **options: str) -> bytes:
    track = Track(tone(length_s, rate=48_000), 48_000, "aac")
    return write_media(tmp_path / "a.mp4", track, kind="mp4", **options).read_bytes()


def with_number(data: bytes, table: bytes, at: int, number: int) -> bytes:
    """The file with another number at this byte of a table's content."""
    start = data.index(table) + 4 + at
    return data[:start] + struct.pack(">I", number) + data[start + 4 :]


def bomb(data: bytes) -> bytes:
    """Frames of one byte each, a hundred million of them in one chunk."""
    data = with_number(with_number(data, b"stsz", 4, 1), b"stsz", 8, HUNDRED_MILLION)
    return with_number(with_number(data, b"stts", 8, HUNDRED_MILLION), b"stsc", 12, HUNDRED_MILLION)


def test_it_counts_the_frames_of_all_tracks(tmp_path: Path) -> None:
    one = length_of(aac(tmp_path))
    assert one == pytest.approx(2 * 48_000 / 1024, abs=2)
    track = Track(tone(2, rate=48_000), 48_000, "aac")
    path = write_media(tmp_path / "b.mp4", track, track, kind="mp4", video_s=2)
    assert length_of(path.read_bytes()) == 2 * one + 20


def test_it_counts_the_frames_of_fragments(tmp_path: Path) -> None:
    fragmented = aac(tmp_path, movflags="frag_keyframe+empty_moov", frag_duration="500000")
    assert fragmented.count(b"moof") > 2
    assert length_of(fragmented) == length_of(aac(tmp_path))
    assert length_of(with_number(fragmented, b"trun", 4, HUNDRED_MILLION)) > HUNDRED_MILLION


def test_plain_pcm_is_not_taken_for_a_frame_a_sample(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mov", Track(silence(600, rate=48_000), 48_000), kind="mov")
    assert length_of(path.read_bytes(), most_atoms=1000) < 60_000
    assert decoded(path)[1].duration_ms == 600_000


def test_what_is_no_mp4_has_no_index(tmp_path: Path) -> None:
    for kind, codec in (("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("matroska", "flac"), ("mpegts", "aac")):
        track = Track(tone(2, rate=48_000), 48_000, codec)
        assert length_of(write_media(tmp_path / kind, track, kind=kind).read_bytes()) == 0
    assert length_of(b"") == length_of(b"short") == length_of(bytes(100)) == 0


def test_it_does_not_count_for_ever(tmp_path: Path) -> None:
    atoms = (b"\x00\x00\x00\x08free" * 5000) + aac(tmp_path)
    assert length_of(atoms) is None
    assert length_of(atoms, most_atoms=10_000) == length_of(aac(tmp_path))


@pytest.mark.parametrize(
    "hide",
    [
        lambda data: data,
        lambda data: b"\x00\x00\x00\x10uuid" + bytes(8) + data,
        lambda data: data.replace(b"stbl", b"dinf"),
        lambda data: data.replace(b"stbl", b"udta").replace(b"minf", b"edts"),
        lambda data: data.replace(b"moov", b"free"),
        lambda data: data.replace(b"moov", b"hoov"),
        lambda data: data.replace(b"stsz", b"stz2"),
        lambda data: with_number(data, b"stts", 8, 1).replace(b"soun", b"vide"),
    ],
)
def test_a_bomb_is_neither_looked_at_nor_decoded(tmp_path: Path, hide: Callable[[bytes], bytes]) -> None:
    data = hide(bomb(aac(tmp_path)))
    assert len(data) < 50_000
    info = probe(BytesIO(data))
    assert (info.codec, info.audio_streams, info.duration_ms) == ("", 0, None)
    with pytest.raises(AudioTooLong), open_media(BytesIO(data)):
        pass
