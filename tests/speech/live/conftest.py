"""Speech that a test makes up: sound is where somebody speaks, zeros are silence."""

from __future__ import annotations

import numpy as np
import pytest

from speech.live import utterances
from speech.samples import Samples
from speech.types import SAMPLE_RATE, Span, samples_to_ms

LOUD = 0.5


def said(*lengths_s: float) -> Samples:
    """Speech and silence in turn, beginning with speech, each as long as it says."""
    levels = [LOUD if n % 2 == 0 else 0.0 for n in range(len(lengths_s))]
    parts = [
        np.full(round(length_s * SAMPLE_RATE), level, dtype=np.float32)
        for length_s, level in zip(lengths_s, levels, strict=True)
    ]
    return np.concatenate(parts)


class PlainDetector:
    """Finds speech where there is any sound, at once."""

    def __init__(self) -> None:
        self._samples = np.zeros(0, dtype=np.float32)

    def feed(self, samples: Samples) -> None:
        self._samples = np.concatenate([self._samples, samples])

    def so_far(self, since_ms: int = 0) -> list[Span]:
        loud = np.concatenate([[False], self._samples > 0, [False]])
        edges = np.flatnonzero(loud[1:] != loud[:-1])
        spans = [Span(samples_to_ms(int(a)), samples_to_ms(int(b))) for a, b in edges.reshape(-1, 2)]
        return [span for span in spans if span.end_ms > since_ms]

    def finish(self) -> list[Span]:
        return self.so_far()

    def quietest(self, start_ms: int, end_ms: int) -> int:
        return (start_ms + end_ms) // 2


@pytest.fixture(autouse=True)
def plain_detector(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "recordings" not in request.keywords:
        monkeypatch.setattr(utterances, "SpeechDetector", PlainDetector)
