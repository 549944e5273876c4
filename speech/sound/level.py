"""Raise the level of soft recordings before they are stored in 16 bits. What is loud enough is not changed.

A voice with peaks 55 dB below full scale has 5 bits in such a file, and voice activity finds none of it. One
gain holds for minutes: it follows the loudest peak from a minute before to half a minute after. Noise alone
is never raised.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import floor, inf, log2

import numpy as np
import numpy.typing as npt

from speech.types import SAMPLE_RATE
from speech.voice.band import Float, band_powers, loud_and_quiet

_BLOCKS_BEFORE = 60
_BLOCKS_AFTER = 30
_SOFT = 0.03  # -30 dBFS; voice activity begins to lose speech at -42
_AIM = 0.25
_MOST = 0.5
_MOST_GAIN = 100.0  # 40 dB
# Floating-point samples may have any size. Lossy codecs exceed full scale by less than this factor.
_BEYOND = 2.0
_COMES_AND_GOES = 3.0  # the loudest half second relative to the quietest fifth; noise has 1.4


@dataclass(slots=True)
class _Block:
    samples: Float
    peak: float
    offset: float
    powers: Float | None = None


class GainControl:
    """Chooses a gain for each block of about a second. `raised` is the largest gain, `raised_samples` how
    much got any.

    If there is less sound than `shortest_s`, nothing is raised: it may be a pause in a longer recording.
    """

    def __init__(self, *, shortest_s: float = 0.0) -> None:
        self._shortest = shortest_s * SAMPLE_RATE
        self._length = 0
        self.raised = 1.0
        self.raised_samples = 0
        self._gain = 1.0
        self._first = True

    def to_int16(self, blocks: Iterable[Float]) -> Iterator[npt.NDArray[np.int16]]:
        """Yield the same blocks, each half a minute late. Values that are no numbers become 0."""
        before: deque[_Block] = deque(maxlen=_BLOCKS_BEFORE)
        after: deque[_Block] = deque()
        for samples in blocks:
            after.append(_measured(samples))
            self._length += len(samples)
            if len(after) > _BLOCKS_AFTER:
                yield self._next(before, after)
        while after:
            yield self._next(before, after)

    def _next(self, before: deque[_Block], after: deque[_Block]) -> npt.NDArray[np.int16]:
        around = [*before, *after]
        peak = max(block.peak for block in around)
        gain = self._wanted(peak, around)
        block = after.popleft()
        samples = block.samples
        if gain > 1 or self._gain > 1:
            # An offset would be raised, too. It is the same for the whole recording.
            samples = samples - np.float32(np.mean([each.offset for each in around]))
        if gain == self._gain or self._first:
            samples = samples * np.float32(gain) if gain != 1 else samples
        else:
            samples = samples * np.linspace(self._gain, gain, len(samples), dtype=np.float32)
        self._gain, self._first = gain, False
        self.raised = max(self.raised, gain)
        self.raised_samples += len(samples) if gain > 1 else 0
        before.append(_Block(_NO_SAMPLES, block.peak, block.offset, block.powers))
        samples = np.rint(samples * np.float32(32768))
        return np.asarray(samples.clip(-32768, 32767), dtype=np.int16)

    def _wanted(self, peak: float, around: list[_Block]) -> float:
        if peak > _BEYOND:
            return 2.0 ** floor(log2(_MOST / peak))
        if peak >= (2 * _SOFT if self._gain > 1 else _SOFT) or peak == 0:
            return 1.0
        if self._gain > 1 and self._gain * peak <= _MOST:
            if self._gain * peak >= _AIM / 8 or self._gain >= _MOST_GAIN:
                return self._gain
        elif self._length < self._shortest or not _comes_and_goes(around):
            return 1.0
        return min(_MOST_GAIN, 2.0 ** floor(log2(_AIM / peak)))


_NO_SAMPLES = np.zeros(0, dtype=np.float32)


def _measured(samples: Float) -> _Block:
    low, high = float(samples.min(initial=inf)), float(samples.max(initial=-inf))
    if not np.isfinite(high - low):
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(samples.min(initial=0.0)), float(samples.max(initial=0.0))
    return _Block(samples, (high - low) / 2, float(samples.mean()) if len(samples) else 0.0)


def _comes_and_goes(blocks: list[_Block]) -> bool:
    """Whether there is more than even noise, which is all that a recording of an empty room has."""
    for block in blocks:
        if block.powers is None and len(block.samples):
            block.powers = band_powers(block.samples)
    known = [block.powers for block in blocks if block.powers is not None]
    loud, quiet = loud_and_quiet(np.concatenate(known))
    return loud > _COMES_AND_GOES * quiet
