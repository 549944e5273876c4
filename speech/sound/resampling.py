"""Bring sound that comes in small parts to the sample rate of this package."""

from __future__ import annotations

import numpy as np
from av import AudioFrame
from av.audio.resampler import AudioResampler

from speech.types import SAMPLE_RATE


class Resampling:
    """Resample int16 mono sound of any rate to `SAMPLE_RATE`, part by part.

    The filter remembers what came before, so that there is no click between two parts. What it holds back,
    about a millisecond, comes with the next part or with `rest`.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)

    def add(self, pcm: bytes) -> bytes:
        """Return the next part at `SAMPLE_RATE`. `pcm` has whole samples, little endian, at least one."""
        frame = AudioFrame.from_ndarray(
            np.frombuffer(pcm, dtype="<i2").reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate = self._rate
        return self._joined(frame)

    def rest(self) -> bytes:
        """Return what was held back. No more can be added."""
        return self._joined(None)

    def _joined(self, frame: AudioFrame | None) -> bytes:
        return b"".join(part.to_ndarray().astype("<i2").tobytes() for part in self._resampler.resample(frame))
