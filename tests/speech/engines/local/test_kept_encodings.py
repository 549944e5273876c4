"""What was encoded in a batch is not encoded again."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from ctranslate2 import StorageView
from faster_whisper import WhisperModel

from speech.engines.local.device import Device
from speech.engines.local.model import Model, as_array


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
