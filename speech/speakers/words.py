"""Give words to speakers, and cut segments where the speaker changes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Generic, TypeVar

from speech.speakers.types import Said, Speakers, Turn, label_of
from speech.types import Span, SpeechSegment, Word

Stretch = TypeVar("Stretch", Span, Turn)

_FAR_MS = 2000
"""A word that is further from all turns belongs to nobody."""
_ISLAND_MS = 600
_PAUSE_MS = 300
_NEAR_WORDS = 2
_ENDS = (".", "!", "?", "…", ",", ";", ":", "。", "！", "？", "、", "，", "；", "：")  # noqa: RUF001


def assign(segments: Sequence[SpeechSegment], speakers: Speakers) -> list[Said]:
    """Return the segments, cut where the speaker changes, each with the label of its speaker.

    A word goes to the speaker whose turns it overlaps most, or else to the nearest one; to nobody where that
    is unsure. A single short word inside of what another person says goes to that person. A change moves to
    the nearest punctuation or pause within two words. A segment without words goes to who speaks most of it,
    in one piece.
    """
    turns, overlaps = _Timeline(speakers.turns), _Timeline(speakers.overlaps)
    unsure = _Timeline(speakers.unsure)
    found = []
    for source, segment in enumerate(segments):
        for part, speaker in _parts(segment, turns, unsure):
            label = "" if speaker is None else label_of(speaker)
            marked = tuple(at for at, word in enumerate(part.words) if _is_in(word, overlaps))
            found.append(Said(replace(part, speaker=label), speaker, source, marked))
    return found


def _start_of(stretch: Span | Turn) -> int:
    return stretch.start_ms


class _Timeline(Generic[Stretch]):
    """Finds stretches by time, without looking at all of them: a day has many."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._stretches: list[Stretch] = sorted(stretches, key=_start_of)
        self._last: list[Stretch] = []
        """Of each stretch and all before it, the one that ends last."""
        for one in self._stretches:
            longest = not self._last or one.end_ms > self._last[-1].end_ms
            self._last.append(one if longest else self._last[-1])

    def within(self, start_ms: int, end_ms: int) -> list[tuple[int, Stretch]]:
        """Return the stretches that overlap `[start_ms, end_ms)`, each after the milliseconds it shares."""
        found = []
        at = bisect_left(self._stretches, end_ms, key=_start_of)
        while at and self._last[at - 1].end_ms > start_ms:
            at -= 1
            one = self._stretches[at]
            shared_ms = min(end_ms, one.end_ms) - max(start_ms, one.start_ms)
            if shared_ms > 0:
                found.append((shared_ms, one))
        return found

    def nearest(self, start_ms: int, end_ms: int) -> tuple[int, Stretch] | None:
        """Return the stretch that is nearest to one that overlaps none, after its distance."""
        at = bisect_left(self._stretches, end_ms, key=_start_of)
        near: list[tuple[int, Stretch]] = []
        near += [(start_ms - one.end_ms, one) for one in self._last[max(0, at - 1) : at]]
        near += [(one.start_ms - end_ms, one) for one in self._stretches[at : at + 1]]
        return min(near, key=lambda one: one[0], default=None)


def _is_in(what: Word | SpeechSegment, spans: _Timeline[Span]) -> bool:
    """Return whether more than half of it lies in the spans."""
    shared_ms = sum(ms for ms, _ in spans.within(what.start_ms, what.end_ms))
    return shared_ms * 2 > what.end_ms - what.start_ms


def _parts(
    segment: SpeechSegment, turns: _Timeline[Turn], unsure: _Timeline[Span]
) -> list[tuple[SpeechSegment, int | None]]:
    """Return the parts of a segment, each with its speaker."""
    if not segment.words:
        return [(segment, _speaker_of(segment, turns, unsure))]
    who = [_speaker_of(word, turns, unsure) for word in segment.words]
    who = _moved_changes(segment.words, _without_islands(segment.words, who))
    if len(set(who)) == 1:
        return [(segment, who[0])]
    runs = [[at for at, _ in run] for _, run in groupby(enumerate(who), key=lambda one: one[1])]
    texts = _cut_text(segment, [run[0] for run in runs])
    parts = []
    for run, text in zip(runs, texts, strict=True):
        words = segment.words[run[0] : run[-1] + 1]
        start_ms = segment.start_ms if run is runs[0] else words[0].start_ms
        end_ms = segment.end_ms if run is runs[-1] else words[-1].end_ms
        part = replace(segment, start_ms=start_ms, end_ms=max(start_ms, end_ms), text=text, words=words)
        parts.append((part, who[run[0]]))
    return parts


def _speaker_of(what: Word | SpeechSegment, turns: _Timeline[Turn], unsure: _Timeline[Span]) -> int | None:
    if _is_in(what, unsure):
        return None
    shared: dict[int, int] = {}
    for ms, turn in turns.within(what.start_ms, what.end_ms):
        shared[turn.speaker] = shared.get(turn.speaker, 0) + ms
    if shared:
        return max(shared, key=lambda speaker: (shared[speaker], -speaker))
    near = turns.nearest(what.start_ms, what.end_ms)
    return near[1].speaker if near is not None and near[0] <= _FAR_MS else None


def _without_islands(words: Sequence[Word], who: Sequence[int | None]) -> list[int | None]:
    smooth = list(who)
    for at in range(1, len(words) - 1):
        before, word, after = words[at - 1 : at + 2]
        if (
            smooth[at - 1] == who[at + 1] != who[at]
            and word.end_ms - word.start_ms < _ISLAND_MS
            and word.start_ms - before.end_ms < _PAUSE_MS
            and after.start_ms - word.end_ms < _PAUSE_MS
        ):
            smooth[at] = who[at + 1]
    return smooth


def _moved_changes(words: Sequence[Word], who: Sequence[int | None]) -> list[int | None]:
    """Move each change of speaker to the nearest punctuation or pause, if there is one within two words."""
    moved = list(who)
    changes = [at for at in range(1, len(who)) if who[at] != who[at - 1]]
    for number, change in enumerate(changes):
        first = changes[number - 1] + 1 if number else 1
        last = changes[number + 1] - 1 if number + 1 < len(changes) else len(who) - 1
        near = range(max(first, change - _NEAR_WORDS), min(last, change + _NEAR_WORDS) + 1)
        breaks = [at for at in near if _is_break(words, at)]
        if breaks:
            to = min(breaks, key=lambda at: (abs(at - change), at))
            moved[to:change] = [who[change]] * max(0, change - to)
            moved[change:to] = [who[change - 1]] * max(0, to - change)
    return moved


def _is_break(words: Sequence[Word], at: int) -> bool:
    """Return whether punctuation or a pause stands before the word."""
    before = words[at - 1]
    return before.text.endswith(_ENDS) or words[at].start_ms - before.end_ms >= _PAUSE_MS


def _cut_text(segment: SpeechSegment, firsts: Sequence[int]) -> list[str]:
    """Return the text in parts that begin with the words of these indexes, the first of which is 0."""
    places, at = [], 0
    for word in segment.words:
        found = segment.text.find(word.text, at)
        if found < 0:
            ends = [*firsts[1:], len(segment.words)]
            return [
                " ".join(one.text for one in segment.words[first:end])
                for first, end in zip(firsts, ends, strict=True)
            ]
        places.append(found)
        at = found + len(word.text)
    cuts = [0, *(places[first] for first in firsts[1:]), len(segment.text)]
    return [segment.text[cut:end].strip() for cut, end in pairwise(cuts)]
