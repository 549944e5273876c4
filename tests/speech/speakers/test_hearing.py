"""Voices in real recordings are heard window by window, and told apart."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import pytest
from faster_whisper import decode_audio

from speech.errors import UnreadableVoices
from speech.speakers import (
    Count,
    HeardWindow,
    Speakers,
    load_hearing,
    people_on_channels,
    suggest,
    tell_apart,
    with_voices,
)
from speech.speakers.hearing.features import log_mel
from speech.speakers.hearing.packing import VERSION, unpack, unpack_vector
from speech.types import SAMPLE_RATE
from tests.services import ROOT
from tests.speech.der import diarization_errors, read_rttm


def heard(samples, *cuts_s):
    """The windows of a recording that is cut at these seconds."""
    edges = [0, *(round(cut * 1000) for cut in cuts_s), len(samples) * 1000 // SAMPLE_RATE]
    return [
        HeardWindow(start, end, load_hearing().hear(samples[start * 16 : end * 16]))
        for start, end in pairwise(edges)
    ]


@pytest.fixture(scope="module")
def three(recordings):
    """Three people, cut in a pause."""
    return heard(decode_audio(str(recordings / "en_three_speakers_20s.wav")), 11.8)


@pytest.fixture(scope="module")
def call(recordings):
    """A call by telephone, both channels in one."""
    return heard(decode_audio(str(recordings / "en_call_2spk_stereo_8k.wav")), 15.8)


@pytest.fixture(scope="module")
def sample():
    """Two voices in turn, eleven turns, cut in a pause."""
    return heard(decode_audio(str(ROOT / "tests" / "audio" / "sample.mp3")), 28.5)


@pytest.fixture(scope="module")
def one():
    """One person."""
    return heard(decode_audio(str(ROOT / "tests" / "audio" / "hello_5s.wav")))


@pytest.mark.recordings
def test_three_people_are_found(three, recordings):
    speakers = tell_apart(three)
    errors = diarization_errors(read_rttm(recordings / "en_three_speakers_20s.rttm"), speakers.turns)
    assert (speakers.n, errors.confused, speakers.hard_to_tell) == (3, 0, False)
    assert errors.rate < 5


@pytest.mark.recordings
def test_a_call_in_one_channel(call, recordings):
    speakers = tell_apart(call)
    errors = diarization_errors(read_rttm(recordings / "en_call_2spk_stereo_8k.rttm"), speakers.turns)
    assert (speakers.n, errors.confused) == (2, 0)
    assert [turn.speaker for turn in speakers.turns][:2] == [0, 1]


def test_one_person_is_one_speaker(one):
    assert tell_apart(one).n == 1


def test_two_voices_in_turn(sample):
    speakers = tell_apart(sample)
    told = [name for name, _ in groupby(turn.speaker for turn in speakers.turns)]
    assert (speakers.n, told) == (2, [0, 1] * 5 + [0])
    assert all(voice.clean_s > 6 for voice in speakers.voices)


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("count", "n"),
    [
        (Count(exactly=1), 1),
        (Count(exactly=3), 3),
        (Count(at_most=1), 1),
        (Count(at_least=3), 3),
        (Count(at_least=1, at_most=4), 2),
    ],
)
def test_the_number_of_speakers_can_be_given(call, count, n):
    assert tell_apart(call, count).n == n


@pytest.mark.recordings
def test_the_order_of_windows_does_not_matter_and_some_may_be_missing(three):
    assert tell_apart(three) == tell_apart(three[::-1])
    assert 1 <= tell_apart(three[:1]).n <= 2
    assert tell_apart([]) == Speakers()


@pytest.mark.recordings
def test_a_voice_is_like_itself_and_not_like_others(call, sample):
    first, second = tell_apart(call).voices
    other = tell_apart(sample).voices[0]
    assert first.clean_s >= 6
    profiles = {"first": [first.vector], "second": [second.vector], "other": [other.vector]}
    assert suggest([first], profiles)[0].person == "first"
    unlike = {"other": [other.vector], "old": [b"\x00" + first.vector[1:]], "none": []}
    assert suggest([first], unlike) == {}


@pytest.mark.recordings
def test_people_on_channels_get_voices_from_the_windows(call, recordings):
    file = recordings / "en_call_2spk_stereo_8k.wav"
    speakers = with_voices(people_on_channels(file, max_duration_s=100), call)
    assert all(voice.clean_s > 2 for voice in speakers.voices)
    told = tell_apart(call)
    for mine, other in zip(speakers.voices, told.voices, strict=True):
        assert unpack_vector(mine.vector) @ unpack_vector(other.vector) > 0.9


def test_what_is_kept_is_small_and_has_a_version(sample):
    window = sample[0]
    seconds = (window.end_ms - window.start_ms) / 1000
    assert window.voices[0] == VERSION
    assert 150 * seconds < len(window.voices) < 270 * seconds
    pieces = unpack(window.voices).pieces
    np.testing.assert_allclose(np.linalg.norm(pieces.vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: b"\x00" + packed[1:],
        lambda packed: packed[:-1],
        lambda packed: packed + b"x",
        lambda packed: packed[:3],
    ],
)
def test_damaged_voices_and_those_of_another_version_are_refused(one, damage):
    (window,) = one
    with pytest.raises(UnreadableVoices):
        tell_apart([HeardWindow(0, 1000, damage(window.voices))])
    assert unpack_vector(b"") is None


def test_where_nobody_speaks_nothing_is_kept():
    noise = np.random.default_rng(1).normal(0, 0.05, 4 * SAMPLE_RATE).astype(np.float32)
    for samples in (noise, 0 * noise, noise[:10], noise[:0]):
        assert load_hearing().hear(samples) == b""


@pytest.mark.parametrize("length_ms", [250, 300, 700, 1499, 1500, 2300, 10_010])
def test_windows_of_any_length_are_heard(length_ms):
    samples = decode_audio(str(ROOT / "tests" / "audio" / "sample.mp3"))
    voices = load_hearing().hear(samples[SAMPLE_RATE : SAMPLE_RATE + 16 * length_ms])
    speakers = tell_apart([HeardWindow(5000, 5000 + length_ms, voices)])
    assert all(5000 <= turn.start_ms < turn.end_ms <= 5000 + length_ms for turn in speakers.turns)
    assert speakers.n >= (length_ms >= 1000)


def test_features_of_a_tone_lie_in_its_band():
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    features = log_mel(np.sin(2 * np.pi * 1000 * time_s).astype(np.float32))
    assert features.shape == (98, 80)
    # 1000 Hz is 1000 mel (of 2840 at 8000 Hz, from 32 at 20 Hz), in 81 steps.
    assert set(features.argmax(axis=1)) == {27}
