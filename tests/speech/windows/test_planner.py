"""Windows planned while the audio comes are those of the whole recording."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from speech.engines import capabilities
from speech.types import SAMPLE_RATE
from speech.windows.planner import Planner, plan_windows
from tests.services import ROOT

ABLE = replace(capabilities("local", "tiny.en"), min_window_s=4, max_window_s=7)


@pytest.fixture(scope="module")
def talk():
    """Two minutes of two voices in 16 bits, with half a minute of silence in the middle and at the end."""
    from faster_whisper import decode_audio

    minute = (decode_audio(str(ROOT / "tests" / "audio" / "sample.mp3")) * 32767).astype(np.int16)
    silence = np.random.default_rng(1).integers(-5, 5, 30 * SAMPLE_RATE, dtype=np.int16)
    return np.concatenate([minute, silence, minute, silence])


def reader(samples):
    return lambda start_ms, end_ms: samples[start_ms * 16 : end_ms * 16]


@pytest.mark.parametrize("block", [SAMPLE_RATE, 7 * SAMPLE_RATE // 3, 60 * SAMPLE_RATE])
@pytest.mark.parametrize("needs_voice_activity", [True, False])
def test_however_it_is_fed_the_windows_are_the_same(talk, block, needs_voice_activity):
    able = replace(ABLE, needs_voice_activity=needs_voice_activity)
    whole = Planner(able)
    expected = [*whole.feed(talk), *whole.finish()]
    planner = Planner(able)
    early = [w for part in np.split(talk, range(block, len(talk), block)) for w in planner.feed(part)]
    rest = planner.finish()
    assert early + rest == expected
    assert early
    assert rest[-1].end_ms == len(talk) // 16


def test_each_window_is_told_of_once(talk):
    duration_ms = len(talk) // 16
    whole = plan_windows(reader(talk), duration_ms, ABLE)
    told = []
    rest = plan_windows(reader(talk), duration_ms, ABLE, on_windows=told.extend)
    assert told + rest == whole
    assert told


def test_a_plan_that_starts_later_lies_where_the_audio_does(talk):
    duration_ms = len(talk) // 16
    windows = plan_windows(reader(talk), duration_ms, ABLE, start_ms=20_000)
    assert (windows[0].start_ms, windows[-1].end_ms) == (20_000, duration_ms)


def test_of_a_recording_that_goes_on_the_end_is_left_over(talk):
    planner = Planner(ABLE, more_to_come=True)
    assert planner.feed(talk[: 60 * SAMPLE_RATE]) == []
    windows = planner.finish()
    assert 50_000 < windows[-1].end_ms < 60_000
