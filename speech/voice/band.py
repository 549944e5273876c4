"""How much power a sound has in the band of speech, in short frames.

Hum and offsets lie outside of the band.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speech.types import SAMPLE_RATE

Float = npt.NDArray[np.float32]

FRAME = 512
"""The samples of one frame: 32 ms, as for one probability of speech."""
_LOWEST_HZ, _HIGHEST_HZ = 200, 4_000
_BINS = slice(_LOWEST_HZ * FRAME // SAMPLE_RATE + 1, _HIGHEST_HZ * FRAME // SAMPLE_RATE + 1)
_WINDOW = np.hanning(FRAME + 1)[:-1].astype(np.float32)
# Consonants are as important as vowels and far softer, so each octave up counts 3 dB more.
_FREQUENCIES_KHZ = np.arange(_BINS.start, _BINS.stop) * SAMPLE_RATE / FRAME / 1000
_WEIGHTS = np.sqrt(_FREQUENCIES_KHZ).astype(np.float32)
_SCALE = np.float32(np.sqrt(2 / 0.375) / FRAME)
_QUIET = 0.2
_LOUD_FRAMES = 16


def band_spectra(channels: Float, *, every: int = 1) -> Float:
    """Return the spectrum in the band of speech: from (channels, samples) to (frames, channels, twice the
    bins).

    The real and imaginary parts stand side by side, so that the product of two spectra is their real
    cross-power. With `every` 2, only every second frame is used. A last frame that is not whole is left out,
    unless it is the only one.
    """
    count, samples = channels.shape
    if samples < FRAME:
        channels = np.pad(channels, ((0, 0), (0, FRAME - samples)))
    frames = max(1, samples // FRAME)
    cut = channels[:, : frames * FRAME].reshape(count, frames, FRAME)[:, ::every] * (_WINDOW * _SCALE)
    band = np.fft.rfft(cut)[..., _BINS].astype(np.complex64, copy=False) * _WEIGHTS
    side_by_side: Float = band.transpose(1, 0, 2).copy().view(np.float32)
    return side_by_side


def band_powers(samples: Float) -> Float:
    """Return the power in the band of speech for each frame of one channel: from (samples,) to (frames,)."""
    band = band_spectra(samples[None])[:, 0]
    each: Float = np.square(band).sum(axis=1)
    return each


def quiet_frames(loudness: Float) -> npt.NDArray[np.intp]:
    """Return the indexes of the quietest fifth of the frames. What is in them is there all the time."""
    count = max(1, int(len(loudness) * _QUIET))
    return np.argpartition(loudness, count - 1)[:count]


def loud_and_quiet(powers: Float) -> tuple[float, float]:
    """Return the power of the loudest half second and of the quietest fifth of the frames."""
    if not len(powers):
        return 0.0, 0.0
    loud = np.partition(powers, len(powers) - min(_LOUD_FRAMES, len(powers)))[-_LOUD_FRAMES:]
    return float(loud.mean()), float(powers[quiet_frames(powers)].mean())
