"""The peaks of a recording: how loud each of its 1,800 equal parts is. They draw its waveform.

They are found while the sound is decoded, when its length is still unknown. So the loudest sample of each
short bin is kept; when all bins are full, each two of them become one of twice the length. The memory is the
same for a second and for a day.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

N_PEAKS = 1800
_BINS = 16 * N_PEAKS
"""That is 8 to 16 bins for each peak, once all were full.

So the edges of a peak are right to an eighth of it.
"""
_SHORTEST_BIN = 16
"""In samples: a millisecond."""
_STORED = np.dtype("<u2")


class PeakMeter:
    """Feed it a recording block by block, as 16-bit samples, then take `peaks()`."""

    def __init__(self) -> None:
        self._bins = np.zeros(_BINS, dtype=_STORED)
        self._bin = _SHORTEST_BIN
        self._fed = 0

    def feed(self, samples: npt.NDArray[np.int16]) -> None:
        """Take the next samples, in any number."""
        # In 16 bits the lowest sample has no absolute value.
        loudness = np.abs(samples.astype(np.int32))
        while len(loudness):
            if self._fed == _BINS * self._bin:
                self._join_pairs()
            some, loudness = np.split(loudness, [_BINS * self._bin - self._fed])
            first, begun = divmod(self._fed, self._bin)
            edges = [0, *range(self._bin - begun, len(some), self._bin)]
            loudest = np.maximum.reduceat(some, edges)
            bins = self._bins[first : first + len(loudest)]
            np.maximum(bins, loudest, out=bins, casting="unsafe")
            self._fed += len(some)

    def _join_pairs(self) -> None:
        half = _BINS // 2
        self._bins[:half] = self._bins.reshape(half, 2).max(axis=1)
        self._bins[half:] = 0
        self._bin *= 2

    def peaks(self) -> bytes:
        """Return N_PEAKS unsigned 16-bit numbers, the lowest byte first; empty if nothing was fed."""
        if not self._fed:
            return b""
        edges = np.arange(N_PEAKS + 1) * self._fed // N_PEAKS
        first = edges[:-1] // self._bin
        # Each peak has at least one bin, even if there are fewer samples than peaks.
        end = np.maximum(-(-edges[1:] // self._bin), first + 1)
        loudest = [self._bins[a:b].max() for a, b in zip(first, end, strict=True)]
        return np.array(loudest, dtype=_STORED).tobytes()


def read_peaks(stored: bytes) -> npt.NDArray[np.uint16]:
    """Return what `PeakMeter.peaks` gave, as numbers from 0 to 32768, which is full scale."""
    return np.frombuffer(stored, dtype=_STORED).astype(np.uint16)
