"""Cutting a transcript into captions that can be read: two short lines, a few seconds, at natural places.

The limits are the usual ones of subtitle guides (42 Latin or 16 Chinese, Japanese or Korean characters
a line, two lines, one to seven seconds). Where to cut is chosen for a whole stretch of speech at once, by
dynamic programming over its words as in Knuth and Plass, "Breaking paragraphs into lines" (1981).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise

from speech.types import SpeechSegment

LINE_WIDTH = 42
MAX_CUE_MS = 7_000
MIN_CUE_MS = 1_000
PAUSE_MS = 1_000
"""A caption never stays over a pause this long."""

# 42 / 2.5: sixteen characters a line.
WIDE_CHARACTER = 2.5

_ZERO_WIDTH_JOINER = "\u200d"
_CLOSERS = "\"')]}\u2019\u201d\u00bb\u3009\u300b\u300d\u300f\u3011\uff09"
_SENTENCE_ENDS = frozenset(".!?\u2026\u061f\u06d4\u0964\u3002\uff01\uff1f\uff0e")
_CLAUSE_ENDS = frozenset(",;:\u2013\u2014\u060c\u061b\u3001\uff0c\uff1b\uff1a")
# Small kana and the marks that lengthen or repeat belong to the character before them.
_NOT_AT_LINE_START = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ々ー")

# What it costs to cut after a piece, in caption units: a caption more costs 1.
_AFTER_SENTENCE, _AFTER_CLAUSE, _AFTER_WORD, _INSIDE_WORD, _AFTER_LABEL = 0.0, 0.8, 2.0, 4.0, 100.0


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption. `lines` are one or two and never blank; `end_ms` is later than `start_ms`."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is never cut: a word, a character of Chinese, or a line's width of a word without end."""

    text: str
    start_ms: int
    end_ms: int
    space_before: bool
    width: float
    cut_cost: float


def make_cues(segments: Sequence[SpeechSegment], *, label_speakers: bool = False) -> list[Cue]:
    """The captions of a transcript, in time order and without overlap.

    `segments` are in time order. Where a segment's words are those of its text, their times decide; else
    (no word times, or an edited text) its characters are spread evenly over its time. A caption may
    hold the end of one segment and the beginning of the next of the same speaker. With
    `label_speakers` a caption in which another speaker begins starts with "Name: ".
    """
    cues: list[Cue] = []
    for name, group in groupby(segments, key=lambda segment: segment.speaker):
        speaker = " ".join(name.split())
        pieces = list(_pieces(group))
        if pieces and speaker and label_speakers:
            pieces = [
                *_label(speaker, pieces[0].start_ms),
                replace(pieces[0], space_before=True),
                *pieces[1:],
            ]
        for stretch in _split_at_pauses(pieces):
            for first, end in _best_cuts(stretch):
                cue = stretch[first:end]
                start_ms = cue[0].start_ms
                end_ms = min(cue[-1].end_ms, start_ms + MAX_CUE_MS)
                cues.append(Cue(start_ms, end_ms, _lines(cue), speaker))
    return _without_overlap(cues)


def join_texts(texts: Sequence[str]) -> str:
    """The texts as one, white space made single, without spaces between Chinese or Japanese sentences."""
    joined = ""
    for text in texts:
        clean = " ".join(text.split())
        if joined and clean and _needs_space(joined[-1], clean[0]):
            joined += " "
        joined += clean
    return joined


def ends_sentence(text: str) -> bool:
    """Whether the text ends as a sentence does, closing quotes and brackets aside."""
    return text.rstrip(_CLOSERS)[-1:] in _SENTENCE_ENDS


def _pieces(segments: Iterator[SpeechSegment]) -> Iterator[_Piece]:
    earliest_ms = 0
    before = ""
    for segment in segments:
        times = _character_times(segment)
        used = 0
        for at, chunk in enumerate(segment.text.split()):
            for part_at, (text, cut_cost) in enumerate(_parts(chunk)):
                start_ms = max(earliest_ms, times[used][0])
                used += len(text)
                end_ms = max(start_ms, times[used - 1][1])
                # Engines let words overlap a little, and an edited text may do anything.
                earliest_ms = start_ms
                space = part_at == 0 and before != "" and (at > 0 or _needs_space(before, text[0]))
                yield _Piece(text, start_ms, end_ms, space, _width(text), cut_cost)
                before = text[-1]


def _character_times(segment: SpeechSegment) -> list[tuple[int, int]]:
    """When each character of the text is spoken, white space left out."""
    spoken = [("".join(word.text.split()), word.start_ms, word.end_ms) for word in segment.words]
    text = "".join(segment.text.split())
    if "".join(word for word, _, _ in spoken) != text:
        spoken = [(text, segment.start_ms, segment.end_ms)]
    times: list[tuple[int, int]] = []
    for word, start_ms, end_ms in spoken:
        edges = [start_ms + (end_ms - start_ms) * at // len(word) for at in range(len(word) + 1) if word]
        times += pairwise(edges)
    return times


def _label(speaker: str, at_ms: int) -> Iterator[_Piece]:
    for number, chunk in enumerate(f"{speaker}:".split()):
        for text, _ in _parts(chunk):
            yield _Piece(text, at_ms, at_ms, number > 0, _width(text), _AFTER_LABEL)


def _parts(chunk: str) -> list[tuple[str, float]]:
    """What a chunk without spaces may be cut into, and what a cut after each part costs."""
    parts: list[tuple[str, float]] = []
    start = 0
    for at in range(1, len(chunk) + 1):
        whole = at == len(chunk)
        if not whole and not _may_break(chunk[at - 1], chunk[at]):
            # Cuts inside a word only when a line cannot hold it, and never between a letter and its accents.
            if _width(chunk[start : at + 1]) <= LINE_WIDTH or not _starts_character(chunk, at):
                continue
            parts.append((chunk[start:at], _INSIDE_WORD))
        else:
            parts.append((chunk[start:at], _cut_cost(chunk[start:at])))
        start = at
    return parts


def _cut_cost(text: str) -> float:
    if ends_sentence(text):
        return _AFTER_SENTENCE
    return _AFTER_CLAUSE if text.rstrip(_CLOSERS)[-1:] in _CLAUSE_ENDS else _AFTER_WORD


def _may_break(before: str, after: str) -> bool:
    """Whether a line of a script without spaces may end between the two characters (kinsoku rules)."""
    if not (_unspaced(before) or _unspaced(after)) or before == _ZERO_WIDTH_JOINER or not _width(after):
        return False
    opens = unicodedata.category(before) in ("Ps", "Pi")
    hangs_on = unicodedata.category(after) in ("Pe", "Pf", "Po") or after in _NOT_AT_LINE_START
    return not opens and not hangs_on


def _needs_space(before: str, after: str) -> bool:
    return not (_unspaced(before) and _unspaced(after))


def _starts_character(text: str, at: int) -> bool:
    return _character_width(text[at]) > 0 and text[at - 1] != _ZERO_WIDTH_JOINER


def _width(text: str) -> float:
    return len(text) if text.isascii() else sum(map(_character_width, text))


@lru_cache(maxsize=4096)
def _character_width(char: str) -> float:
    # Marks, joiners and the skin tones of emoji take no room of their own.
    if unicodedata.category(char) in ("Mn", "Me", "Cf") or "\U0001f3fb" <= char <= "\U0001f3ff":
        return 0
    return WIDE_CHARACTER if unicodedata.east_asian_width(char) in "WF" else 1


@lru_cache(maxsize=4096)
def _unspaced(char: str) -> bool:
    # Korean characters are as wide as Chinese ones, but words have spaces between them.
    return unicodedata.east_asian_width(char) in "WF" and "HANGUL" not in unicodedata.name(char, "")


def _split_at_pauses(pieces: Sequence[_Piece]) -> Iterator[Sequence[_Piece]]:
    start = 0
    for at, (before, after) in enumerate(pairwise(pieces), start=1):
        if after.start_ms - before.end_ms >= PAUSE_MS:
            yield pieces[start:at]
            start = at
    if pieces:
        yield pieces[start:]


def _line_width(pieces: Sequence[_Piece]) -> float:
    return sum(piece.width + piece.space_before for piece in pieces) - pieces[0].space_before


def _best_cuts(pieces: Sequence[_Piece]) -> list[tuple[int, int]]:
    """The captions as (first, one past the last) piece: those that cost least together."""
    reach = _two_line_reach(pieces)
    cheapest = [0.0] + [float("inf")] * len(pieces)
    came_from = [0] * (len(pieces) + 1)
    for first in range(len(pieces)):
        width = -float(pieces[first].space_before)
        for end in range(first + 1, reach[first] + 1):
            last = pieces[end - 1]
            width += last.width + last.space_before
            duration_ms = last.end_ms - pieces[first].start_ms
            if duration_ms > MAX_CUE_MS and end > first + 1:
                break
            # The squares make captions alike in length, rather than a full one and a rest.
            cost = cheapest[first] + 1 + (1 - width / (2 * LINE_WIDTH)) ** 2
            cost += 2 * max(0, MIN_CUE_MS - duration_ms) / MIN_CUE_MS
            if end < len(pieces):
                cost += _pair_cost(last, pieces[end])
            if cost < cheapest[end]:
                cheapest[end], came_from[end] = cost, first
    cuts = []
    end = len(pieces)
    while end:
        cuts.append((came_from[end], end))
        end = came_from[end]
    return cuts[::-1]


def _two_line_reach(pieces: Sequence[_Piece]) -> list[int]:
    """For each piece, one past the last piece that two lines beginning with it can hold."""
    one_line: list[int] = []
    end, width = 0, 0.0
    for first, piece in enumerate(pieces):
        if end == first:
            end, width = first + 1, piece.width
        while end < len(pieces) and width + pieces[end].width + pieces[end].space_before <= LINE_WIDTH:
            width += pieces[end].width + pieces[end].space_before
            end += 1
        one_line.append(end)
        if first + 1 < end:
            width -= piece.width + pieces[first + 1].space_before
    one_line.append(len(pieces))
    return [one_line[end] for end in one_line[:-1]]


def _pair_cost(before: _Piece, after: _Piece) -> float:
    """A pause of half a second makes a cut between words better than one after a comma, and asks for one."""
    if before.cut_cost > _AFTER_WORD:
        return before.cut_cost
    pause = min(500, max(0, after.start_ms - before.end_ms)) / 500
    return before.cut_cost * (1 - 0.6 * pause) - 0.6 * pause


def _lines(pieces: Sequence[_Piece]) -> tuple[str, ...]:
    if _line_width(pieces) <= LINE_WIDTH:
        return (_text(pieces),)

    def cost(at: int) -> float:
        upper, lower = _line_width(pieces[:at]), _line_width(pieces[at:])
        too_wide = 1000 * (max(upper, lower) > LINE_WIDTH)
        return too_wide + abs(upper - lower) + 6 * _pair_cost(pieces[at - 1], pieces[at])

    at = min(range(1, len(pieces)), key=cost)
    return _text(pieces[:at]), _text(pieces[at:])


def _text(pieces: Sequence[_Piece]) -> str:
    return "".join(" " * piece.space_before + piece.text for piece in pieces).strip(" ")


def _without_overlap(cues: list[Cue]) -> list[Cue]:
    """The cues in time order, each ended when the next begins, short ones lengthened where there is room.

    Where people talk over each other, the later cue waits until the earlier one had its least time.
    """
    ordered = sorted(cues, key=lambda cue: cue.start_ms)
    apart: list[Cue] = []
    free_ms = 0
    for at, cue in enumerate(ordered):
        start_ms = max(cue.start_ms, free_ms)
        end_ms = max(cue.end_ms, start_ms + 1)
        least_ms = start_ms + MIN_CUE_MS
        next_ms = ordered[at + 1].start_ms if at + 1 < len(ordered) else max(end_ms, least_ms)
        if next_ms < end_ms:
            end_ms = max(next_ms, min(end_ms, least_ms))
        else:
            end_ms = min(next_ms, max(end_ms, least_ms))
        apart.append(replace(cue, start_ms=start_ms, end_ms=end_ms))
        free_ms = end_ms
    return apart
