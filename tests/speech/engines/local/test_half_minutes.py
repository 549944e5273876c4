"""A window is decoded in as few half minutes as can be, and what was encoded is not encoded again."""

from __future__ import annotations

import random
from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from ctranslate2 import StorageView
from faster_whisper import WhisperModel

from speech.engines import LOCAL_WINDOW_S
from speech.engines.local.device import Device
from speech.engines.local.model import Model, as_array
from speech.engines.local.speech_parts import MOST_HALF_MINUTE_S, least_half_minute_s
from speech.types import SAMPLE_RATE, Span
from speech.windows.cuts import cut_windows


def half_minutes_of(speech: list[Span], length_s: float) -> list[Span]:
    windows = cut_windows(
        speech,
        round(1000 * length_s),
        min_window_s=least_half_minute_s(round(length_s * SAMPLE_RATE)),
        max_window_s=MOST_HALF_MINUTE_S,
    )
    return [Span(window.start_ms, window.end_ms) for window in windows]


def reading(length_s: float, seed: int) -> list[Span]:
    """Somebody who says up to four seconds, and pauses for up to a second."""
    rng = random.Random(seed)
    speech, at_ms = [], 0
    while at_ms < 1000 * length_s:
        end_ms = min(at_ms + rng.randint(800, 4000), round(1000 * length_s))
        speech.append(Span(at_ms, end_ms))
        at_ms = end_ms + rng.randint(130, 1000)
    return speech


@pytest.mark.parametrize("length_s", [*range(LOCAL_WINDOW_S[0], LOCAL_WINDOW_S[1] + 1), 56.999, 44.3])
def test_a_window_of_a_file_has_two_half_minutes(length_s):
    for seed in range(30):
        first, second = half_minutes_of(reading(length_s, seed), length_s)
        assert max(first.duration_ms, second.duration_ms) <= 1000 * MOST_HALF_MINUTE_S


@pytest.mark.parametrize("length_s", [5, 29, 30, 43, 58, 60, 110, 232])
def test_windows_of_other_lengths_are_cut_as_well(length_s):
    speech = reading(length_s, seed=1)
    found = half_minutes_of(speech, length_s)
    assert (found[0].start_ms, found[-1].end_ms) == (0, 1000 * length_s)
    assert all(a.end_ms == b.start_ms for a, b in pairwise(found))
    assert max(span.duration_ms for span in found) <= 1000 * MOST_HALF_MINUTE_S
    # The end of each is in a pause.
    assert not any(s.start_ms < a.end_ms < s.end_ms for a in found[:-1] for s in speech)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many half minutes were encoded, each time. The code of one is its features and a one."""
    sizes: list[int] = []

    def encode(self: Model, features: np.ndarray) -> StorageView:
        several = features if features.ndim == 3 else features[None]
        sizes.append(len(several))
        return StorageView.from_array(np.ascontiguousarray(several + 1))

    monkeypatch.setattr(WhisperModel, "encode", encode)
    return sizes


def model(kind: str = "cpu") -> Model:
    made = Model.__new__(Model)
    made._encoded = deque(maxlen=4)
    made.runs_on = Device(kind=kind)
    return made


SOUNDS = np.arange(3 * 2 * 8, dtype=np.float32).reshape(3, 2, 8)


def test_what_was_encoded_with_others_is_not_encoded_again_by_itself(encoded):
    whisper = model()
    together = as_array(whisper.encode(SOUNDS)).copy()
    alone = [as_array(whisper.encode(sound))[0] for sound in SOUNDS]
    assert encoded == [3]
    assert np.array_equal(together, np.stack(alone))
    assert np.array_equal(together, SOUNDS + 1)


def test_another_sound_is_encoded(encoded):
    whisper = model()
    whisper.encode(SOUNDS)
    assert np.array_equal(as_array(whisper.encode(SOUNDS[0] + 5))[0], SOUNDS[0] + 6)
    assert encoded == [3, 1]


def test_what_a_gpu_encoded_stays_there(encoded):
    whisper = model("cuda")
    whisper.encode(SOUNDS)
    assert not whisper._encoded
