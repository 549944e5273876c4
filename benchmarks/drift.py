"""The drift of a timeline: how far the same words lie apart in two transcripts of one recording."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import jiwer
import numpy as np
import numpy.typing as npt

from speech.types import SAMPLE_RATE, Span, ms_to_samples
from speech.voice.activity import SpeechDetector

Sound = npt.NDArray[np.int16]

GOAL_DRIFT_MS = 300
SAME_WORDS = 3
DRIFT_SPAN_MS = 5 * 60_000


@dataclass(frozen=True, slots=True)
class Heard:
    """A word in lower case, and when it starts."""

    word: str
    start_ms: int


def heard_word(word: str, start_ms: int) -> Heard:
    return Heard("".join(filter(str.isalnum, word.lower())), start_ms)


def first_pause(sound: Sound) -> int:
    """Return the middle of the longest pause from 5 to 15 s, in samples."""
    detector = SpeechDetector()
    detector.feed(sound[: 20 * SAMPLE_RATE])
    pauses = [Span(a.end_ms, b.start_ms) for a, b in pairwise(detector.finish())]
    longest = max((p for p in pauses if 5_000 < p.start_ms < 15_000), key=lambda pause: pause.duration_ms)
    return ms_to_samples((longest.start_ms + longest.end_ms) // 2)


def drift(one_go: Sequence[Heard], heard: Sequence[Heard]) -> list[tuple[int, int]]:
    """Return for each word that both have: when it starts, and how many ms later it starts in the
    recording.
    """
    before, after = [w for w in one_go if w.word], [w for w in heard if w.word]
    found = jiwer.process_words(" ".join(w.word for w in before), " ".join(w.word for w in after))
    pairs: list[tuple[Heard, Heard]] = []
    for same in found.alignments[0]:
        if same.type == "equal" and same.ref_end_idx - same.ref_start_idx >= SAME_WORDS:
            pairs += zip(
                before[same.ref_start_idx : same.ref_end_idx],
                after[same.hyp_start_idx : same.hyp_end_idx],
                strict=True,
            )
    return [(a.start_ms, b.start_ms - a.start_ms) for a, b in pairs]


def show_drift(drifts: dict[str, list[tuple[int, int]]]) -> None:
    print(
        f"\n{'milliseconds between word times':40}{'words':>8}{'median':>8}{'p99':>8}{'most':>8}"
        f"{f'within {GOAL_DRIFT_MS}':>13}"
    )
    for name, found in drifts.items():
        sizes = np.abs([ms for _, ms in found])
        print(
            f"{name:40}{len(sizes):8}{np.median(sizes):8.0f}{np.quantile(sizes, 0.99):8.0f}{sizes.max():8}"
            f"{100 * np.mean(sizes <= GOAL_DRIFT_MS):11.2f} %"
        )
    for name, found in drifts.items():
        print(f"{name}: median shift of each 5 minutes, in ms:")
        spans = groupby(sorted(found), key=lambda pair: pair[0] // DRIFT_SPAN_MS)
        print("   " + " ".join(f"{statistics.median(ms for _, ms in pairs):+.0f}" for _, pairs in spans))
