"""Log mel features as Kaldi computes them, which the network of voices was trained on.

80 bands from 20 Hz to 8 kHz, frames of 25 ms every 10 ms, Povey's window, preemphasis .97, without dither.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from speech.samples import Samples
from speech.types import SAMPLE_RATE

Features = npt.NDArray[np.float32]

BANDS = 80
FRAME_MS = 10
_LENGTH, _HOP, _FFT = SAMPLE_RATE * 25 // 1000, SAMPLE_RATE * FRAME_MS // 1000, 512
_LOW_HZ, _HIGH_HZ = 20.0, SAMPLE_RATE / 2
_PREEMPHASIS = np.float32(0.97)
_LEAST = np.finfo(np.float32).eps
_AT_ONCE = 1000
"""Frames that are transformed together: it bounds the memory."""


def log_mel(samples: Samples) -> Features:
    """Return the features of shape (frames, BANDS): a frame for each 25 ms that are there in full."""
    if len(samples) < _LENGTH:
        return np.zeros((0, BANDS), dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _LENGTH)[::_HOP]
    parts = [_log_mel(frames[first : first + _AT_ONCE]) for first in range(0, len(frames), _AT_ONCE)]
    return np.concatenate(parts)


def _log_mel(frames: npt.NDArray[np.float32]) -> Features:
    centred = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([centred[:, :1], centred[:, :-1]], axis=1)
    spectrum = np.fft.rfft((centred - _PREEMPHASIS * before) * _window(), _FFT)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    features: Features = np.log(np.maximum(power.astype(np.float32) @ _bands(), _LEAST))
    return features


@cache
def _window() -> npt.NDArray[np.float32]:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_LENGTH) / (_LENGTH - 1))
    return np.asarray(hann**0.85, dtype=np.float32)


@cache
def _bands() -> npt.NDArray[np.float32]:
    """Return triangles that are even on the mel scale, of shape (frequencies, BANDS)."""

    def mel(hz: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
        return np.asarray(1127.0 * np.log(1.0 + np.asarray(hz) / 700.0))

    edges = np.linspace(mel(_LOW_HZ), mel(_HIGH_HZ), BANDS + 2)
    at = mel(np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT)[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
