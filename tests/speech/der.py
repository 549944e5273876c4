"""The diarization error rate: how much of the speech has no speaker, or a wrong one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speech.speakers import Turn

TICK_MS = 10


@dataclass(frozen=True, slots=True)
class Errors:
    """Milliseconds of speech that was said, and of each kind of error. Two who speak at once count twice."""

    said: int
    missed: int
    false: int
    confused: int

    @property
    def rate(self) -> float:
        """The error rate, in percent."""
        return 100 * (self.missed + self.false + self.confused) / max(1, self.said)


def read_rttm(path: Path) -> list[Turn]:
    """Return the turns of a file in NIST's format; speakers are numbered as they come."""
    numbers: dict[str, int] = {}
    turns = []
    for line in path.read_text().splitlines():
        _, _, _, start_s, length_s, _, _, name, *_ = line.split()
        start_ms, length_ms = round(float(start_s) * 1000), round(float(length_s) * 1000)
        turns.append(Turn(start_ms, start_ms + length_ms, numbers.setdefault(name, len(numbers))))
    return sorted(turns)


def diarization_errors(said: Sequence[Turn], told: Sequence[Turn], *, collar_ms: int = 250) -> Errors:
    """Compare turns with those that were said, with the best mapping of speakers.

    What lies within `collar_ms` of the beginning or end of a turn that was said does not count.
    """
    length = -(-max([turn.end_ms for turn in (*said, *told)], default=0) // TICK_MS)
    reference, found = (_activity(turns, length) for turns in (said, told))
    counted = np.ones(length, dtype=bool)
    for turn in said:
        for edge_ms in (turn.start_ms, turn.end_ms):
            first = max(0, (edge_ms - collar_ms) // TICK_MS)
            counted[first : (edge_ms + collar_ms) // TICK_MS] = False
    reference, found = reference[:, counted], found[:, counted]
    mapping = best_mapping(said, told)
    right = np.zeros(reference.shape[1], dtype=np.int64)
    for speaker, other in mapping.items():
        right += reference[other] & found[speaker]
    n_said, n_told = reference.sum(axis=0), found.sum(axis=0)
    return Errors(
        int(n_said.sum()) * TICK_MS,
        int(np.maximum(n_said - n_told, 0).sum()) * TICK_MS,
        int(np.maximum(n_told - n_said, 0).sum()) * TICK_MS,
        int((np.minimum(n_said, n_told) - right).sum()) * TICK_MS,
    )


def best_mapping(said: Sequence[Turn], told: Sequence[Turn]) -> dict[int, int]:
    """Return for speakers of `told` those of `said`, so that as much time as possible is right."""
    length = -(-max([turn.end_ms for turn in (*said, *told)], default=0) // TICK_MS)
    reference, found = (_activity(turns, length).astype(np.float32) for turns in (said, told))
    shared = found @ reference.T
    # The best value and mapping for each set of speakers that are taken, as bits.
    best: dict[int, tuple[float, dict[int, int]]] = {0: (0.0, {})}
    for speaker in range(len(shared)):
        after = dict(best)
        for taken, (value, mapping) in best.items():
            for other in range(shared.shape[1]):
                more = value + float(shared[speaker, other])
                key = taken | 1 << other
                if not taken >> other & 1 and more > after.get(key, (-1.0,))[0]:
                    after[key] = (more, {**mapping, speaker: other})
        best = after
    return max(best.values(), key=lambda one: one[0])[1]


def _activity(turns: Sequence[Turn], length: int) -> npt.NDArray[np.bool_]:
    active = np.zeros((1 + max([turn.speaker for turn in turns], default=-1), length), dtype=bool)
    for turn in turns:
        active[turn.speaker, turn.start_ms // TICK_MS : -(-turn.end_ms // TICK_MS)] = True
    return active
