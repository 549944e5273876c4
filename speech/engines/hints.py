"""Find out whether hint words that a model wrote were spoken, or came only from the prompt.

A Whisper model that hears no words writes words of its prompt: a laugh becomes "The participants are Dr.
Okonkwo". So text that looks like the prompt is transcribed a second time without the prompt. The second text
cannot spell the names, but it sounds alike if somebody said them, and different if nobody did.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TypeVar

from speech.text.words import APOSTROPHES_AND_HYPHENS, word_spans
from speech.types import SpeechSegment, Word

LEAST_SPEECH_MS = 1_000
"""With less speech than this no hints are given: it hardly holds a name, and it invites inventions."""
MOST_LETTERS_PER_S = 45
"""The fastest speakers reach 25. Inventions at the end of a sound had 80 and more."""
FEWEST_LETTERS = 12
"""In fewer letters, a wrong word time looks like a high rate."""

T = TypeVar("T")

_RUN = 4
_ITEMS = 3
"""So many words, or names, in the order of the prompt are no accident."""
_LONG = 5
"""Shorter words resemble each other by chance."""
UNSURE = 0.7
"""The mean confidence of words at an impossible rate was 0.55 at most; that of spoken sentences was 0.8."""
_SURE = 0.5
"""Well-known words that were spoken have a higher confidence."""
_BETWEEN_ITEMS = re.compile(r"[,;:.!?\n\u2022\u3001\u3002\u060c\uff0c\uff1a\uff1b]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_SENTENCE_ENDS = (".", "!", "?", "\u2026", "\u3002", "\uff01", "\uff1f", "\u0964", "\u061f")
_ALIKE = 0.5
"""Two transcriptions of one name share more than this; a name and a laugh share less."""
_NEARLY = 0.7
"""A model that invents words also changes them: "pantoprolol"."""
_AROUND = 2
"""So many words must be the same on either side."""
_AROUND_MS = 1_500
"""Word times are wrong by up to this much."""


@dataclass(frozen=True, slots=True)
class Said:
    """A word as a model wrote it, in the form in which words are compared."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None
    ends_sentence: bool = False


class Hints:
    """A prompt, and the words that may come from it rather than from a speaker."""

    def __init__(self, prompt: str) -> None:
        words = compared_words(prompt)
        items = [some for item in _BETWEEN_ITEMS.split(prompt) if (some := compared_words(item))]
        lists = [[word for item in some for word in item] for some in _parts(items, _ITEMS)]
        self._known = frozenset(words)
        self._runs = frozenset(map(tuple, [*_parts(words, _RUN), *lists]))

    def doubtful(self, segment: SpeechSegment) -> list[list[Said]]:
        """Return those words of a segment that may come from the prompt.

        They are: four words or three names in the order of the prompt; words of the prompt that the model was
        not sure of; a sentence that has almost only words of the prompt; and all of a segment that is faster
        than anybody can speak.
        """
        said = said_words(segment)
        if too_fast(segment):
            return [said]
        from_prompt = [self._knows(word.text) for word in said]
        runs = [said[first:end] for first, end in _stretches(from_prompt)]
        doubtful = [run for run in runs if _unsure(run) or self._in_order(run)]
        first = 0
        for n, word in enumerate(said, start=1):
            if word.ends_sentence or n == len(said):
                sentence, marks = said[first:n], from_prompt[first:n]
                given = sum(len(word.text) for word, mark in zip(sentence, marks, strict=True) if mark)
                if given >= _NEARLY * sum(len(word.text) for word in sentence):
                    doubtful.append(sentence)
                first = n
        return doubtful

    def _in_order(self, run: Sequence[Said]) -> bool:
        texts = _texts(run)
        return any(
            tuple(part) in self._runs for n in {len(r) for r in self._runs} for part in _parts(texts, n)
        )

    def _knows(self, word: str) -> bool:
        if word in self._known:
            return True
        return len(word) >= _LONG and any(
            len(known) >= _LONG and _ratio(word, known) >= _NEARLY for known in self._known
        )


def confirmed(doubtful: Sequence[Said], plain: Sequence[Said]) -> bool:
    """Whether words that were transcribed with hints sound like words that were transcribed without."""
    start_ms, end_ms = doubtful[0].start_ms, doubtful[-1].end_ms
    near = _texts(word for word in plain if _is_near(word, start_ms, end_ms))
    given = _texts(doubtful)
    # A name may have become more or fewer words.
    for length in range(max(1, len(given) // 2), min(2 * len(given) + 2, len(near)) + 1):
        for first in range(len(near) - length + 1):
            if _alike("".join(given), "".join(near[first : first + length])) >= _ALIKE:
                return True
    return False


def choose_hearing(
    hinted: Sequence[SpeechSegment], doubtful: Iterable[Sequence[Said]], plain: Sequence[SpeechSegment]
) -> Sequence[SpeechSegment]:
    """Choose between two transcriptions: the one with hints if all that is doubtful in it is confirmed, else
    the other.
    """
    if any(map(too_fast, hinted)):
        return plain
    first = [said_words(segment) for segment in hinted]
    second = [word for segment in plain for word in said_words(segment)]
    for run in doubtful:
        if not confirmed(run, second) and not any(_between_the_same(run, said, second) for said in first):
            return plain
    return hinted


def _between_the_same(run: Sequence[Said], said: Sequence[Said], plain: Sequence[Said]) -> bool:
    """Whether both transcriptions have the same words around a run, and the second has about as much in
    between.

    Two spellings of a Chinese name have no character in common, so their sound cannot be compared.
    """
    if run[0] not in said:
        return False
    first = said.index(run[0])
    end = first + len(run)
    before, after = _texts(said[max(0, first - _AROUND) : first]), _texts(said[end : end + _AROUND])
    if len(before) < _AROUND or len(after) < _AROUND:
        return False
    length = len("".join(_texts(run)))
    near = _texts(word for word in plain if _is_near(word, run[0].start_ms, run[-1].end_ms))
    for start in (n + _AROUND for n in range(len(near)) if near[n : n + _AROUND] == before):
        for stop in range(start + 1, len(near)):
            if near[stop : stop + _AROUND] == after:
                return length / 2 < len("".join(near[start:stop])) <= 2 * length
    return False


def too_fast(segment: SpeechSegment) -> bool:
    """Whether it is impossible to say so much in so little time, and the model is not sure of it either.

    A model is sure of words that were spoken, even if their times are wrong.
    """
    known = [word.confidence for word in segment.words if word.confidence is not None]
    if known and sum(known) / len(known) >= UNSURE:
        return False
    letters = sum(map(str.isalnum, segment.text))
    length_ms = segment.end_ms - segment.start_ms
    return letters >= FEWEST_LETTERS and letters * 1000 > MOST_LETTERS_PER_S * length_ms


def said_words(segment: SpeechSegment) -> list[Said]:
    """Return the words of a segment. Words without their own times have those of the segment."""
    words = segment.words or [Word(segment.start_ms, segment.end_ms, text) for text in segment.text.split()]
    said = []
    for word in words:
        parts = compared_words(word.text)
        ends = word.text.rstrip("\"'\u201d\u2019)").endswith(_SENTENCE_ENDS)
        for n, text in enumerate(parts, start=1):
            last = ends and n == len(parts)
            said.append(Said(text, word.start_ms, word.end_ms, word.confidence, last))
    return said


def compared_words(text: str) -> list[str]:
    """Return the words of a text without case, accents and punctuation. Each Han character is one word."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(APOSTROPHES_AND_HYPHENS)
    # "Okonkwo-Whitfield" may be written as two words, and "Dr." as one.
    folded = _ACCENTS.sub("", unicodedata.normalize("NFD", folded.replace("-", " ").replace("'", "")))
    folded = unicodedata.normalize("NFC", folded)
    return [folded[start:end] for start, end in word_spans(folded)]


def _parts(words: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    return (words[n : n + length] for n in range(len(words) - length + 1))


def _texts(words: Iterable[Said]) -> list[str]:
    return [word.text for word in words]


def _stretches(marks: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Return where the marks are set, as (first, end)."""
    first = None
    for n, mark in enumerate([*marks, False]):
        if mark and first is None:
            first = n
        elif not mark and first is not None:
            yield first, n
            first = None


def _unsure(run: Sequence[Said]) -> bool:
    """Whether the model is unsure of these words, and they are long enough for a name."""
    letters = "".join(word.text for word in run)
    if len(letters) < (4 if letters.isascii() else 2):
        return False
    return any(word.confidence is not None and word.confidence < _SURE for word in run)


def _is_near(word: Said, start_ms: int, end_ms: int) -> bool:
    return word.end_ms >= start_ms - _AROUND_MS and word.start_ms <= end_ms + _AROUND_MS


def _alike(one: str, other: str) -> float:
    """Return how similar two spellings sound, from 0 to 1, by their letters and their consonants."""
    bones = _consonants(one), _consonants(other)
    if not bones[0] or not bones[1]:
        return _ratio(one, other)
    return (_ratio(one, other) + _ratio(*bones)) / 2


@lru_cache(maxsize=4096)
def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


_SOUNDS = str.maketrans(
    {
        "c": "k",
        "q": "k",
        "g": "k",
        "x": "s",
        "z": "s",
        "j": "s",
        "b": "p",
        "f": "p",
        "v": "p",
        "d": "t",
        "r": "l",
    }
    | dict.fromkeys("aeiouyhw")
)
_SOFT = {"ce": "se", "ci": "si", "cy": "sy", "ge": "se", "gi": "si"}


@lru_cache(maxsize=4096)
def _consonants(text: str) -> str:
    """Return the consonants of a Latin word. Consonants that are easily confused become the same letter."""
    for spelled, sounded in _SOFT.items():
        text = text.replace(spelled, sounded)
    return text.translate(_SOUNDS) if text.isascii() else text
