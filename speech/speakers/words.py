"""Give words to speakers, and cut segments where the speaker changes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from speech.speakers.types import Said, Speakers, Turn, label_of
from speech.types import Span, SpeechSegment, Word

_FAR_MS = 2000
"""A word that is further from all turns belongs to nobody."""
_ISLAND_MS = 600
_PAUSE_MS = 300
_NEAR_WORDS = 2
_ENDS = (".", "!", "?", "…", ",", ";", ":", "。", "！", "？", "、", "，", "；", "：")  # noqa: RUF001


def assign(segments: Sequence[SpeechSegment], speakers: Speakers) -> list[Said]:
    """Return the segments, cut where the speaker changes, each with the label of its speaker.

    A word goes to the speaker whose turns it overlaps most, or else to the nearest one. A single short word
    inside of what another person says goes to that person. A change moves to the nearest punctuation or pause
    within two words. A segment without words goes to who speaks most of it, in one piece.
    """
    return [said for source, segment in enumerate(segments) for said in _parts(source, segment, speakers)]


def _parts(source: int, segment: SpeechSegment, speakers: Speakers) -> list[Said]:
    if not segment.words:
        return [_said(segment, _speaker_of(segment, speakers.turns), source, speakers)]
    who = [_speaker_of(word, speakers.turns) for word in segment.words]
    who = _moved_changes(segment.words, _without_islands(segment.words, who))
    if len(set(who)) == 1:
        return [_said(segment, who[0], source, speakers)]
    runs = [[at for at, _ in run] for _, run in groupby(enumerate(who), key=lambda one: one[1])]
    texts = _cut_text(segment, [run[0] for run in runs])
    parts = []
    for number, (run, text) in enumerate(zip(runs, texts, strict=True)):
        words = segment.words[run[0] : run[-1] + 1]
        start_ms = segment.start_ms if number == 0 else words[0].start_ms
        end_ms = segment.end_ms if run is runs[-1] else words[-1].end_ms
        part = replace(segment, start_ms=start_ms, end_ms=max(start_ms, end_ms), text=text, words=words)
        parts.append(_said(part, who[run[0]], source, speakers))
    return parts


def _said(segment: SpeechSegment, speaker: int | None, source: int, speakers: Speakers) -> Said:
    label = "" if speaker is None else label_of(speaker)
    overlapped = tuple(
        at
        for at, word in enumerate(segment.words)
        if _shared_ms(word, speakers.overlaps) * 2 > word.end_ms - word.start_ms
    )
    return Said(replace(segment, speaker=label), speaker, source, overlapped)


def _near(spans: Sequence[Span] | Sequence[Turn], start_ms: int, end_ms: int) -> Sequence[Span | Turn]:
    """Return the spans that may touch `[start_ms, end_ms)`, of spans in the order of their beginnings."""
    last = bisect_left(spans, end_ms, key=lambda span: span.start_ms)
    return [span for span in spans[:last] if span.end_ms > start_ms]


def _shared_ms(what: Word, spans: Sequence[Span]) -> int:
    return sum(
        min(what.end_ms, span.end_ms) - max(what.start_ms, span.start_ms)
        for span in _near(spans, what.start_ms, what.end_ms)
    )


def _speaker_of(what: Word | SpeechSegment, turns: Sequence[Turn]) -> int | None:
    shared: dict[int, int] = {}
    for turn in turns:
        length = min(what.end_ms, turn.end_ms) - max(what.start_ms, turn.start_ms)
        if length > 0:
            shared[turn.speaker] = shared.get(turn.speaker, 0) + length
    if shared:
        return max(shared, key=lambda speaker: (shared[speaker], -speaker))
    far = [(max(turn.start_ms - what.end_ms, what.start_ms - turn.end_ms), turn.speaker) for turn in turns]
    distance_ms, speaker = min(far, default=(_FAR_MS + 1, 0))
    return speaker if distance_ms <= _FAR_MS else None


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
