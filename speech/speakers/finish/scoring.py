"""How much the sound of a window is like each voice, step by step, and who speaks when by that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speech.speakers.hearing.local import LOCALS, TICK, number_speaking, ticks_of, weights_of
from speech.speakers.hearing.packing import PIECE, Chunk, Floats, Heard, Integers, piece_start

STEP_TICKS = 10
"""Ticks of a step, which is 100 ms: who speaks is decided for each step."""
_STEP = STEP_TICKS * TICK
_CHANGE, _EASY_CHANGE = 1.0, 0.24
"""What a change of speaker costs, in cosines; and in a pause, or where the local speaker changes."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A window in which `speaking` people speak in each tick. Arrays of steps are as long as the window."""

    speaking: Integers
    scores: Floats
    """How much each step is like each voice: a sum of two cosines; shape (steps, voices)."""
    easy: npt.NDArray[np.bool_]
    """Whether the speaker may easily change at the beginning of the step."""


def score(heard: Heard, centres: Floats) -> Scored:
    """Compare a window with voices, of shape (voices, VECTOR)."""
    speaking = number_speaking(heard.chunks, heard.samples)
    steps = -(-len(speaking) // STEP_TICKS)
    scores = _piece_scores(heard, centres, steps)
    votes, easy = _local_votes(heard.chunks, scores, steps)
    return Scored(speaking, scores + votes, easy)


def _piece_scores(heard: Heard, centres: Floats, steps: int) -> Floats:
    """Return the mean cosine of the pieces over each step. Pure pieces and their middles count more."""
    pieces = heard.pieces
    cosines = pieces.vectors @ centres.T
    starts = piece_start(pieces.number, heard.samples)
    length = min(PIECE, heard.samples)
    total = np.zeros((steps, len(centres)), dtype=np.float32)
    weight = np.full((steps, 1), 1e-6, dtype=np.float32)
    for offset in range(-(-PIECE // _STEP) + 1):
        at = starts // _STEP + offset
        inside = (at * _STEP + _STEP / 2 - starts) / length
        use = (inside > 0) & (inside < 1) & (at < steps)
        weights = (np.sin(np.pi * inside[use]) ** 2 * pieces.purity[use])[:, None].astype(np.float32)
        np.add.at(total, at[use], weights * cosines[use])
        np.add.at(weight, at[use], weights)
    return total / weight


def _local_votes(chunks: list[Chunk], scores: Floats, steps: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the mean score of the local speakers of each step, over all that they say alone in their chunk;
    and whether the local speaker changes there.
    """
    total = np.zeros_like(scores)
    weight = np.full((steps, 1), 1e-6, dtype=np.float32)
    easy = np.zeros(steps + 1, dtype=bool)
    for chunk in chunks:
        first, ticks = ticks_of(chunk)
        middles = np.arange(-(-first // STEP_TICKS), min(steps, (first + len(ticks)) // STEP_TICKS))
        ticks = ticks[np.minimum(middles * STEP_TICKS + STEP_TICKS // 2 - first, len(ticks) - 1)]
        local = LOCALS[ticks]
        alone = local * (local.sum(axis=1, keepdims=True) == 1)
        mean = alone.T @ scores[middles] / np.maximum(alone.sum(axis=0), 1e-6)[:, None]
        weights = (weights_of(len(ticks) * STEP_TICKS)[STEP_TICKS // 2 :: STEP_TICKS] * local.any(axis=1))[
            :, None
        ]
        total[middles] += weights * (local @ mean) / np.maximum(local.sum(axis=1, keepdims=True), 1)
        weight[middles] += weights
        changes = middles[1:][np.diff(ticks.astype(np.int64)) != 0]
        for near in (-1, 0, 1):
            easy[np.clip(changes + near, 0, steps)] = True
    return total / weight, easy[:steps]


def most_likely(scores: Floats, easy: npt.NDArray[np.bool_]) -> Integers:
    """Return the most likely speaker of each step (Viterbi), given steps of shape (steps, voices)."""
    steps, voices = scores.shape
    came = np.zeros((steps, voices), dtype=np.int16)
    costs = np.where(easy, np.float32(_EASY_CHANGE), np.float32(_CHANGE))
    stay = np.arange(voices, dtype=np.int16)
    best = scores[0]
    for step in range(1, steps):
        leader = int(best.argmax())
        changed = best[leader] - costs[step]
        came[step] = np.where(best >= changed, stay, leader)
        best = np.maximum(best, changed) + scores[step]
    speakers = np.zeros(steps, dtype=np.int64)
    speakers[-1] = best.argmax()
    for step in range(steps - 1, 0, -1):
        speakers[step - 1] = came[step, speakers[step]]
    return speakers
