"""Tell the speakers of a recording apart, when its windows have been heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speech.speakers.finish.clustering import group, unit
from speech.speakers.finish.scoring import STEP_TICKS, Scored, most_likely, score
from speech.speakers.finish.turns import in_order, joined
from speech.speakers.hearing.packing import (
    PIECE,
    PIECE_HOP,
    VECTOR,
    Floats,
    Heard,
    Integers,
    pack_vector,
    piece_start,
    unpack,
)
from speech.speakers.types import Count, HeardWindow, Speakers, Turn, Voice
from speech.types import SAMPLE_RATE, Span

ANY_NUMBER = Count()

_PURE, _CLEAN = 0.6, 0.85
_PIECE_S = PIECE_HOP / SAMPLE_RATE
_OWN_QUANTILE, _LEAST_PAIRS, _USUAL_OWN = 0.75, 5, 0.6
_HARD_OWN = 0.5
_RELATIVE, _LEAST_ALIKE, _MOST_ALIKE = 0.6, 0.28, 0.5
_ONE_VOICE = 0.6
_LEAST_SHARE, _LEAST_S, _ENOUGH_S = 0.03, 1.5, 6.0
_ROUNDS = 3
_LEAST_OVERLAP_TICKS = 30
_TICK_MS = 10


@dataclass(frozen=True, slots=True)
class _Voices:
    """The pieces of all windows, in order of time."""

    vectors: Floats
    purity: Floats
    own: float | None
    """How alike the pieces of one person are; None if there are too few to say."""


def tell_apart(windows: Sequence[HeardWindow], count: Count = ANY_NUMBER) -> Speakers:
    """Return who speaks when in the windows that were heard. The same windows give the same result.

    Windows may be missing, as while a recording goes on, and may come in any order. It takes about a second
    for two hours.

    Raises:
        UnreadableVoices: the voices were packed by another version, or are damaged.
    """
    heard = [
        (window, unpack(window.voices))
        for window in sorted(windows, key=lambda window: window.start_ms)
        if window.voices
    ]
    voices = _gathered([one for _, one in heard])
    centres = _centres(voices, count)
    found, overlaps = _turns(heard, centres)
    turns, order = in_order(found)
    alike = 1.0 if voices.own is None else voices.own
    return Speakers(turns, overlaps, _described(voices, centres, order), alike < _HARD_OWN)


def _gathered(windows: Sequence[Heard]) -> _Voices:
    empty = np.zeros((0, VECTOR), dtype=np.float32)
    vectors = np.concatenate([empty, *(window.pieces.vectors for window in windows)])
    purity = np.concatenate([empty[:, 0], *(window.pieces.purity for window in windows)])
    cosines = np.concatenate([empty[:, 0], *map(_own_cosines, windows)])
    own = float(np.quantile(cosines, _OWN_QUANTILE)) if len(cosines) >= _LEAST_PAIRS else None
    return _Voices(vectors, purity, own)


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
        (np.minimum(pieces.purity[left], pieces.purity[right]) >= _CLEAN)
        & (pieces.local[left] == pieces.local[right])
        & (chunk[left] == chunk[right])
    )
    return np.asarray((pieces.vectors[left[use]] * pieces.vectors[right[use]]).sum(axis=1))


def _centres(voices: _Voices, count: Count) -> Floats:
    """Return the unit mean of each voice; shape (voices, VECTOR)."""
    vectors = voices.vectors[voices.purity >= _PURE]
    if not len(vectors):
        vectors = voices.vectors
    if not len(vectors):
        return np.zeros((1, VECTOR), dtype=np.float32)
    own = _USUAL_OWN if voices.own is None else voices.own
    alike = float(np.clip(_RELATIVE * own, _LEAST_ALIKE, _MOST_ALIKE))
    centres, sizes = group(vectors, alike, count.exactly)
    if count.exactly is None:
        at_least = count.at_least or 1
        if len(centres) > at_least:
            centres, sizes = _without_small(centres, sizes, at_least)
            centres, sizes = _merged(centres, sizes, at_least)
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


def _without_small(centres: Floats, sizes: Integers, at_least: int) -> tuple[Floats, Integers]:
    """Leave out groups that are too small to be a person, but keep the largest ones."""
    least_s = min(_ENOUGH_S, max(_LEAST_S, _LEAST_SHARE * float(sizes.sum()) * _PIECE_S))
    large = sizes * _PIECE_S >= least_s
    large[np.argsort(-sizes, kind="stable")[:at_least]] = True
    return centres[large], sizes[large]


def _merged(centres: Floats, sizes: Integers, at_least: int) -> tuple[Floats, Integers]:
    """Merge the voices that are most alike, while they are alike enough to be one person's."""
    while len(centres) > at_least:
        cosines = np.triu(centres @ centres.T, 1)
        left, right = np.unravel_index(int(cosines.argmax()), cosines.shape)
        if cosines[left, right] < _ONE_VOICE:
            break
        mean = centres[left] * sizes[left] + centres[right] * sizes[right]
        centres[left], sizes[left] = unit(mean), sizes[left] + sizes[right]
        centres, sizes = np.delete(centres, right, axis=0), np.delete(sizes, right)
    return centres, sizes


def _turns(
    windows: Sequence[tuple[HeardWindow, Heard]], centres: Floats
) -> tuple[list[Turn], tuple[Span, ...]]:
    scored = [score(heard, centres) for _, heard in windows]
    spoken = [
        np.maximum.reduceat(one.speaking, np.arange(0, len(one.speaking), STEP_TICKS)) > 0 for one in scored
    ]
    if not any(steps.any() for steps in spoken):
        return [], ()
    # A step after a pause may begin with another speaker, and so may a window.
    easy = [
        one.easy[steps] | (np.diff(np.flatnonzero(steps), prepend=-9) > 1)
        for one, steps in zip(scored, spoken, strict=True)
    ]
    scores = np.concatenate([one.scores[steps] for one, steps in zip(scored, spoken, strict=True)])
    speakers = most_likely(scores, np.concatenate(easy))
    turns: list[Turn] = []
    overlaps: list[Span] = []
    at = 0
    for (window, _), one, steps in zip(windows, scored, spoken, strict=True):
        who = np.full(len(steps), -1)
        who[steps] = speakers[at : at + int(steps.sum())]
        at += int(steps.sum())
        turns += _first_voices(one, who, window.start_ms)
        for span, second in _second_voices(one, who):
            moved = Span(window.start_ms + span.start_ms, window.start_ms + span.end_ms)
            overlaps.append(moved)
            turns.append(Turn(moved.start_ms, moved.end_ms, second))
    return joined(turns), tuple(overlaps)


def _runs(values: Integers) -> Iterator[tuple[int, int, int]]:
    """Yield the value, first index and end of each run of equal values."""
    firsts = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    for first, end in zip(firsts, [*firsts[1:], len(values)], strict=True):
        yield int(values[first]), int(first), int(end)


def _first_voices(one: Scored, who: Integers, start_ms: int) -> Iterator[Turn]:
    ticks = np.where(one.speaking > 0, np.repeat(who, STEP_TICKS)[: len(one.speaking)], -1)
    for speaker, first, end in _runs(ticks):
        if speaker >= 0:
            yield Turn(start_ms + first * _TICK_MS, start_ms + end * _TICK_MS, speaker)


def _second_voices(one: Scored, who: Integers) -> Iterator[tuple[Span, int]]:
    """Yield each stretch in which two speak, with the one who is not heard best."""
    if one.scores.shape[1] < 2:
        return
    ticks = np.repeat(who, STEP_TICKS)[: len(one.speaking)]
    for both, first, end in _runs((one.speaking > 1).astype(np.int64)):
        if not both or end - first < _LEAST_OVERLAP_TICKS:
            continue
        scores = one.scores[first // STEP_TICKS : -(-end // STEP_TICKS)].sum(axis=0)
        for main, begin, until in _runs(ticks[first:end]):
            others = scores.copy()
            others[main] = -np.inf
            yield Span((first + begin) * _TICK_MS, (first + until) * _TICK_MS), int(others.argmax())


def _described(voices: _Voices, centres: Floats, order: Sequence[int]) -> tuple[Voice, ...]:
    """Return how each speaker sounds. `order` has the index of its centre."""
    clean = voices.vectors[voices.purity >= _CLEAN]
    nearest = (clean @ centres.T).argmax(axis=1)
    found = []
    for speaker in order:
        own = clean[nearest == speaker]
        vector = pack_vector(unit(own.sum(axis=0))) if len(own) else b""
        found.append(Voice(vector, len(own) * _PIECE_S))
    return tuple(found)
