"""Find words and phrases in a text as people mean them, in any script."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache

from speech.text.words import APOSTROPHES_AND_HYPHENS, word_spans

_ZERO_WIDTH_JOINER = "\u200d"
_WHITE_SPACE = re.compile(r"\s+")
_WIDE_SPACE = re.compile(r"\s\s")
# Letters, marks and signs that show nothing: Korean fillers, the blank of Braille, variation selectors.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


class ComparedText:
    """A text in the form in which texts are compared, with a map from places in this form to places in the
    text.

    The form is NFKC, without case (`casefold`) unless `match_case`, with one kind of apostrophe and hyphen,
    and with one space for each run of white space. A find never begins or ends within a character as people
    see it, such as between a letter and its accents, or within an emoji.
    """

    def __init__(self, text: str, *, match_case: bool = False) -> None:
        self._given = text
        self._match_case = match_case
        self.text = _compared(_WHITE_SPACE.sub(" ", text), match_case)

    def find(self, form: str, start: int = 0, *, whole_word: bool = True) -> tuple[int, int] | None:
        """Return where `form`, a `compared_form`, first stands in the given text from `start` on."""
        given, here = self._edges
        if start > given[-1]:
            return None
        at = self.text.find(form, here[bisect_left(given, start)])
        while at >= 0:
            end = at + len(form)
            if not whole_word or not (self._inside_word[at] or self._inside_word[end]):
                first, last = bisect_left(here, at), bisect_left(here, end)
                if here[first] == at and here[last] == end:
                    return given[first], given[last]
            at = self.text.find(form, at + 1)
        return None

    def count(self, form: str) -> int:
        """Return how often `form`, a `compared_form`, stands in the text as whole words."""
        n = end = 0
        while span := self.find(form, end):
            n, end = n + 1, span[1]
        return n

    @cached_property
    def _edges(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return where characters begin and end: in the given text, and at the same places in the compared
        text.
        """
        if not _WIDE_SPACE.search(self._given) and all(
            _stands_alone(char, self._match_case) for char in set(self._given)
        ):
            same = range(len(self._given) + 1)
            return same, same
        given, here, parts = [0], [0], []
        for start, end in _characters(self._given):
            part = (
                " " if self._given[start].isspace() else _compared(self._given[start:end], self._match_case)
            )
            parts.append(part)
            given.append(end)
            here.append(here[-1] + len(part))
        # It is the same text unless the single characters and the whole text have different normal forms.
        self.text = "".join(parts)
        return given, here

    @cached_property
    def _inside_word(self) -> bytearray:
        """Return for each place in the compared text whether it is inside a word."""
        inside = bytearray(len(self.text) + 1)
        for start, end in word_spans(self.text):
            inside[start + 1 : end] = b"\x01" * (end - start - 1)
        return inside


@lru_cache(maxsize=4096)
def compared_form(phrase: str, *, match_case: bool = False) -> str:
    """Return the phrase as a `ComparedText` holds it. Two phrases with the same form are the same phrase."""
    return ComparedText(phrase.strip(), match_case=match_case).text


def can_be_seen(text: str) -> bool:
    """Whether the text has more than white space and characters that show nothing."""
    return any(
        not (char.isspace() or unicodedata.category(char) in ("Cc", "Cf")) for char in _UNSEEN.sub("", text)
    )


def count_phrases(text: str, phrases: Iterable[str]) -> dict[str, int]:
    """Return how often each phrase stands in the text, by the phrase as it is written in `phrases`; also if
    it is 0.

    Case and the width of spaces do not count. Everything else does: "cat" is neither in "cats" nor in
    "cat's", and "yes sir" is not in "yes, sir". `speech.text.words` says what a word is. Each phrase is
    counted without regard to the others: "New York" counts for "York", too. No phrase may be blank.
    """
    compared = ComparedText(text)
    return {phrase: compared.count(compared_form(phrase)) for phrase in phrases}


def _compared(text: str, match_case: bool) -> str:
    compared = unicodedata.normalize("NFKC", text)
    if not match_case:
        compared = unicodedata.normalize("NFKC", compared.casefold())
    return compared.translate(APOSTROPHES_AND_HYPHENS)


def _characters(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters as people see them, and the runs of white space."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not _continues(text[at - 1], text[at]):
            yield start, at
            start = at


def _continues(before: str, char: str) -> bool:
    if before.isspace():
        return char.isspace()
    return _joins(char) or before == _ZERO_WIDTH_JOINER


@lru_cache(maxsize=4096)
def _joins(char: str) -> bool:
    """Whether NFKC may join the character to the one before it, or people see the two as one."""
    first = unicodedata.normalize("NFKC", char)[0]
    return (
        unicodedata.category(first)[0] == "M"
        or "\u1160" <= first <= "\u11ff"  # the vowels and final consonants of Korean
        or "\U0001f3fb" <= first <= "\U0001f3ff"  # the skin tones of emoji
        or first == _ZERO_WIDTH_JOINER
    )


@lru_cache(maxsize=4096)
def _stands_alone(char: str, match_case: bool) -> bool:
    """Whether the character is one character in the compared text, whatever stands around it."""
    return len(_compared(char, match_case)) == 1 and not _joins(char)
