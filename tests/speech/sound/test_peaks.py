from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from speech.sound.peaks import N_PEAKS, PeakMeter, read_peaks
from speech.types import SAMPLE_RATE


def noise(seconds: float) -> np.ndarray:
    """Louder and softer from moment to moment, so that a wrong edge shows."""
    rng = np.random.default_rng(7)
    samples = int(seconds * SAMPLE_RATE)
    level = np.repeat(rng.uniform(0, 1, samples // 40 + 1) ** 4, 40)[:samples]
    return (rng.uniform(-1, 1, samples) * level * 32767).astype(np.int16)


def fed(sound: np.ndarray, block: int) -> PeakMeter:
    meter = PeakMeter()
    for at in range(0, len(sound), block):
        meter.feed(sound[at : at + block])
    return meter


def naive(sound: np.ndarray) -> list[tuple[int, int]]:
    """For each peak the loudest sample of its part, and of that with an eighth more on each side."""
    loudness = np.abs(sound.astype(int))
    edges = [len(sound) * n // N_PEAKS for n in range(N_PEAKS + 1)]
    found = []
    for start, end in itertools.pairwise(edges):
        more = (end - start) // 8 + 16
        around = loudness[max(0, start - more) : end + more]
        found.append((loudness[start:end].max(initial=0), around.max(initial=0)))
    return found


@pytest.mark.parametrize("seconds", [0.01, 1.7, 28.8, 28.9, 60, 200, 700])
@pytest.mark.parametrize("block", [16_000, 7_919])
def test_peaks_are_those_of_a_naive_computation_to_an_eighth_of_their_length(seconds, block):
    sound = noise(seconds)
    peaks = read_peaks(fed(sound, block).peaks())
    assert len(peaks) == N_PEAKS
    for peak, (least, most) in zip(peaks, naive(sound), strict=True):
        assert least <= peak <= most


def test_a_click_is_where_it_was_and_as_loud(seconds=400):
    sound = np.zeros(seconds * SAMPLE_RATE, dtype=np.int16)
    sound[len(sound) // 4 + 5] = -32768
    peaks = read_peaks(fed(sound, 16_000).peaks())
    assert np.flatnonzero(peaks).tolist() == [N_PEAKS // 4]
    assert peaks.max() == 32768


def test_nothing_has_no_peaks():
    assert PeakMeter().peaks() == b""


def test_a_day_takes_no_more_memory_than_a_minute():
    minute = noise(60)
    meter = fed(minute, len(minute))
    tracemalloc.start()
    for _ in range(24 * 60):
        meter.feed(minute)
    assert tracemalloc.get_traced_memory()[1] < 8 * minute.nbytes
    tracemalloc.stop()
    peaks = read_peaks(meter.peaks())
    # 48 s each: of a minute of such noise the loudest is in nearly all of them.
    assert peaks.min() > 0.9 * peaks.max()
    assert len(meter.peaks()) == 2 * N_PEAKS
