"""Find the voices of a recording: one vector for each person, from vectors of short pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speech.speakers.finish.clustering import group, unit
from speech.speakers.hearing.packing import PIECE, PIECE_HOP, VECTOR, Floats, Heard, Integers, piece_start
from speech.speakers.types import Count
from speech.types import SAMPLE_RATE

PURE, CLEAN = 0.6, 0.85
"""The purity of pieces by which voices are grouped, and of those by which they are described."""
PIECE_S = PIECE_HOP / SAMPLE_RATE
# Found on recordings that are not part of the repository: docs/decisions/0026-speakers.md.
_OWN_QUANTILE, _LEAST_PAIRS, _USUAL_OWN = 0.75, 5, 0.6
_RELATIVE, _LEAST_ALIKE, _MOST_ALIKE = 0.6, 0.28, 0.5
_ONE_VOICE = 0.65
_SHARED_QUANTILE, _SHARED_MORE, _SHARED_OF_OWN = 0.05, 0.1, (0.1, 0.45)
_MOST_COMPARED, _LEAST_COMPARED = 500, 10
_LEAST_SHARE, _LEAST_S, _ENOUGH_S = 0.03, 1.5, 6.0
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Voices:
    """The pieces of all windows, in order of time."""

    vectors: Floats
    purity: Floats
    own: float | None
    """How alike the pieces of one person are; None if there are too few to say."""

    @property
    def pure(self) -> Floats:
        """The vectors of the pieces in which mostly one person speaks, or else all."""
        vectors = self.vectors[self.purity >= PURE]
        return vectors if len(vectors) else self.vectors


def gathered(windows: Sequence[Heard]) -> Voices:
    empty = np.zeros((0, VECTOR), dtype=np.float32)
    vectors = np.concatenate([empty, *(window.pieces.vectors for window in windows)])
    purity = np.concatenate([empty[:, 0], *(window.pieces.purity for window in windows)])
    cosines = np.concatenate([empty[:, 0], *map(_own_cosines, windows)])
    own = float(np.quantile(cosines, _OWN_QUANTILE)) if len(cosines) >= _LEAST_PAIRS else None
    return Voices(vectors, purity, own)


def _own_cosines(heard: Heard) -> Floats:
    """Return the cosines of pairs of clean pieces, one right after the other, of the same local speaker."""
    pieces = heard.pieces
    begins = np.array([chunk.start for chunk in heard.chunks])
    starts = piece_start(pieces.number, heard.samples)
    chunk = np.abs(starts[:, None] - begins).argmin(axis=1)
    place = {number: at for at, number in enumerate(pieces.number.tolist())}
    pairs = [
        (at, place[number + PIECE // PIECE_HOP])
        for number, at in place.items()
        if number + PIECE // PIECE_HOP in place
    ]
    left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    use = (
        (np.minimum(pieces.purity[left], pieces.purity[right]) >= CLEAN)
        & (pieces.local[left] == pieces.local[right])
        & (chunk[left] == chunk[right])
    )
    return np.asarray((pieces.vectors[left[use]] * pieces.vectors[right[use]]).sum(axis=1))


def centres_of(voices: Voices, count: Count) -> Floats:
    """Return the unit mean of each voice; shape (voices, VECTOR)."""
    vectors = voices.pure
    if not len(vectors):
        return np.zeros((1, VECTOR), dtype=np.float32)
    own = _USUAL_OWN if voices.own is None else voices.own
    shared = _shared(vectors, own)

    def beyond(cosine: float) -> float:
        """Return the cosine of voices that are so much alike beside what all share."""
        return shared + (1 - shared) * cosine

    own_beyond = (own - shared) / (1 - shared)
    alike = beyond(float(np.clip(_RELATIVE * own_beyond, _LEAST_ALIKE, _MOST_ALIKE)))
    centres, sizes = group(vectors, alike, count.exactly)
    if count.exactly is None:
        at_least = count.at_least or 1
        if len(centres) > at_least:
            centres, sizes = _without_small(centres, sizes, at_least)
            centres, sizes = _merged(centres, sizes, beyond(_ONE_VOICE), at_least)
        if len(centres) < at_least:
            centres, sizes = group(vectors, alike, at_least)
        if count.at_most is not None and len(centres) > count.at_most:
            centres = centres[np.sort(np.argsort(-sizes, kind="stable")[: count.at_most])]
    for _ in range(_ROUNDS):
        nearest = (vectors @ centres.T).argmax(axis=1)
        totals = np.zeros_like(centres)
        np.add.at(totals, nearest, vectors)
        centres = np.where(np.bincount(nearest, minlength=len(centres))[:, None] > 0, unit(totals), centres)
    return centres


def _shared(vectors: Floats, own: float) -> float:
    """Return how alike even different people are, because all speak through one telephone; usually 0.

    The least alike pieces tell. Without a telephone they are not alike at all if several people speak, and
    about two thirds as much as `own` if one does.
    """
    some = vectors[:: -(-len(vectors) // _MOST_COMPARED)]
    if len(some) < _LEAST_COMPARED:
        return 0.0
    cosines = (some @ some.T)[np.triu_indices(len(some), 1)]
    least = float(np.quantile(cosines, _SHARED_QUANTILE))
    low, high = _SHARED_OF_OWN
    return least + _SHARED_MORE if low < least / own < high else 0.0


def _without_small(centres: Floats, sizes: Integers, at_least: int) -> tuple[Floats, Integers]:
    """Leave out groups that are too small to be a person, but keep the largest ones."""
    least_s = min(_ENOUGH_S, max(_LEAST_S, _LEAST_SHARE * float(sizes.sum()) * PIECE_S))
    large = sizes * PIECE_S >= least_s
    large[np.argsort(-sizes, kind="stable")[:at_least]] = True
    return centres[large], sizes[large]


def _merged(centres: Floats, sizes: Integers, alike: float, at_least: int) -> tuple[Floats, Integers]:
    """Merge the two voices that are most alike, as long as there are two that are as much as `alike`."""
    while len(centres) > at_least:
        cosines = np.triu(centres @ centres.T, 1)
        left, right = np.unravel_index(int(cosines.argmax()), cosines.shape)
        if cosines[left, right] < alike:
            break
        mean = centres[left] * sizes[left] + centres[right] * sizes[right]
        centres[left], sizes[left] = unit(mean), sizes[left] + sizes[right]
        centres, sizes = np.delete(centres, right, axis=0), np.delete(sizes, right)
    return centres, sizes
