"""Files that somebody has joined are read to the end of the last one, on one timeline."""

from __future__ import annotations

import struct
import subprocess
from io import BytesIO
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import soundfile
from imageio_ffmpeg import get_ffmpeg_exe

from speech.errors import UnsupportedMedia
from speech.files.concatenated import layout_of
from speech.sound.decode import decode
from speech.types import DecodeReport
from tests.speech.sounds import Pcm, Track, beep_times_ms, beeps, decoded, silence, tone, write_media

KINDS = {
    "wav": ("pcm_s16le", 16_000, {}),
    "w64": ("pcm_s16le", 16_000, {}),
    "aiff": ("pcm_s16be", 22_050, {}),
    "caf": ("pcm_s16le", 44_100, {}),
    "au": ("pcm_s16be", 16_000, {}),
    "flac": ("flac", 44_100, {}),
    "tta": ("tta", 16_000, {}),
    "wv": ("wavpack", 16_000, {}),
    "voc": ("pcm_s16le", 16_000, {}),
    "ipod": ("aac", 44_100, {}),
    "mp4": ("aac", 48_000, {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "mp3": ("libmp3lame", 44_100, {}),
    "ogg": ("libopus", 48_000, {}),
    "webm": ("libopus", 48_000, {}),
    "matroska": ("flac", 44_100, {"live": "1"}),
    "avi": ("libmp3lame", 44_100, {}),
    "flv": ("aac", 44_100, {}),
    "amr": ("libopencore_amrnb", 8_000, {}),
}


def made(folder: Path, kind: str, pcm: Pcm | None = None) -> bytes:
    codec, rate, options = KINDS[kind]
    track = Track(beeps(3, rate=rate) if pcm is None else pcm, rate, codec)
    write_media(folder / kind, track, kind=kind, **options)  # type: ignore[arg-type]
    return (folder / kind).read_bytes()


def converted(folder: Path, kind: str, *options: str) -> bytes:
    """The beeps as ffmpeg's own program writes them, which has more encoders than PyAV."""
    wav = write_media(folder / "source.wav", Track(beeps(3)), kind="wav")
    command = [get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", wav, *options, "-f", kind, folder / "out"]
    subprocess.run(command, check=True, timeout=60)
    return (folder / "out").read_bytes()


def assert_beeps(samples: Pcm, files: int, *, apart_ms: int = 90) -> None:
    """Three beeps in each of so many files, a second apart but for what encoders put around them."""
    times = beep_times_ms(samples)
    assert len(times) == 3 * files
    assert np.diff(times) == pytest.approx(1000, abs=apart_ms)
    assert len(samples) == pytest.approx(48_000 * files, abs=16 * apart_ms * files)


@pytest.mark.parametrize("kind", KINDS)
def test_two_of_a_kind(tmp_path: Path, kind: str) -> None:
    data = made(tmp_path, kind)
    samples, report = decoded(data + data)
    assert_beeps(samples, 2)
    assert (report.parts, report.unread_bytes, report.cut_off_samples, report.clock_jumps) == (2, 0, 0, 0)
    assert not report.damaged


def test_two_of_windows_media(tmp_path: Path) -> None:
    data = converted(tmp_path, "asf", "-ar", "44100", "-c:a", "wmav2")
    samples, report = decoded(data + data)
    assert_beeps(samples, 2, apart_ms=200)
    assert report.parts == 2


@pytest.mark.parametrize("first", ["wav", "ipod", "flac", "ogg", "mp3", "webm", "aiff"])
def test_files_of_several_kinds(tmp_path: Path, first: str) -> None:
    names = [first, "wav", "ipod", "w64", "ogg", "webm"]
    samples, report = decoded(b"".join(made(tmp_path, name) for name in names))
    assert_beeps(samples, 6)
    assert (report.parts, report.unread_bytes, report.damaged) == (6, 0, False)


@pytest.mark.parametrize("order", list(permutations(["opus", "vorbis", "flac"])))
def test_an_ogg_goes_on_with_another_codec_and_rate(tmp_path: Path, order: tuple[str, ...]) -> None:
    links = {
        "opus": Track(beeps(3, rate=48_000), 48_000, "libopus"),
        "flac": Track(beeps(3, rate=44_100), 44_100, "flac"),
    }
    files = [
        converted(tmp_path, "ogg", "-ar", "24000", "-ac", "2", "-c:a", "libvorbis")
        if name == "vorbis"
        else write_media(tmp_path / name, links[name], kind="ogg").read_bytes()
        for name in order
    ]
    samples, report = decoded(b"".join(files))
    assert_beeps(samples, 3)
    assert (report.parts, report.clock_jumps) == (3, 0)


def test_short_files_are_not_taken_for_repeated_ones(tmp_path: Path) -> None:
    data = made(tmp_path, "ogg", tone(0.3, rate=48_000))
    samples, report = decoded(data * 10)
    assert len(samples) == pytest.approx(48_000, abs=50)
    assert report.dropped_samples == 0


def test_the_sound_of_an_ogg_with_a_picture_is_one_file(tmp_path: Path) -> None:
    page = made(tmp_path, "ogg")
    first = page[: page.index(b"OggS", 4)]
    assert len(layout_of(BytesIO(first.replace(b"OpusHead", b"fishead\0") + page)).parts) == 1


def test_joined_files_are_decoded_in_pieces_like_the_whole(tmp_path: Path) -> None:
    data = made(tmp_path, "webm") + made(tmp_path, "ogg") + made(tmp_path, "webm")
    whole, _ = decoded(data)
    for start in (0, 20_000, 60_000, 120_000):
        report = DecodeReport()
        blocks = list(decode(BytesIO(data), report=report, max_duration_s=60, start_sample=start))
        rest = np.concatenate(blocks).astype(np.int32)
        assert len(rest) == len(whole) - start
        assert np.abs(rest - whole[start:]).max() <= 2


def test_a_part_that_cannot_be_read_is_counted_and_the_others_are_read(tmp_path: Path) -> None:
    wav = made(tmp_path, "wav")
    broken = made(tmp_path, "flac")[:42] + bytes(range(1, 200)) * 200
    samples, report = decoded(wav + broken + wav)
    assert_beeps(samples, 2)
    assert (report.parts, report.unread_bytes) == (2, len(broken))


def test_what_comes_after_a_file_of_another_sort_is_not_looked_for(tmp_path: Path) -> None:
    wav = made(tmp_path, "wav")
    with pytest.raises(UnsupportedMedia):
        decoded(b"PK\x03\x04" + bytes(26) + wav)


def test_it_stops_at_a_number_of_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speech.files.concatenated._MOST_PARTS", 3)
    wav = made(tmp_path, "wav")
    samples, report = decoded(wav * 5)
    assert_beeps(samples, 3)
    assert (report.parts, report.unread_bytes) == (3, 2 * len(wav))


class _Counting(BytesIO):
    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"RIFF\x00\x00\x00\x00WAVEfmt " * 100_000, id="headers of WAV"),
        pytest.param(b"RIFF\xff\xff\xff\x00WAVEdata\xff\xff\xff\x00" * 50_000, id="sizes past the end"),
        pytest.param(b"RIFF\x24\x00\x00\x00WAVE" + b"JUNK\0\0\0\0" * 200_000, id="chunks"),
        pytest.param(b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\0\x08free" * 300_000, id="boxes"),
        pytest.param(b"ID3\x04\0\0\0\0\0\0" * 200_000, id="tags"),
        pytest.param(b"fLaC\0\0\0\x22" * 100_000, id="headers of FLAC"),
        pytest.param((b"RIFF\x04\0\0\0WAVEdata\0\0\0\0" + bytes(5000)) * 400, id="padding"),
    ],
)
def test_hostile_files_cost_a_few_times_their_length(data: bytes) -> None:
    file = _Counting(data)
    layout = layout_of(file)
    assert len(layout.parts) <= 10_000
    assert file.count < 40 * len(data) + 20_000_000


# What headers say


def wav_of(pcm: Pcm, stated: int | None = None, more: bytes = b"") -> bytes:
    sound = pcm.tobytes()
    size = len(sound) if stated is None else stated
    head = (
        b"RIFF"
        + struct.pack("<I", 36)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    )
    return head + b"data" + struct.pack("<I", size) + sound + more


@pytest.mark.parametrize("stated", [0, 1000, 48_000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wrong_size_of_a_wav_is_not_believed(stated: int) -> None:
    data = wav_of(beeps(3), stated)
    samples, report = decoded(data)
    assert np.array_equal(samples, beeps(3))
    assert (report.unread_bytes, report.cut_off_samples) == (0, 0)
    joined, report = decoded(data + data)
    assert np.array_equal(joined, np.tile(beeps(3), 2))
    assert report.parts == 2


@pytest.mark.parametrize(
    ("kind", "key", "form"),
    [("aiff", b"SSND", ">I"), ("au", b".snd\0\0\0\x20", ">I"), ("caf", b"data", ">q")],
)
@pytest.mark.parametrize("stated", [0, 20_000])
def test_a_wrong_size_of_others_is_not_believed(
    tmp_path: Path, kind: str, key: bytes, form: str, stated: int
) -> None:
    data = bytearray(made(tmp_path, kind))
    at = data.index(key) + len(key) if key else 8
    data[at : at + struct.calcsize(form)] = struct.pack(form, stated)
    samples, report = decoded(bytes(data))
    assert_beeps(samples, 1)
    assert report.unread_bytes == 0


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b"LIST" + struct.pack("<I", 8) + b"INFOabcd", id="LIST"),
        pytest.param(b"TAG" + b"title".ljust(125, b"\0"), id="ID3v1"),
        pytest.param(
            b"APETAGEX" + struct.pack("<4I8x", 2000, 9000, 1, 0xA0000000) + b"\x05" * 9000, id="APE"
        ),
        pytest.param(bytes(100_000), id="padding"),
        pytest.param(bytes(5000) + b"TAG" + b"title".ljust(125, b"\0"), id="padding and ID3v1"),
        pytest.param(b"\xff\xd8\xff\xe0" + bytes(range(1, 256)) * 100, id="a picture"),
        pytest.param(b"<x:xmpmeta>free</x:xmpmeta>" * 1000, id="text"),
    ],
)
def test_what_is_no_sound_at_the_end_is_not_reported(tmp_path: Path, tail: bytes) -> None:
    for data in (wav_of(beeps(3)), made(tmp_path, "ipod")):
        samples, report = decoded(data + tail)
        assert_beeps(samples, 1)
        assert (report.parts, report.unread_bytes, report.cut_off_samples) == (1, 0, 0)


def test_a_long_chunk_after_the_sound_is_not_reported() -> None:
    chunk = b"id3 " + struct.pack("<I", 40_000) + b"\x01" * 40_000
    samples, report = decoded(wav_of(beeps(3), more=chunk))
    assert np.array_equal(samples, beeps(3))
    assert report.unread_bytes == 0


def test_bytes_that_nobody_knows_at_the_end_are_counted(tmp_path: Path) -> None:
    rest = bytes(range(7, 256)) * 60
    for data in (wav_of(beeps(3)), made(tmp_path, "ipod")):
        samples, report = decoded(data + rest)
        assert_beeps(samples, 1)
        assert report.unread_bytes == len(rest)


@pytest.mark.parametrize(
    ("valid", "subtype"),
    [(24, "PCM_32"), (20, "PCM_32"), (16, "PCM_32"), (20, "PCM_24"), (16, "PCM_24"), (12, "PCM_16")],
)
def test_fewer_valid_bits_than_a_sample_has(tmp_path: Path, valid: int, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", beeps(3), 16_000, subtype=subtype, format="WAVEX")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    at = data.index(b"fmt ") + 8
    data[at + 18 : at + 20] = struct.pack("<H", valid)
    samples, _ = decoded(bytes(data))
    assert np.abs(samples.astype(np.int32) - beeps(3)).max() <= 1
    if valid % 8 == 0:
        data[at + 14 : at + 16] = struct.pack("<H", valid)
        assert np.array_equal(decoded(bytes(data))[0], samples)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("wav", {}), ("w64", {}), ("aiff", {}), ("caf", {}), ("au", {}), ("flac", {}), ("tta", {}),
        ("wv", {}), ("ipod", {"movflags": "faststart"}), ("webm", {}), ("avi", {}), ("flv", {}), ("mp3", {}),
    ],
)  # fmt: skip
def test_what_the_header_promises_and_is_not_there_is_counted(
    tmp_path: Path, kind: str, options: dict[str, str]
) -> None:
    codec, rate, _ = KINDS[kind]
    pcm = np.tile(np.random.default_rng(3).integers(-9000, 9000, rate, dtype=np.int16), 10)
    write_media(tmp_path / "a", Track(pcm, rate, codec), kind=kind, **options)  # type: ignore[arg-type]
    data = (tmp_path / "a").read_bytes()
    assert decoded(data)[1].cut_off_samples == 0
    samples, report = decoded(data[: len(data) * 2 // 3])
    assert report.cut_off
    apart = 12_000 if kind == "avi" else 3000  # told by bytes
    assert report.cut_off_samples + len(samples) == pytest.approx(160_000, abs=apart)
    if kind != "wv":  # it has large blocks, of which none is read in part
        assert report.cut_off_samples == pytest.approx(53_000, abs=8000)
    pieces = DecodeReport()
    list(decode(BytesIO(data[: len(data) * 2 // 3]), report=pieces, max_duration_s=60, start_sample=0))
    assert pieces.cut_off_samples == 0


def test_an_ogg_whose_last_page_is_not_whole_is_cut_off_by_nobody_knows_how_much(tmp_path: Path) -> None:
    data = made(tmp_path, "ogg", silence(5, rate=48_000) + 1)
    page = data.rindex(b"OggS")
    for end, cut_off in ((page, False), (page + 10, True), (page + 40, True), (len(data), False)):
        report = decoded(data[:end])[1]
        assert (report.cut_off, report.cut_off_samples) == (cut_off, 0)
    assert not decoded(data[: page + 40] + data)[1].cut_off  # what follows it is all there


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("flv", {"flvflags": "no_duration_filesize"}),
        ("mp3", {"write_xing": "0"}),
        ("matroska", {}),
    ],
)
def test_what_was_streamed_states_no_length_and_is_not_said_to_be_cut_off(
    tmp_path: Path, kind: str, options: dict[str, str]
) -> None:
    codec, rate, usual = KINDS[kind]
    track = Track(beeps(5, rate=rate), rate, codec)
    data = write_media(tmp_path / "a", track, kind=kind, **(usual | options)).read_bytes()
    for end in (len(data), len(data) * 2 // 3):
        assert not decoded(data[:end])[1].cut_off


def test_a_nist_file_states_its_samples() -> None:
    pcm = np.random.default_rng(3).integers(-9000, 9000, 160_000, dtype=np.int16)
    fields = "sample_count -i 160000\nsample_n_bytes -i 2\nchannel_count -i 1\nsample_byte_format -s2 01\n"
    rest = "sample_rate -i 16000\nsample_coding -s3 pcm\nend_head\n"
    data = f"NIST_1A\n   1024\n{fields}{rest}".encode().ljust(1024) + pcm.tobytes()
    assert not decoded(data)[1].cut_off
    samples, report = decoded(data[: len(data) * 2 // 3])
    assert report.cut_off_samples + len(samples) == 160_000


def test_windows_media_is_cut_off_unless_its_header_says_that_it_was_streamed(tmp_path: Path) -> None:
    data = converted(tmp_path, "asf", "-ar", "44100", "-c:a", "wmav2")
    assert not decoded(data)[1].cut_off
    half = bytearray(data[: len(data) // 2])
    report = decoded(bytes(half))[1]
    assert report.cut_off_samples == pytest.approx(24_000, abs=6000)
    half[half.index(bytes.fromhex("a1dcab8c47a9cf11")) + 88] |= 1
    assert not decoded(bytes(half))[1].cut_off


@pytest.mark.parametrize("kind", ["mp3", "ogg", "mp4", "matroska", "avi", "flv", "wv", "tta", "voc"])
def test_no_false_alarm_where_the_header_does_not_say_the_length(tmp_path: Path, kind: str) -> None:
    data = made(tmp_path, kind, silence(5, rate=KINDS[kind][1]) + 1)
    assert decoded(data)[1].cut_off_samples == 0
    assert decoded(data + data)[1].cut_off_samples == 0


def test_a_lie_about_the_length_is_bounded(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path, "caf"))
    at = data.index(b"data") + 4
    data[at : at + 8] = struct.pack(">q", 1 << 60)
    assert decoded(bytes(data))[1].cut_off_samples == 16_000 * 48 * 3600
