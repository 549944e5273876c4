"""What is left of a damaged file keeps its times."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from speech.errors import UnreadableAudio
from speech.sound.decode import decode
from speech.types import DecodeReport
from tests.speech.sounds import Pcm, Track, beep_times_ms, beeps, decoded, tone, write_media

EVERY_SECOND = [500, 1500, 2500, 3500, 4500, 5500, 6500, 7500, 8500, 9500]


def level(samples: Pcm) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def damaged(path: Path, at: float, *, length: int = 600) -> bytes:
    """The file with `length` bytes of noise at this part of it."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + length] = np.random.default_rng(1).bytes(length)
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "codec", "rate", "most_lost_s"),
    [
        ("mp3", "libmp3lame", 44_100, 0.2),
        ("ac3", "ac3", 48_000, 0.2),
        ("mp4", "aac", 48_000, 0.2),
        ("mpegts", "aac", 48_000, 0.2),
        ("flac", "flac", 48_000, 0.2),
        ("ogg", "libopus", 48_000, 1.0),  # a page
        ("matroska", "libopus", 48_000, 5.0),  # the rest of a cluster, when sizes are hit
    ],
)
def test_damage_costs_what_it_hit_and_does_not_shift_the_rest(
    tmp_path: Path, kind: str, codec: str, rate: int, most_lost_s: float
) -> None:
    path = write_media(tmp_path / "a", Track(tone(10, rate=rate), rate, codec), kind=kind)
    whole, _ = decoded(path)
    samples, report = decoded(damaged(path, 0.5))
    assert 0 < report.filled_samples <= 16_000 * most_lost_s
    assert len(samples) == pytest.approx(len(whole), abs=160)
    silent = sum(level(samples[at : at + 160]) < 100 for at in range(0, 160_000, 160)) / 100
    assert silent <= most_lost_s


@pytest.mark.recordings
def test_corrupt_frames_in_a_recording_do_not_shift_what_follows(recordings: Path) -> None:
    clean, _ = decoded(recordings / "en_sonnet1_53s.mp3")
    data = bytearray((recordings / "en_sonnet1_53s.mp3").read_bytes())
    for at in (90_000, 200_000, 320_000):
        data[at : at + 1500] = bytes(1500)
    samples, report = decoded(bytes(data))
    assert report.bad_packets >= 3
    assert report.filled_samples < 16_000
    assert [lag_ms(clean, samples, second) for second in (5, 15, 30, 45, 50)] == [0, 0, 0, 0, 0]


def lag_ms(clean: Pcm, other: Pcm, second: int) -> int:
    """By how much a second of `other` is late against `clean`, looked for within half a second."""
    wanted = clean[16_000 * second :][:16_000].astype(np.float64)
    around = other[16_000 * second - 8_000 :][:32_000].astype(np.float64)
    return (int(np.argmax(np.correlate(around, wanted, mode="valid"))) - 8_000) // 16


def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", Track(beeps(10, rate=48_000), 48_000, "libopus"), kind="matroska")
    data = path.read_bytes()
    samples, _ = decoded(data[: len(data) // 2])
    assert beep_times_ms(samples) == EVERY_SECOND[: len(beep_times_ms(samples))]
    assert 3 <= len(beep_times_ms(samples)) <= 6


def test_a_file_of_damage_alone_is_unreadable(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", Track(tone(5, rate=48_000), 48_000, "aac"), kind="mp4")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    with pytest.raises(UnreadableAudio):
        decoded(bytes(data))


def test_an_mp4_without_its_index_is_unreadable(tmp_path: Path) -> None:
    track = Track(tone(5, rate=48_000), 48_000, "aac")
    data = write_media(tmp_path / "a.mp4", track, kind="mp4").read_bytes()
    with pytest.raises(UnreadableAudio):
        decoded(data[: data.index(b"moov") - 4])


def test_a_disk_that_fails_is_not_taken_for_a_damaged_file(tmp_path: Path) -> None:
    class Failing(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 200_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    data = write_media(tmp_path / "a.wav", Track(tone(20)), kind="wav").read_bytes()
    with pytest.raises(OSError, match="Input/output error"):
        list(decode(Failing(data), report=DecodeReport(), max_duration_s=60))
