"""Any recording becomes 16 kHz mono on the times that a player shows, as far as it can be read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from speech.decode import decode
from speech.errors import AudioTooLong, NoAudio, UnreadableAudio
from speech.types import DecodeReport
from tests.speech.sounds import Pcm, Track, beep_times_ms, beeps, decoded, silence, tone, write_media

EVERY_SECOND = [500, 1500, 2500, 3500, 4500, 5500, 6500, 7500, 8500, 9500]


def level(samples: Pcm) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize(
    ("kind", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 16_000),
        ("wav", "pcm_u8", 8_000),
        ("wav", "pcm_mulaw", 8_000),
        ("w64", "pcm_s16le", 96_000),
        ("aiff", "pcm_s16be", 44_100),
        ("caf", "pcm_s16le", 44_100),
        ("au", "pcm_s16be", 22_050),
        ("flac", "flac", 44_100),
        ("mp3", "libmp3lame", 44_100),
        ("mp2", "mp2", 48_000),
        ("adts", "aac", 44_100),
        ("ac3", "ac3", 48_000),
        ("eac3", "eac3", 48_000),
        ("ipod", "aac", 44_100),
        ("mov", "alac", 44_100),
        ("3gp", "libopencore_amrnb", 8_000),
        ("amr", "libopencore_amrnb", 8_000),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("matroska", "flac", 44_100),
        ("avi", "libmp3lame", 44_100),
        ("flv", "aac", 44_100),
        ("mpegts", "aac", 48_000),
        ("mpeg", "mp2", 48_000),
    ],
)
def test_it_reads_every_accepted_kind_at_its_times(tmp_path: Path, kind: str, codec: str, rate: int) -> None:
    path = write_media(tmp_path / "a", Track(beeps(10, rate=rate), rate, codec), kind=kind)
    samples, report = decoded(path)
    # Encoders without a way to say so add up to 25 ms at the front.
    assert beep_times_ms(samples) == pytest.approx(EVERY_SECOND, abs=32)
    assert report.duration_ms == pytest.approx(10_000, abs=50)
    assert len(samples) == report.samples
    assert not report.damaged
    assert report.filled_samples == report.dropped_samples == report.format_changes == report.clock_jumps == 0


def test_samples_that_are_right_already_are_not_changed(tmp_path: Path) -> None:
    pcm = tone(3.21)
    samples, _ = decoded(write_media(tmp_path / "a.wav", Track(pcm), kind="wav"))
    assert np.array_equal(samples, pcm)


def test_it_gives_blocks_of_about_a_second(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.ogg", Track(tone(5, rate=48_000), 48_000, "libopus"), kind="ogg")
    blocks = list(decode(path, report=DecodeReport(), max_duration_s=60))
    assert all(block.dtype == np.int16 and block.ndim == 1 for block in blocks)
    assert all(16_000 <= len(block) < 16_400 for block in blocks[:-1])


# Damage


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


# No sound


def test_a_video_without_sound_has_no_audio(tmp_path: Path) -> None:
    with pytest.raises(NoAudio):
        decoded(write_media(tmp_path / "a.mp4", kind="mp4", video_s=1))


@pytest.mark.parametrize("format_name", ["WAV", "AIFF"])
def test_a_header_with_nothing_behind_it_has_no_audio(tmp_path: Path, format_name: str) -> None:
    soundfile.write(tmp_path / "a", np.zeros(0), 16_000, format=format_name)
    with pytest.raises(NoAudio):
        decoded(tmp_path / "a")


def test_a_length_that_the_header_made_up_is_not_believed(tmp_path: Path) -> None:
    data = bytearray(write_media(tmp_path / "a.wav", Track(tone(2)), kind="wav").read_bytes())
    at = data.index(b"data") + 4
    for claimed in (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", (3_200_000).to_bytes(4, "little")):
        data[at : at + 4] = claimed
        assert decoded(bytes(data))[1].duration_ms == 2000


# Times


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
    assert report.clock_jumps == 1


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


# Channels and tracks


def test_stereo_whose_channels_cancel_each_other_out_is_heard(tmp_path: Path) -> None:
    sound = beeps(10, rate=48_000)
    track = Track(np.stack([sound, -sound], axis=1), 48_000)
    samples, _ = decoded(write_media(tmp_path / "a.wav", track, kind="wav"))
    assert beep_times_ms(samples) == EVERY_SECOND
    assert np.abs(samples).max() == pytest.approx(0.3 * 32767, rel=0.02)


def test_both_sides_of_a_call_are_heard(tmp_path: Path) -> None:
    near, far = tone(2, hz=300, rate=8_000), tone(2, hz=700, rate=8_000)
    sound = np.stack([np.concatenate([near, 0 * far]), np.concatenate([0 * near, far])], axis=1)
    samples, _ = decoded(write_media(tmp_path / "a.wav", Track(sound, 8_000), kind="wav"))
    assert level(samples[:32_000]) == pytest.approx(level(near) / 2, rel=0.05)
    assert level(samples[32_000:]) == pytest.approx(level(far) / 2, rel=0.05)


def test_the_voice_of_a_film_is_heard(tmp_path: Path) -> None:
    sound = np.zeros((160_000, 6), dtype=np.int16)
    sound[:, 2] = beeps(10)  # the centre of 5.1
    track = Track(sound, 16_000, "flac")
    assert beep_times_ms(decoded(write_media(tmp_path / "a.flac", track, kind="flac"))[0]) == EVERY_SECOND


@pytest.mark.parametrize("count", [3, 6, 20])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_every_microphone_of_a_recorder_is_heard(tmp_path: Path, count: int, subtype: str) -> None:
    for microphone in range(count):
        sound = np.zeros((16_000, count))
        sound[:, microphone] = tone(1) / 32768
        soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype=subtype)
        samples, _ = decoded(tmp_path / "a.wav")
        assert level(samples) == pytest.approx(level(tone(1)) / count, rel=0.05)


def test_it_takes_the_default_track(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", Track(tone(3)), Track(beeps(3), default=True), kind="matroska")
    samples, report = decoded(path)
    assert beep_times_ms(samples) == EVERY_SECOND[:3]
    assert (report.audio_streams, report.notes) == (2, [])


def test_it_takes_the_track_with_sound_when_the_default_one_is_silent(tmp_path: Path) -> None:
    muted = Track(silence(3), default=True)
    samples, report = decoded(write_media(tmp_path / "a.mkv", muted, Track(beeps(3)), kind="matroska"))
    assert beep_times_ms(samples) == EVERY_SECOND[:3]
    assert report.notes == ["The first audio track is silent, so another one was taken."]


def test_silence_in_all_tracks_is_silence_and_no_error(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", Track(silence(3)), Track(silence(3)), kind="matroska")
    samples, _ = decoded(path)
    assert (len(samples), int(np.abs(samples).max())) == (48_000, 0)


# Limits


def test_it_refuses_what_is_longer_than_allowed_and_does_not_cut_it(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", Track(tone(12)), kind="wav")
    assert decoded(path, max_duration_s=12)[1].duration_ms == 12_000
    with pytest.raises(AudioTooLong, match="0:00:10"):
        decoded(path, max_duration_s=10)


def test_a_small_file_that_claims_hours_between_packets_ends_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start_s in (0, 3000, 6000):
            frame = av.AudioFrame.from_ndarray(tone(0.1).reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, start_s * 16_000
            out.mux(stream.encode(frame))
    assert path.stat().st_size < 20_000
    assert decoded(path, max_duration_s=7200)[1].duration_ms == 6_000_100
    with pytest.raises(AudioTooLong):
        decoded(path, max_duration_s=60)


@pytest.mark.parametrize("rate", [1, 100, 2**31 - 1])
def test_a_sample_rate_that_would_fill_the_memory_is_unreadable(tmp_path: Path, rate: int) -> None:
    data = bytearray(write_media(tmp_path / "a.wav", Track(tone(2)), kind="wav").read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    with pytest.raises(UnreadableAudio):
        decoded(bytes(data))


MEASURE = """
import resource, sys
from pathlib import Path
from speech.decode import decode
from speech.types import DecodeReport

report = DecodeReport()
early = 0
for _ in decode(Path(sys.argv[1]), report=report, max_duration_s=12 * 3600):
    if not early and report.duration_ms > 600_000:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(report.duration_ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early)
"""


@pytest.fixture
def ten_hours_of_silence(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "silence.flac"
    minute = np.zeros(16_000 * 60, dtype=np.int16)
    with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16", format="FLAC", compression_level=0) as file:
        for _ in range(600):
            file.write(minute)
    yield path
    path.unlink()


@pytest.mark.slow
def test_ten_hours_take_no_more_memory_than_ten_minutes(ten_hours_of_silence: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(ten_hours_of_silence)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    duration_ms, grown_kb = map(int, done.stdout.split())
    assert duration_ms == 36_000_000
    assert grown_kb < 4_096


# Real recordings


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "duration_ms"),
    [
        ("en_jfk_11s.flac", 11_000),
        ("en_sonnet1_53s.mp3", 53_266),
        ("en_two_cities_44s.m4a", 44_394),
        ("en_video_austen_28s.mp4", 28_288),
        ("en_mediarecorder_like_austen_28s.webm", 28_234),
        ("en_browser_chrome_test_3s.webm", 2_700),
        ("fr_telephone_8k_29s.wav", 29_218),
        ("en_call_2spk_stereo_8k.wav", 35_062),
        ("ja_common_voice_7s.mp3", 6_516),
        ("music_synth_12s.ogg", 12_000),
        ("silence_10s.wav", 10_000),
        ("truncated_half_sonnet1.mp3", 24_974),
    ],
)
def test_it_reads_recordings_to_their_end(recordings: Path, name: str, duration_ms: int) -> None:
    samples, report = decoded(recordings / name)
    assert report.duration_ms == len(samples) // 16 == duration_ms
    assert not report.damaged
    assert report.filled_samples == 0


@pytest.mark.recordings
def test_half_a_recording_is_the_half_of_the_whole(recordings: Path) -> None:
    whole, _ = decoded(recordings / "en_sonnet1_53s.mp3")
    half, _ = decoded(recordings / "truncated_half_sonnet1.mp3")
    usable = len(half) - 800  # the last frame leans on one that is gone
    assert np.abs(half[:usable].astype(np.int32) - whole[:usable]).max() <= 2
