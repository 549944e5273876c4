"""A stream that arrives in pieces becomes the same samples as the whole of it, wherever it was cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import SEEK_CUR, SEEK_END
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from speech.errors import AudioTooLong, UnreadableAudio
from speech.files.frames import LONGEST_LOOK
from speech.files.recorded_stream import RecordedStream, is_continuation
from speech.sound.decode import decode
from speech.sound.working_copy import read_samples, write_working_copy
from speech.types import DecodeReport
from tests.speech.sounds import Pcm, Track, beep_times_ms, beeps, decoded, tone, write_media

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"}
LIVE = {"live": "1", "cluster_time_limit": "1000"}
KINDS = {
    "webm": ("webm", "libopus", 48_000, LIVE),
    "mp4, 44.1 kHz": ("mp4", "aac", 44_100, FRAGMENTED),
    "mp4, 48 kHz": ("mp4", "aac", 48_000, FRAGMENTED),
    "ogg": ("ogg", "libopus", 48_000, {"page_duration": "1000000"}),
}
EDGES = {
    "webm": re.compile(rb"\x1f\x43\xb6\x75.{1,8}?\xe7", re.DOTALL),
    "mp4": re.compile(rb".{4}moof", re.DOTALL),
    "ogg": re.compile(rb"OggS"),
}
SEAM = 20
"""The resampler has not heard what follows when it gives the last samples of a piece: 1.25 ms at 16 kHz."""


def stream(folder: Path, kind: str, pcm: Pcm) -> bytes:
    container, codec, rate, options = KINDS[kind]
    return write_media(folder / "stream", Track(pcm, rate, codec), kind=container, **options).read_bytes()


def at_rate(recording: Path, rate: int) -> Pcm:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    with av.open(str(recording)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames + resampler.resample(None)])


def edges(data: bytes, kind: str) -> list[int]:
    """Where a fragment begins that can be found again, without those of the first second."""
    return [found.start() for found in EDGES[kind[:4].rstrip(",")].finditer(data)][3:]


def anywhere(data: bytes, count: int) -> list[int]:
    cuts = np.random.default_rng(5).integers(len(data) // 20, len(data), size=count)
    return sorted({int(cut) for cut in cuts})


def cut(folder: Path, data: bytes, cuts: Sequence[int]) -> list[Path]:
    pieces = []
    for number, (start, end) in enumerate(pairwise([0, *cuts, len(data)])):
        pieces.append(folder / f"{number}.piece")
        pieces[-1].write_bytes(data[start:end])
    return pieces


def copied(folder: Path, pieces: Sequence[Path | None]) -> tuple[list[Pcm], list[DecodeReport]]:
    """The working copies of the pieces, each made when no later one was there."""
    copies: list[Pcm] = []
    reports = []
    for number, piece in enumerate(pieces):
        if piece is None:
            continue
        start = sum(map(len, copies))
        with RecordedStream(pieces[: number + 1]) as source:
            report = write_working_copy(source, folder / "copy", max_duration_s=60, start_sample=start)
        copies.append((read_samples(folder / "copy", 0, 60_000) * 32768).astype(np.int16))
        assert report.samples == len(copies[-1])
        reports.append(report)
    return copies, reports


def assert_same(whole: Pcm, copies: Sequence[Pcm], *, noise: bool) -> None:
    """As many samples, and the same but for the seams; with `noise`, that of AAC is random (PNS)."""
    together = np.concatenate(copies)
    assert len(together) == len(whole)
    difference = together.astype(np.int32) - whole
    seams = np.cumsum([len(copy) for copy in copies])[:-1]
    near = np.zeros(len(whole), dtype=bool)
    for seam in seams:
        near[max(0, seam - SEAM) : seam] = True
    assert np.mean(np.square(difference)) < 0.001 * np.mean(np.square(whole.astype(np.float64)))
    if not noise:
        assert np.abs(difference[~near]).max() <= 1


@pytest.mark.recordings
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["at its edges", "anywhere"])
def test_the_copies_of_the_pieces_make_up_the_stream(
    recordings: Path, tmp_path: Path, kind: str, where: str
) -> None:
    data = stream(tmp_path, kind, at_rate(recordings / "en_sonnet1_53s.mp3", KINDS[kind][2]))
    cuts = edges(data, kind)[1::6] if where == "at its edges" else anywhere(data, 12)
    copies, reports = copied(tmp_path, cut(tmp_path, data, cuts))
    assert len(copies) >= 8
    assert_same(decoded(data)[0], copies, noise="mp4" in kind)
    assert not any(report.damaged for report in reports)
    assert sum(report.filled_samples + report.clock_jumps for report in reports) == 0


@pytest.mark.recordings
def test_a_stream_in_opposite_phase_is_the_same_in_pieces(recordings: Path, tmp_path: Path) -> None:
    voice = at_rate(recordings / "en_sonnet1_53s.mp3", 48_000)
    data = stream(tmp_path, "webm", np.stack([voice, -voice], axis=1))
    copies, _ = copied(tmp_path, cut(tmp_path, data, anywhere(data, 6)))
    whole, _ = decoded(data)
    assert np.abs(whole).max() > 10_000
    assert_same(whole, copies, noise=False)


@pytest.mark.recordings
@pytest.mark.parametrize("name", ["en_mediarecorder_like_austen_28s.webm", "en_browser_chrome_test_3s.webm"])
def test_the_stream_of_a_browser_can_be_cut_anywhere(recordings: Path, tmp_path: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    copies, reports = copied(tmp_path, cut(tmp_path, data, anywhere(data, 9)))
    assert_same(decoded(data)[0], copies, noise=False)
    assert not any(report.damaged for report in reports)


def test_both_channels_of_a_stream_are_heard(tmp_path: Path) -> None:
    pcm = np.stack([beeps(20, rate=48_000), tone(20, rate=48_000)], axis=1)
    data = stream(tmp_path, "webm", pcm)
    copies, _ = copied(tmp_path, cut(tmp_path, data, anywhere(data, 4)))
    assert_same(decoded(data)[0], copies, noise=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["at its edges", "anywhere"])
def test_a_lost_piece_is_silence_and_what_follows_keeps_its_times(
    tmp_path: Path, kind: str, where: str
) -> None:
    data = stream(tmp_path, kind, beeps(40, rate=KINDS[kind][2]))
    at = edges(data, kind)
    cuts = [at[len(at) * n // 5] for n in (1, 2, 3, 4)]
    if where == "anywhere":
        cuts = [place - 333 for place in cuts]
    pieces: list[Path | None] = [*cut(tmp_path, data, cuts)]
    pieces[2] = None
    copies, reports = copied(tmp_path, pieces)
    filled = [report.filled_samples for report in reports]
    back_ms = (len(copies[0]) + len(copies[1]) + filled[2]) // 16
    expected = beep_times_ms(decoded(data)[0])
    # The first frame after the loss leans on one that is gone, and may come in the middle of a beep.
    times = [time for time in beep_times_ms(np.concatenate(copies)) if not 0 <= time - back_ms + 20 < 80]
    assert 28 <= len(times) <= 34
    assert all(min(abs(time - other) for other in expected) <= 2 for time in times)
    assert sum(map(len, copies)) == pytest.approx(len(decoded(data)[0]), abs=32)
    assert filled[2] == pytest.approx(8 * 16_000, abs=2.5 * 16_000)
    assert filled[0] == filled[1] == filled[3] == 0


def test_a_piece_without_a_whole_packet_gives_an_empty_copy(tmp_path: Path) -> None:
    data = stream(tmp_path, "webm", beeps(15, rate=48_000))
    half = len(data) // 2
    copies, reports = copied(tmp_path, cut(tmp_path, data, [half, half + 1, half + 2]))
    assert len(copies[1]) == len(copies[2]) == 0
    assert (
        reports[1].as_json()
        == DecodeReport(container="matroska,webm", codec="opus", audio_streams=1).as_json()
    )
    assert_same(decoded(data)[0], copies, noise=False)


def test_an_empty_copy_is_read_as_any_other(tmp_path: Path) -> None:
    data = stream(tmp_path, "webm", beeps(3, rate=48_000))
    with RecordedStream(cut(tmp_path, data, [])) as source:
        write_working_copy(source, tmp_path / "copy", max_duration_s=60, start_sample=16_000 * 5)
    assert len(read_samples(tmp_path / "copy", 0, 1000)) == 0


def test_damage_in_an_earlier_piece_is_not_reported_again(tmp_path: Path) -> None:
    data = bytearray(stream(tmp_path, "ogg", tone(40, rate=48_000)))
    place = len(data) // 4
    data[place : place + 300] = np.random.default_rng(1).bytes(300)
    cuts = [len(data) // 2, len(data) * 3 // 4]
    _, reports = copied(tmp_path, cut(tmp_path, bytes(data), cuts))
    assert [report.filled_samples > 0 for report in reports] == [True, False, False]


def test_a_stream_may_start_with_the_limit_behind_it_but_a_piece_may_not_exceed_it(tmp_path: Path) -> None:
    pieces = cut(tmp_path, stream(tmp_path, "ogg", tone(40, rate=48_000)), [])
    for start_s, most_s in ((30, 10), (0, 40)):
        with RecordedStream(pieces) as source:
            list(decode(source, report=DecodeReport(), max_duration_s=most_s, start_sample=start_s * 16_000))
    with RecordedStream(pieces) as source, pytest.raises(AudioTooLong):
        list(decode(source, report=DecodeReport(), max_duration_s=10, start_sample=16_000))


def test_pieces_without_the_first_are_unreadable(tmp_path: Path) -> None:
    data = stream(tmp_path, "mp4, 48 kHz", tone(10, rate=48_000))
    pieces = cut(tmp_path, data, edges(data, "mp4")[:1])
    with RecordedStream(pieces[1:]) as source, pytest.raises(UnreadableAudio):
        list(decode(source, report=DecodeReport(), max_duration_s=60, start_sample=0))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\x18ftyp",
        b"\0\0\0\x01ftyp" + b"\xff" * 8,
        b"\0\0\0\x08ftyp" + b"\0\0\0\x08free" * 600_000,
        b"\0\0\0\x08ftyp\0\0\0\0moof",
    ],
    ids=["empty", "half a header", "the longest box", "many boxes", "a box without an end"],
)
def test_a_hostile_mp4_is_unreadable(tmp_path: Path, data: bytes) -> None:
    piece = tmp_path / "a.piece"
    piece.write_bytes(data)
    for pieces in ([piece], [piece, None, piece], [piece, piece]):
        with RecordedStream(pieces) as source, pytest.raises(UnreadableAudio):
            list(decode(source, report=DecodeReport(), max_duration_s=60, start_sample=0))


def test_joined_files_read_as_one(tmp_path: Path) -> None:
    data = np.random.default_rng(2).bytes(300_000)
    with RecordedStream(cut(tmp_path, data, [1, 2, 70_000, 70_000, 200_001])) as file:
        assert file.read() == data
        for place, size in ((0, 5), (69_990, 20), (1, 250_000), (299_999, 10), (400_000, 1)):
            assert file.seek(place) == place
            assert file.read(size) == data[place : place + size]
        assert file.seek(-7, SEEK_END) == 299_993
        assert file.seek(3, SEEK_CUR) == file.tell() == 299_996
        assert file.read(100) == data[-4:]


def test_hundreds_of_files_need_one_descriptor(tmp_path: Path) -> None:
    data = bytes(range(256)) * 3
    pieces = cut(tmp_path, data, list(range(1, len(data))))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with RecordedStream(pieces) as file:
        assert file.read() == data
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("kind", KINDS)
def test_fragments_of_a_stream_are_continuations_and_its_begin_is_not(tmp_path: Path, kind: str) -> None:
    data = stream(tmp_path, kind, beeps(10, rate=KINDS[kind][2]))
    assert not is_continuation(data[:64])
    places = edges(data, kind) + anywhere(data, 200)
    assert all(is_continuation(data[place:][:LONGEST_LOOK]) for place in places)


@pytest.mark.parametrize(
    ("kind", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 16_000),
        ("w64", "pcm_s16le", 16_000),
        ("aiff", "pcm_s16be", 44_100),
        ("caf", "pcm_s16le", 44_100),
        ("au", "pcm_s16be", 22_050),
        ("flac", "flac", 44_100),
        ("mp3", "libmp3lame", 44_100),
        ("ipod", "aac", 44_100),
        ("3gp", "libopencore_amrnb", 8_000),
        ("amr", "libopencore_amrnb", 8_000),
        ("avi", "libmp3lame", 44_100),
        ("flv", "aac", 44_100),
        ("matroska", "flac", 44_100),
    ],
)
def test_a_file_with_a_header_is_no_continuation(tmp_path: Path, kind: str, codec: str, rate: int) -> None:
    path = write_media(tmp_path / "a", Track(tone(1, rate=rate), rate, codec), kind=kind)
    assert not is_continuation(path.read_bytes()[:64])


def test_an_empty_file_is_no_continuation() -> None:
    assert not is_continuation(b"")
