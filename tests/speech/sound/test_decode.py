"""Any recording becomes 16 kHz mono on the times that a player shows, as far as it can be read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from speech.errors import AudioTooLong, NoAudio, UnreadableAudio
from speech.sound.decode import decode
from speech.types import DecodeReport
from tests.services import ROOT
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
        # Not a twentieth of it: those that are silent do not count.
        assert level(samples) == pytest.approx(level(tone(1)), rel=0.05)


@pytest.fixture(scope="module")
def voice() -> Pcm:
    """Ten seconds at 48 kHz."""
    samples, _ = soundfile.read(ROOT / "tests" / "audio" / "hello_5s.wav", dtype="int16")
    frame = av.AudioFrame.from_ndarray(np.tile(samples, 2).reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = 16_000
    resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
    parts = resampler.resample(frame) + resampler.resample(None)
    return np.concatenate([part.to_ndarray()[0] for part in parts])


def likeness(samples: Pcm, voice: Pcm) -> float:
    """The correlation with the voice, where the two fit best; codecs and resamplers delay a little."""
    heard, said = samples[:150_000].astype(float), voice[::3][:150_000].astype(float)
    both = np.fft.irfft(np.fft.rfft(heard, 2**19) * np.fft.rfft(said, 2**19).conj())
    return float(np.abs(both).max() / np.sqrt((heard @ heard) * (said @ said)))


@pytest.mark.parametrize(
    ("kind", "codec", "rate"),
    [("ogg", "libopus", 24_000), ("ipod", "aac", 48_000), ("mp3", "libmp3lame", 48_000)],
)
def test_stereo_in_opposite_phase_is_heard_after_lossy_coding(
    tmp_path: Path, voice: Pcm, kind: str, codec: str, rate: int
) -> None:
    path = tmp_path / "a"
    with av.open(str(path), "w", format=kind) as out:
        stream = out.add_stream(codec, rate=48_000, layout="stereo")
        stream.bit_rate = rate
        interleaved = np.stack([voice, -voice], axis=1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout="stereo")
        frame.sample_rate = 48_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    samples, report = decoded(path)
    assert likeness(samples, voice) > 0.9
    assert level(samples) > 0.8 * level(voice)
    assert not report.damaged


@pytest.mark.parametrize(
    ("layout", "codec", "kind"),
    [
        ("5.1", "flac", "flac"),
        ("quad", "flac", "flac"),
        ("7.1", "flac", "flac"),
        ("2 channels (SL+SR)", "pcm_s16le", "wav"),
        ("ambisonic 1", "libopus", "matroska"),
        ("16 channels", "pcm_s16le", "wav"),
    ],
)
def test_a_voice_on_any_channel_of_any_layout_is_heard(
    tmp_path: Path, voice: Pcm, layout: str, codec: str, kind: str
) -> None:
    count = av.AudioLayout(layout).nb_channels
    for place in range(count):
        sound = np.zeros((len(voice), count), dtype=np.int16)
        sound[:, place] = voice
        options = {"mapping_family": "2"} if codec == "libopus" else {}
        with av.open(str(tmp_path / "a"), "w", format=kind) as out:
            stream = out.add_stream(codec, rate=48_000, layout=layout, options=options)
            frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout=layout)
            frame.sample_rate = 48_000
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        samples, report = decoded(tmp_path / "a")
        assert likeness(samples, voice) > 0.95
        assert level(samples) > (0.45 if count == 2 else 0.9) * level(voice)
        assert not report.damaged


def test_more_planes_than_a_frame_has_room_for_are_read(tmp_path: Path, voice: Pcm) -> None:
    # Pieces of a stream, too, where zeros are put before the first frame.
    count = 16
    sound = np.zeros((len(voice), count), dtype=np.int16)
    sound[:, 11] = voice
    with av.open(str(tmp_path / "a"), "w", format="matroska") as out:
        layout = "ambisonic 3"
        stream = out.add_stream("libopus", rate=48_000, layout=layout, options={"mapping_family": "2"})
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = 48_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert likeness(decoded(tmp_path / "a")[0], voice) > 0.9
    report = DecodeReport()
    blocks = decode(tmp_path / "a", report=report, max_duration_s=60, start_sample=40_001)
    assert len(np.concatenate(list(blocks))) == pytest.approx(160_000 - 40_001, abs=1000)
    assert not report.damaged


def test_a_soft_recording_is_raised_and_the_report_says_so(tmp_path: Path, voice: Pcm) -> None:
    peak = np.abs(voice.astype(int)).max() / 32768
    soundfile.write(tmp_path / "a.wav", voice / 32768 / peak * 10 ** (-60 / 20), 48_000, subtype="PCM_24")
    samples, report = decoded(tmp_path / "a.wav")
    assert report.as_json()["peak_dbfs"] == pytest.approx(-60, abs=0.3)
    assert report.as_json()["raised_db"] == 40
    assert report.as_json()["raised_ms"] == report.duration_ms
    assert likeness(samples, voice) > 0.99


@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_what_is_loud_enough_is_stored_as_it_was(tmp_path: Path, voice: Pcm, layout: str) -> None:
    sound = voice[::3] if layout == "mono" else np.stack([voice[::3], voice[::3]], axis=1)
    soundfile.write(tmp_path / "a.wav", sound, 16_000)
    samples, report = decoded(tmp_path / "a.wav")
    assert np.array_equal(samples, voice[::3])
    assert report.as_json()["raised_db"] == 0
    assert report.as_json()["peak_dbfs"] == pytest.approx(
        20 * np.log10(np.abs(voice[::3].astype(int)).max() / 32768), abs=0.1
    )


def test_silence_has_no_peak(tmp_path: Path) -> None:
    _, report = decoded(write_media(tmp_path / "a.wav", Track(silence(3)), kind="wav"))
    assert (report.as_json()["peak_dbfs"], report.as_json()["raised_db"]) == (None, 0)


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
from speech.sound.decode import decode
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
