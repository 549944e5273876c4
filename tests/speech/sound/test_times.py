"""Times are those that a player shows, whatever the time stamps of a file say."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.speech.sounds import Track, beep_times_ms, beeps, decoded, write_media

EVERY_SECOND = [500, 1500, 2500, 3500, 4500, 5500, 6500, 7500, 8500, 9500]


@pytest.mark.parametrize(("kind", "codec"), [("matroska", "libopus"), ("mp4", "aac")])
def test_sound_that_starts_after_the_picture_keeps_the_picture_s_times(
    tmp_path: Path, kind: str, codec: str
) -> None:
    late = Track(beeps(3, rate=48_000), 48_000, codec, start_s=2)
    samples, report = decoded(write_media(tmp_path / "a", late, kind=kind, video_s=5))
    assert beep_times_ms(samples) == pytest.approx([2500, 3500, 4500], abs=2)
    assert report.filled_samples == pytest.approx(32_000, abs=400)


@pytest.mark.parametrize(("kind", "codec"), [("matroska", "libopus"), ("mp4", "aac"), ("ogg", "libopus")])
def test_a_hole_in_the_time_stamps_becomes_silence(tmp_path: Path, kind: str, codec: str) -> None:
    track = Track(beeps(10, rate=48_000), 48_000, codec, hole_s=(3.2, 6.2))
    samples, report = decoded(write_media(tmp_path / "a", track, kind=kind))
    assert beep_times_ms(samples) == pytest.approx(EVERY_SECOND[:3] + EVERY_SECOND[6:], abs=2)
    assert report.filled_samples == pytest.approx(48_000, abs=400)


def test_the_pauses_of_a_phone_recording_keep_their_length(tmp_path: Path) -> None:
    track = Track(beeps(2, rate=8_000), 8_000, "libopencore_amrnb")
    data = write_media(tmp_path / "a.amr", track, kind="amr").read_bytes()
    pause = b"\x7c" * 150  # 3 s of frames that say that there is no data (DTX)
    samples, report = decoded(data + pause + data[len(b"#!AMR\n") :])
    assert beep_times_ms(samples) == pytest.approx([500, 1500, 5500, 6500], abs=60)
    assert report.bad_packets == 0


def test_joined_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    track = Track(beeps(5, rate=48_000), 48_000, "libopus")
    data = write_media(tmp_path / "a.ogg", track, kind="ogg").read_bytes()
    samples, report = decoded(data + data)
    assert beep_times_ms(samples) == pytest.approx(EVERY_SECOND, abs=2)
    assert (report.parts, report.clock_jumps) == (2, 0)


def test_a_format_that_changes_on_the_way_is_read_on(tmp_path: Path) -> None:
    first = Track(np.stack([beeps(5, rate=44_100)] * 2, axis=1), 44_100, "libmp3lame")
    second = Track(beeps(5, rate=22_050), 22_050, "libmp3lame")
    bare = {"kind": "mp3", "write_xing": "0", "id3v2_version": "0"}
    data = b"".join(
        write_media(tmp_path / "a.mp3", track, **bare).read_bytes()  # type: ignore[arg-type]
        for track in (first, second)
    )
    samples, report = decoded(data)
    assert beep_times_ms(samples) == pytest.approx(EVERY_SECOND, abs=90)
    assert report.format_changes >= 1


COUNTED = {
    "adts": ("aac", (16_000, 44_100, 48_000)),
    "latm": ("aac", (16_000, 44_100, 48_000)),
    "mp3": ("libmp3lame", (16_000, 44_100, 48_000)),
    "ac3": ("ac3", (32_000, 44_100, 48_000)),
    "eac3": ("eac3", (32_000, 44_100, 48_000)),
}


@pytest.mark.parametrize("kind", COUNTED)
@pytest.mark.parametrize(
    "order", [(0, 2), (2, 0), (2, 1, 0, 2), (0, 1, 0, 2)], ids=["up", "down", "down and up", "up and down"]
)
def test_a_rate_that_changes_where_time_stamps_only_count(
    tmp_path: Path, kind: str, order: tuple[int, ...]
) -> None:
    codec, rates = COUNTED[kind]
    data = b""
    for number, place in enumerate(order):
        sound = beeps(4, rate=rates[place])
        pcm = np.stack([sound, sound], axis=1) if number % 2 else sound
        options = {"write_xing": "0", "id3v2_version": "0"} if kind == "mp3" else {}
        path = tmp_path / "a"
        write_media(path, Track(pcm, rates[place], codec), kind=kind, **options)  # type: ignore[arg-type]
        data += path.read_bytes()
    samples, report = decoded(data)
    times = beep_times_ms(samples)
    assert len(times) == 4 * len(order)
    assert np.diff(times) == pytest.approx(1000, abs=180)
    assert report.duration_ms == pytest.approx(4000 * len(order), abs=200 * len(order))
    assert (report.dropped_samples, report.bad_packets) == (0, 0)
    assert report.filled_samples == 0


def with_clock(path: Path, kind: str, codec: str, jumps: dict[float, float]) -> Path:
    """Twelve seconds whose time stamps are so much later from so many seconds on."""
    rate = 48_000
    pcm = beeps(12, rate=rate)
    with av.open(str(path), "w", format=kind) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.layout = "mono"
        packets = []
        for start in range(0, len(pcm), 960):
            frame = av.AudioFrame.from_ndarray(pcm[start : start + 960].reshape(1, -1), "s16", "mono")
            frame.sample_rate, frame.pts = rate, start
            packets += stream.encode(frame)
        for packet in packets + stream.encode(None):
            time_s = float(packet.pts * packet.time_base)
            late_s = [late for start, late in jumps.items() if start <= time_s]
            packet.pts += round(late_s[-1] / packet.time_base) if late_s else 0
            packet.dts = packet.pts
            out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("webm", "libopus"), ("mp4", "aac"), ("matroska", "pcm_s16le"), ("ogg", "libopus"), ("mpegts", "aac")],
)
def test_a_clock_that_jumps_by_hours_is_counted_and_costs_nothing(
    tmp_path: Path, kind: str, codec: str
) -> None:
    samples, report = decoded(with_clock(tmp_path / "a", kind, codec, {4: 7200, 8: 20_000}))
    assert len(beep_times_ms(samples)) == 12
    assert report.duration_ms == pytest.approx(12_000, abs=60)
    assert (report.clock_jumps, report.filled_samples, report.dropped_samples) == (2, 0, 0)


def test_sound_that_begins_hours_after_the_picture_is_a_jump_of_the_clock(tmp_path: Path) -> None:
    late = Track(beeps(3), start_s=7200)
    samples, report = decoded(write_media(tmp_path / "a", late, kind="matroska", video_s=1))
    assert beep_times_ms(samples) == [500, 1500, 2500]
    assert report.clock_jumps == 1
