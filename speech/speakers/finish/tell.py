"""Tell the speakers of a recording apart, when its windows have been heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from speech.speakers.finish.centres import CLEAN, PIECE_S, Voices, centres_of, gathered
from speech.speakers.finish.clustering import unit
from speech.speakers.finish.scoring import STEP_TICKS, Scored, most_likely, score
from speech.speakers.finish.turns import in_order, joined
from speech.speakers.hearing.local import TICK
from speech.speakers.hearing.packing import (
    PIECE,
    VECTOR,
    Floats,
    Heard,
    Integers,
    pack_vector,
    piece_start,
    unpack,
)
from speech.speakers.types import Count, HeardWindow, Speakers, Turn, Voice
from speech.types import Span

ANY_NUMBER = Count()

_HARD_OWN = 0.5
"""Below this, the pieces of one person are so unlike each other that voices are hard to tell apart."""
_LEAST_OVERLAP_TICKS = 30
_LEAST_AHEAD = 0.3
"""How much more a turn has to be like its voice than like the next best, in sums of two cosines."""
_TICK_MS = 10


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
    voices = gathered([one for _, one in heard])
    centres = centres_of(voices, count)
    found, overlaps, unsure = _turns(heard, centres)
    turns, order = in_order(found)
    alike = 1.0 if voices.own is None else voices.own
    return Speakers(turns, overlaps, _described(voices, centres, order), alike < _HARD_OWN, unsure)


def with_voices(speakers: Speakers, windows: Sequence[HeardWindow]) -> Speakers:
    """Return the speakers, whose turns are known from channels, with what they sound like.

    Raises:
        UnreadableVoices: the voices were packed by another version, or are damaged.
    """
    own: list[list[Floats]] = [[] for _ in speakers.voices]
    for window in windows:
        if not window.voices:
            continue
        heard = unpack(window.voices)
        pieces = heard.pieces
        first = piece_start(pieces.number, heard.samples) // TICK
        length = min(PIECE, heard.samples) // TICK
        for speaker, alone in enumerate(
            _alone(speakers.turns, speakers.n, window, -(-heard.samples // TICK))
        ):
            ticks = np.concatenate([[0], np.cumsum(alone)])
            share = (ticks[first + length] - ticks[first]) / length
            own[speaker].append(pieces.vectors[share >= CLEAN])
    voices = []
    for parts in own:
        vectors = np.concatenate([np.zeros((0, VECTOR), dtype=np.float32), *parts])
        packed = pack_vector(unit(vectors.sum(axis=0))) if len(vectors) else b""
        voices.append(Voice(packed, len(vectors) * PIECE_S))
    return replace(speakers, voices=tuple(voices))


def _alone(turns: Sequence[Turn], speakers: int, window: HeardWindow, ticks: int) -> npt.NDArray[np.bool_]:
    """Return in which ticks of a window each speaker speaks alone; shape (speakers, ticks)."""
    speaking = np.zeros((speakers, ticks), dtype=bool)
    for turn in turns:
        first, end = ((ms - window.start_ms) // _TICK_MS for ms in (turn.start_ms, turn.end_ms))
        speaking[turn.speaker, max(0, first) : max(0, end)] = True
    return np.asarray(speaking & (speaking.sum(axis=0) == 1))


def _turns(
    windows: Sequence[tuple[HeardWindow, Heard]], centres: Floats
) -> tuple[list[Turn], tuple[Span, ...], tuple[Span, ...]]:
    """Return the turns, the stretches in which two speak, and those in which it is unsure who does."""
    scored = [score(heard, centres) for _, heard in windows]
    spoken = [
        np.maximum.reduceat(one.speaking, np.arange(0, len(one.speaking), STEP_TICKS)) > 0 for one in scored
    ]
    if not any(steps.any() for steps in spoken):
        return [], (), ()
    # A step after a pause may begin with another speaker, and so may a window.
    easy = [
        one.easy[steps] | (np.diff(np.flatnonzero(steps), prepend=-9) > 1)
        for one, steps in zip(scored, spoken, strict=True)
    ]
    scores = np.concatenate([one.scores[steps] for one, steps in zip(scored, spoken, strict=True)])
    speakers = most_likely(scores, np.concatenate(easy))
    turns: list[Turn] = []
    overlaps: list[Span] = []
    unsure: list[Span] = []
    at = 0
    for (window, _), one, steps in zip(windows, scored, spoken, strict=True):
        who = np.full(len(steps), -1)
        who[steps] = speakers[at : at + int(steps.sum())]
        at += int(steps.sum())
        for span, first, is_sure in _first_voices(one, who, window):
            turns.append(Turn(span.start_ms, span.end_ms, first))
            if not is_sure:
                unsure.append(span)
        for span, second in _second_voices(one, who, window):
            overlaps.append(span)
            turns.append(Turn(span.start_ms, span.end_ms, second))
    return joined(turns), tuple(overlaps), tuple(unsure)


def _runs(values: Integers) -> Iterator[tuple[int, int, int]]:
    """Yield the value, first index and end of each run of equal values."""
    firsts = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    for first, end in zip(firsts, [*firsts[1:], len(values)], strict=True):
        yield int(values[first]), int(first), int(end)


def _first_voices(one: Scored, who: Integers, window: HeardWindow) -> Iterator[tuple[Span, int, bool]]:
    """Yield each stretch in which one voice is heard best, with the voice, and whether that is sure."""
    ticks = np.where(one.speaking > 0, np.repeat(who, STEP_TICKS)[: len(one.speaking)], -1)
    for speaker, first, end in _runs(ticks):
        if speaker >= 0:
            scores = one.scores[first // STEP_TICKS : -(-end // STEP_TICKS)].mean(axis=0)
            ahead = scores[speaker] - np.delete(scores, speaker).max(initial=-np.inf)
            yield _span(window, first, end), speaker, bool(ahead >= _LEAST_AHEAD)


def _span(window: HeardWindow, first: int, end: int) -> Span:
    """Return the stretch of these ticks. The last tick may reach beyond the window."""
    end_ms = min(window.start_ms + end * _TICK_MS, window.end_ms)
    return Span(window.start_ms + first * _TICK_MS, end_ms)


def _second_voices(one: Scored, who: Integers, window: HeardWindow) -> Iterator[tuple[Span, int]]:
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
            yield _span(window, first + begin, first + until), int(others.argmax())


def _described(voices: Voices, centres: Floats, order: Sequence[int]) -> tuple[Voice, ...]:
    """Return how each speaker sounds. `order` has the index of its centre."""
    clean = voices.vectors[voices.purity >= CLEAN]
    nearest = (clean @ centres.T).argmax(axis=1)
    found = []
    for speaker in order:
        own = clean[nearest == speaker]
        vector = pack_vector(unit(own.sum(axis=0))) if len(own) else b""
        found.append(Voice(vector, len(own) * PIECE_S))
    return tuple(found)
