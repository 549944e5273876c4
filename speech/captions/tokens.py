"""The tokens of a caption: the smallest parts of a text that stay together, with their times and widths."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from math import ceil

from speech.text.line_breaks import character_starts, joins_words, word_starts
from speech.text.sentences import CLOSERS, ends_sentence
from speech.text.spacing import is_unspaced, needs_space
from speech.types import SpeechSegment

LINE_WIDTH = 42

# 42 / 2.5: sixteen characters a line.
WIDE_CHARACTER = 2.5

_CLAUSE_ENDS = frozenset(",;:\u2013\u2014\u060c\u061b\u104a\u3001\uff0c\uff1b\uff1a")
# Small kana, and the marks that lengthen or repeat, belong to the character before them.
_NOT_AT_LINE_START = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ々ー")

# The cost of a cut after a token. One more caption costs 1.
_AFTER_SENTENCE, _AFTER_CLAUSE, AFTER_WORD, _INSIDE_WORD, _AFTER_LABEL = 0.0, 0.8, 2.0, 4.0, 100.0


@dataclass(frozen=True, slots=True)
class Token:
    """The smallest part of a caption, which is never cut: a word, a Chinese character, or a part of a very
    long word.
    """

    text: str
    start_ms: int
    end_ms: int
    space_before: bool
    width: float
    cut_cost: float


def make_tokens(segments: Iterator[SpeechSegment]) -> Iterator[Token]:
    """Yield the tokens of consecutive segments of one speaker. Their times never go back."""
    earliest_ms = 0
    before = ""
    for segment in segments:
        times = _character_times(segment)
        used = 0
        chunks = segment.text.split()
        for at, chunk in enumerate(chunks):
            around = " ".join(chunks[max(0, at - 3) : at]), "".join(chunks[at + 1 : at + 2])
            for part_at, (text, cut_cost) in enumerate(_parts(chunk, *around)):
                start_ms = max(earliest_ms, times[used][0])
                used += len(text)
                end_ms = max(start_ms, times[used - 1][1])
                # Engines let words overlap a little, and an edited text can have any times.
                earliest_ms = start_ms
                space = part_at == 0 and before != "" and (at > 0 or needs_space(before, text[0]))
                yield Token(text, start_ms, end_ms, space, _width(text), cut_cost)
                before = text[-1]


def _character_times(segment: SpeechSegment) -> list[tuple[int, int]]:
    """Return (start, end) in ms for each character of the text, white space left out."""
    spoken = [("".join(word.text.split()), word.start_ms, word.end_ms) for word in segment.words]
    text = "".join(segment.text.split())
    if "".join(word for word, _, _ in spoken) != text:
        spoken = [(text, segment.start_ms, segment.end_ms)]
    times: list[tuple[int, int]] = []
    for word, start_ms, end_ms in spoken:
        edges = [start_ms + (end_ms - start_ms) * at // len(word) for at in range(len(word) + 1) if word]
        times += pairwise(edges)
    return times


def label_tokens(speaker: str, at_ms: int) -> Iterator[Token]:
    """Yield the tokens of the label "Name:", all at the time `at_ms`."""
    for number, chunk in enumerate(f"{speaker}:".split()):
        for text, _ in _parts(chunk):
            yield Token(text, at_ms, at_ms, number > 0, _width(text), _AFTER_LABEL)


def _parts(chunk: str, before: str = "", after: str = "") -> list[tuple[str, float]]:
    """Split a chunk that has no spaces into its smallest parts, each with the cost of a cut after it."""
    spaced = not any(is_unspaced(char) or joins_words(char) for char in chunk)
    if spaced and _width(chunk) <= LINE_WIDTH:
        return [(chunk, _cut_cost(chunk, before, after))]
    characters = character_starts(chunk)
    words = set(word_starts(chunk, characters))
    cuts = [at for at in characters if at in words or _may_break(chunk[at - 1], chunk[at])]
    parts: list[tuple[str, float]] = []
    for start, end in pairwise([0, *cuts, len(chunk)]):
        inside = _even_cuts(chunk, start, end, characters)
        parts += [(chunk[a:b], _INSIDE_WORD) for a, b in pairwise([start, *inside])]
        last = chunk[inside[-1] if inside else start : end]
        rest = chunk[end:] or after
        parts.append((last, _cut_cost(last, before, rest)))
    if joins_words(chunk[-1]):
        # In these scripts a space does the work of a comma.
        text, cost = parts[-1]
        parts[-1] = text, min(cost, _AFTER_CLAUSE)
    return parts


def _even_cuts(chunk: str, start: int, end: int, characters: Sequence[int]) -> list[int]:
    """Return where to cut a word that is longer than a line, so that its parts are about equally long."""
    width = _width(chunk[start:end])
    if width <= LINE_WIDTH:
        return []
    edges = list(accumulate(map(_character_width, chunk[start:end]), initial=0.0))
    places = [at for at in characters if start < at < end]
    number = ceil(width / LINE_WIDTH)
    last_before = (
        bisect_right(places, width * part / number, key=lambda at: edges[at - start]) - 1
        for part in range(1, number)
    )
    return sorted({places[at] for at in last_before if at >= 0})


def _cut_cost(text: str, before: str, after: str) -> float:
    if ends_sentence(f"{before} {text}", after):
        return _AFTER_SENTENCE
    return _AFTER_CLAUSE if text.rstrip(CLOSERS)[-1:] in _CLAUSE_ENDS else AFTER_WORD


def _may_break(before: str, after: str) -> bool:
    """Whether a line of a script without spaces may end between the two characters (kinsoku rules)."""
    if not (is_unspaced(before) or is_unspaced(after)):
        return False
    opens = unicodedata.category(before) in ("Ps", "Pi")
    hangs_on = unicodedata.category(after) in ("Pe", "Pf", "Po") or after in _NOT_AT_LINE_START
    return not opens and not hangs_on


def _width(text: str) -> float:
    return len(text) if text.isascii() else sum(map(_character_width, text))


@lru_cache(maxsize=4096)
def _character_width(char: str) -> float:
    # Marks, joiners and the skin tones of emoji have no width of their own.
    if unicodedata.category(char) in ("Mn", "Me", "Cf") or "\U0001f3fb" <= char <= "\U0001f3ff":
        return 0
    return WIDE_CHARACTER if unicodedata.east_asian_width(char) in "WF" else 1
