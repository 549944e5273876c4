"""Whichever channels a voice is in, it is heard as if it were alone on one."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from speech.sound.channels import Mixer
from speech.types import SAMPLE_RATE
from tests.services import ROOT

STEREO = ("FL", "FR")
FIVE_ONE = ("FL", "FR", "FC", "LFE", "BL", "BR")
SEVEN_ONE = (*FIVE_ONE, "SL", "SR")


@pytest.fixture(scope="module")
def voice():
    """Ten seconds: the same sentence twice."""
    samples, rate = soundfile.read(ROOT / "tests" / "audio" / "hello_5s.wav", dtype="float32")
    assert rate == SAMPLE_RATE
    return np.tile(samples, 2)


def noise(like, level, *, seed=1):
    return (level * np.random.default_rng(seed).standard_normal(len(like))).astype(np.float32)


def hum(like, level):
    time_s = np.arange(len(like)) / SAMPLE_RATE
    return (level * np.sign(np.sin(2 * np.pi * 50 * time_s))).astype(np.float32)


def mixed(*channels, names=STEREO, cut=1600):
    samples = np.stack(channels).astype(np.float32)
    mixer = Mixer(names)
    blocks = []
    for start in range(0, samples.shape[1], cut):
        blocks += mixer.feed(samples[:, start : start + cut])
    return np.concatenate(blocks + mixer.finish())


def likeness(heard, voice):
    """The power of the voice in what was heard, in relation to all of it, from 0 to 1."""
    return float(np.dot(heard, voice) ** 2 / (np.dot(heard, heard) * np.dot(voice, voice)))


def test_both_channels_are_averaged(voice):
    other = np.roll(voice, 3 * SAMPLE_RATE)
    assert np.array_equal(mixed(voice, other), (voice + other) / 2)


def test_what_comes_out_is_as_long_and_does_not_depend_on_the_pieces(voice):
    whole = mixed(voice, -voice)
    assert len(whole) == len(voice)
    assert np.array_equal(whole, mixed(voice, -voice, cut=320))


@pytest.mark.parametrize("level", [0.0, 0.003, 0.03])
def test_opposite_phase_is_heard_below_any_noise_of_both(voice, level):
    # As a lossy codec leaves it: each channel with a noise of its own, and one that both have.
    left, right, both = (noise(voice, level, seed=seed) for seed in (1, 2, 3))
    heard = mixed(voice + left + both, -voice + right + both)
    assert likeness(heard, voice) >= 0.999 * likeness(voice + (left + right) / 2, voice)
    assert np.abs(heard).max() > 0.9 * np.abs(voice).max()


@pytest.mark.parametrize("level", [0.1, 0.5])
def test_opposite_phase_is_heard_where_hum_or_an_offset_is_in_phase(voice, level):
    assert likeness(mixed(voice + hum(voice, level), -voice + hum(voice, level)), voice) > 0.99
    assert likeness(mixed(voice + level, -voice + level), voice) > 0.99


def test_opposite_phase_with_a_delay_is_heard(voice):
    delayed = -np.roll(voice, 4)
    assert likeness(mixed(voice, delayed), voice) > 0.8
    assert likeness((voice + delayed) / 2, voice) < 0.3


def test_the_choice_holds_through_a_long_pause(voice):
    pause = noise(np.zeros(20 * SAMPLE_RATE), 0.001)
    before = np.concatenate([voice, 0 * pause, voice])
    in_phase = np.concatenate([0 * voice, pause, 0 * voice])
    heard = mixed(before + in_phase, -before + in_phase)
    assert np.abs(heard[len(voice) : -len(voice)]).max() < 1e-6


@pytest.mark.parametrize("level", [0.05, 0.5])
def test_a_second_microphone_with_noise_alone_is_left_out(voice, level):
    assert likeness(mixed(voice, noise(voice, level)), voice) > 0.99
    assert likeness(mixed(noise(voice, level), voice), voice) > 0.99


def test_who_speaks_after_a_long_silence_on_a_noisy_line_is_heard(voice):
    near = np.concatenate([voice, 0 * voice])
    far = np.concatenate([0 * voice, voice]) + noise(near, 0.01)
    assert likeness(mixed(near, far)[len(voice) :], voice) > 0.8


@pytest.mark.parametrize("names", [("FL", "FR", "BL", "BR"), FIVE_ONE, SEVEN_ONE, ("NONE",) * 16])
def test_a_voice_on_any_one_channel_is_as_loud_as_it_was(voice, names):
    for place in range(len(names)):
        channels = [0 * voice] * len(names)
        channels[place] = voice
        assert np.allclose(mixed(*channels, names=names), voice, atol=1e-6), names[place]


def test_noise_on_fifteen_channels_does_not_bury_the_voice_on_one(voice):
    channels = [noise(voice, 0.1, seed=seed) for seed in range(15)]
    channels.insert(7, voice)
    assert likeness(mixed(*channels, names=("NONE",) * 16), voice) > 0.99


def test_channels_of_many_in_opposite_phase_do_not_cancel(voice):
    names = ("AMBI0", "AMBI1", "AMBI2", "AMBI3")
    assert likeness(mixed(voice, -voice, -0.8 * voice, 0.3 * voice, names=names), voice) > 0.99


def test_everybody_on_a_recorder_of_many_channels_is_heard(voice):
    others = [np.roll(voice, shift * SAMPLE_RATE) for shift in (2, 4)]
    heard = mixed(voice, *others, 0 * voice, names=("NONE",) * 4)
    assert np.allclose(heard, (voice + sum(others)) / 3, atol=1e-6)


def test_the_rumble_of_a_subwoofer_is_no_voice(voice):
    time_s = np.arange(len(voice)) / SAMPLE_RATE
    rumble = 0.8 * np.sin(2 * np.pi * 50 * time_s) * np.sin(2 * np.pi * 0.7 * time_s) ** 2
    silent = 0 * voice
    assert likeness(mixed(silent, silent, voice, rumble, silent, silent, names=FIVE_ONE), voice) > 0.99


def test_a_tone_that_nobody_speaks_beside_is_kept(voice):
    tone = np.sin(2 * np.pi * 440 * np.arange(len(voice)) / SAMPLE_RATE).astype(np.float32)
    assert np.allclose(mixed(tone, 0 * tone, 0 * tone, names=("NONE",) * 3), tone, atol=1e-6)
    assert np.allclose(mixed(tone, -tone), tone, atol=1e-6)
