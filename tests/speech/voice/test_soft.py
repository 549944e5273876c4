"""The soft speaker beside a loud one is found, and nothing is found that nobody said."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from faster_whisper import decode_audio

from speech.types import SAMPLE_RATE, Span
from speech.voice.activity import SpeechDetector
from tests.services import ROOT


@pytest.fixture(scope="module")
def loud():
    samples, _ = soundfile.read(ROOT / "tests" / "audio" / "hello_5s.wav", dtype="float32")
    return np.tile(samples / np.abs(samples).max(), 2)


@pytest.fixture(scope="module")
def other():
    """Twelve seconds of somebody else, as loud."""
    samples = decode_audio(str(ROOT / "tests" / "audio" / "sample.mp3"))[: 12 * SAMPLE_RATE]
    return samples / np.abs(samples).max()


def speech_in(*blocks, cut=SAMPLE_RATE) -> list[Span]:
    samples = np.concatenate(blocks).astype(np.float32)
    detector = SpeechDetector()
    for start in range(0, len(samples), cut):
        detector.feed(samples[start : start + cut])
    return detector.finish()


def spoken_ms(spans, start_ms=0, end_ms=10**9):
    return sum(max(0, min(span.end_ms, end_ms) - max(span.start_ms, start_ms)) for span in spans)


@pytest.mark.parametrize("db", [-30, -36, -40, -46])
def test_a_soft_voice_between_two_loud_ones_is_found(loud, other, db):
    alone = spoken_ms(speech_in(other))
    spans = speech_in(loud, other * 10 ** (db / 20), loud)
    begin_ms = len(loud) * 1000 // SAMPLE_RATE
    assert spoken_ms(spans, begin_ms, begin_ms + 12_000) > 0.85 * alone


def test_it_is_the_same_however_the_samples_are_cut(loud, other):
    talk = [loud, other * np.float32(0.01), loud, other * np.float32(0.02)]
    assert speech_in(*talk) == speech_in(*talk, cut=10**9) == speech_in(*talk, cut=777)


def test_what_is_found_on_the_way_stays(loud, other):
    talk = np.concatenate([loud, other * np.float32(0.01), loud, other * np.float32(0.01)])
    whole = speech_in(talk)
    detector = SpeechDetector()
    for block in np.split(talk, range(SAMPLE_RATE, len(talk), SAMPLE_RATE)):
        detector.feed(block)
        *before, last = detector.so_far() or [None]
        assert before == whole[: len(before)]
        assert last is None or last.start_ms == whole[len(before)].start_ms
    assert detector.finish() == whole


def test_a_cut_is_not_made_inside_of_soft_speech(loud, other):
    detector = SpeechDetector()
    detector.feed(np.concatenate([loud, other * np.float32(0.01), loud]))
    soft = [span for span in detector.finish() if span.duration_ms > 800]
    inside = next(span for span in soft if span.start_ms > len(loud) * 1000 // SAMPLE_RATE)
    probabilities = detector.probabilities()[inside.start_ms // 32 : inside.end_ms // 32]
    assert probabilities.mean() > 0.5


def test_hum_does_not_hide_a_soft_voice(other):
    time_s = np.arange(len(other)) / SAMPLE_RATE
    hum = 0.2 * np.sin(2 * np.pi * 50 * time_s)
    assert spoken_ms(speech_in(other * 10 ** (-50 / 20) + hum)) > 0.8 * spoken_ms(speech_in(other))


@pytest.mark.parametrize("level", [0.3, 0.01, 0.0003])
@pytest.mark.parametrize("kind", ["pink", "waves", "bursts", "keys", "ringing", "hum", "melody"])
def test_what_comes_and_goes_is_not_speech(loud, kind, level):
    rng = np.random.default_rng(1)
    time_s = np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE
    spectrum = np.fft.rfft(rng.standard_normal(len(time_s)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 400), len(time_s))
    pink /= np.abs(pink).max()
    notes = 220 * 2 ** (np.repeat(rng.integers(0, 24, 40), SAMPLE_RATE // 2) / 12)
    sound = {
        "pink": pink,
        "waves": pink * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * time_s)),
        "bursts": pink * (rng.random(80) > 0.7).repeat(SAMPLE_RATE // 4),
        "keys": pink * np.exp(-((time_s * 6) % 1) * 25),
        "ringing": np.sin(2 * np.pi * 425 * time_s) * (time_s % 5 < 1),
        "hum": np.sign(np.sin(2 * np.pi * 50 * time_s)) * (time_s % 3 < 2),
        "melody": np.sin(2 * np.pi * np.cumsum(notes) / SAMPLE_RATE) * np.exp(-(time_s % 0.5) * 4),
    }[kind]
    assert speech_in(sound * level) == []
    begin_ms = len(loud) * 1000 // SAMPLE_RATE
    assert spoken_ms(speech_in(loud, 0 * loud[:SAMPLE_RATE], sound * level), begin_ms + 500) == 0
