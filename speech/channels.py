"""Many channels to one, without losing who speaks in only one of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame

Samples = npt.NDArray[np.int16]

_NOISE_POWER = 64**2  # -54 dBFS: there is nothing below to be lost
_CANCELLED = 0.01  # of the power of the louder channel, -20 dB


def to_mono(samples: Samples) -> Samples:
    """The mean of both channels, or the louder one where they are in opposite phase and cancel out."""
    if samples.ndim == 1:
        return samples
    left, right = samples[:, 0].astype(np.int32), samples[:, 1].astype(np.int32)
    mean = (left + right) >> 1
    loudest = max(_power(left), _power(right))
    if loudest > _NOISE_POWER and _power(mean) < _CANCELLED * loudest:
        # Never to and fro between two that are about equally loud.
        return samples[:, 1 if _power(right) > 4 * _power(left) else 0].copy()
    return mean.astype(np.int16)


def _power(samples: npt.NDArray[np.int32]) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


def mean_of_channels(frame: AudioFrame) -> AudioFrame:
    """One channel from those of a file that does not say which loudspeaker each is for.

    They may be one microphone each. ffmpeg would take them for loudspeakers and leave the "subwoofer" out.
    """
    channels = frame.layout.nb_channels
    samples = frame.to_ndarray()
    samples = samples if frame.format.is_planar else samples.reshape(-1, channels).T
    if samples.dtype.kind == "u":
        samples = samples.astype(np.int16) - 128
        full_scale = 128.0
    else:
        full_scale = 1.0 if samples.dtype.kind == "f" else float(2 ** (8 * samples.dtype.itemsize - 1))
    mean = (samples.mean(axis=0, dtype=np.float64) / full_scale).astype(np.float32)
    mono = AudioFrame.from_ndarray(mean.reshape(1, -1), format="flt", layout="mono")
    mono.sample_rate = frame.sample_rate
    return mono
