"""Soft recordings are stored loud enough; nothing else is changed."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from speech.sound.level import GainControl
from speech.types import SAMPLE_RATE
from tests.services import ROOT


@pytest.fixture(scope="module")
def voice():
    samples, _ = soundfile.read(ROOT / "tests" / "audio" / "hello_5s.wav", dtype="float32")
    return np.tile(samples / np.abs(samples).max(), 4)


def stored(samples, levels=None):
    levels = levels or GainControl()
    blocks = np.split(samples.astype(np.float32), range(SAMPLE_RATE, len(samples), SAMPLE_RATE))
    return np.concatenate(list(levels.to_int16(blocks))), levels


def rounded(samples):
    return np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)


def seconds(count, value=0.0):
    return np.full(count * SAMPLE_RATE, value, dtype=np.float32)


@pytest.mark.parametrize("level", [1.0, 0.3, 0.04])
def test_what_is_loud_enough_is_not_changed(voice, level):
    samples, levels = stored(voice * np.float32(level))
    assert np.array_equal(samples, rounded(voice * np.float32(level)))
    assert levels.raised == 1


def test_a_pause_of_a_minute_is_not_raised(voice):
    rng = np.random.default_rng(1)
    breath = (rng.standard_normal(60 * SAMPLE_RATE) * 0.001).astype(np.float32)
    talk = np.concatenate([breath[: 20 * SAMPLE_RATE], voice, breath, voice, breath[: 20 * SAMPLE_RATE]])
    samples, levels = stored(talk)
    assert np.array_equal(samples, rounded(talk))
    assert levels.raised == 1


@pytest.mark.parametrize("db", [-35, -45, -55, -65, -75])
def test_a_soft_voice_keeps_its_form(voice, db):
    soft = voice * np.float32(10 ** (db / 20))
    samples, levels = stored(soft)
    assert 0 < 20 * np.log10(levels.raised) <= 40
    assert np.corrcoef(samples, soft)[0, 1] > 0.999
    assert np.abs(samples).max() == pytest.approx(32768 * np.abs(soft).max() * levels.raised, rel=0.01, abs=1)


def test_the_gain_does_not_change_where_somebody_pauses(voice):
    soft = np.concatenate([voice, seconds(40), voice]) * np.float32(0.002)
    samples, levels = stored(soft)
    raised = soft * levels.raised * 32768
    # But for the offset, a thousandth.
    assert np.abs(samples - raised).max() <= 0.001 * np.abs(raised).max()


def test_a_soft_beginning_never_makes_the_loud_rest_clip(voice):
    talk = np.concatenate([voice * np.float32(0.002), voice])
    samples, _ = stored(talk)
    assert np.array_equal(samples[-len(voice) :], rounded(voice))


def test_soft_speech_minutes_after_a_bang_is_raised(voice):
    talk = np.concatenate([seconds(1, 0.9) * 0, voice[:100], seconds(70), voice * np.float32(0.002)])
    talk[0] = 0.9
    samples, levels = stored(talk)
    assert levels.raised > 50
    assert np.abs(samples[-len(voice) :]).max() > 3000


@pytest.mark.parametrize("level", [0.0, 0.00003, 0.0003, 0.003])
def test_noise_is_not_raised(level):
    noise = level * np.random.default_rng(1).standard_normal(60 * SAMPLE_RATE)
    assert stored(noise)[1].raised == 1


def test_an_offset_is_not_raised_with_the_voice(voice):
    samples, levels = stored(voice * np.float32(0.002) + np.float32(0.3))
    assert levels.raised > 50
    assert np.abs(samples).max() < 20_000
    assert abs(samples.mean()) < 100


def test_samples_beyond_full_scale_are_not_cut_off(voice):
    samples, levels = stored(voice * 32768)
    assert np.corrcoef(samples, voice)[0, 1] > 0.999
    assert levels.raised == 1


def test_what_is_no_number_is_silence(voice):
    broken = voice.copy()
    broken[1000:1010], broken[2000], broken[2001] = np.nan, np.inf, -np.inf
    samples, _ = stored(broken)
    assert not samples[1000:1010].any()
    assert np.array_equal(samples[2002:], rounded(voice)[2002:])


def test_a_short_piece_of_something_longer_may_be_a_pause(voice):
    piece = voice[: 5 * SAMPLE_RATE] * np.float32(0.002)
    assert stored(piece, GainControl(shortest_s=8))[1].raised == 1
    assert stored(piece)[1].raised > 50
