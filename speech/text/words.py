"""Count the words of a transcript, in any script."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

# Each character becomes one letter for its kind, and words are found in the string of these letters, because
# `re` has no classes for marks and scripts, and its \w breaks Hindi words at their vowel signs. w is a
# letter, d a digit, m a mark inside a word, h Han, k Katakana, i Hiragana; - and . join.
_WORD = re.compile(r"[wd](?:[wdm]|-(?=[wd])|(?<=d)\.(?=d))*|hm*|k[km]*|i[im]*")

_HAN_ZERO = "\u3007"
_ZERO_WIDTH_JOINERS = "\u200c\u200d"
APOSTROPHES_AND_HYPHENS = str.maketrans({"\u2019": "'", "\u2010": "-"})
"""A table for `str.translate`, to be used after NFKC.

Apostrophes and hyphens that look alike become the same.
"""


def count_words(text: str) -> dict[str, int]:
    """Return how often each word occurs, the most frequent first; equally frequent words in order of
    appearance.

    Words are compared without case (`casefold`) and in compatibility form (NFKC, in which full-width letters
    and ligatures are plain letters). Apostrophes and hyphens inside a word belong to it, and so do the point
    and comma inside a number. Other punctuation and symbols do not count.

    Chinese and Japanese are written without spaces, and cutting them into words takes a dictionary. So here
    each Han character is one word, as in word processors, and each unbroken run of Katakana or of Hiragana is
    one. Korean has spaces. In Thai, Lao, Khmer and Burmese, a word is what stands between spaces.
    """
    return dict(Counter(_words(text)).most_common())


def count_total_words(text: str) -> int:
    """Return the number of words in the text, counted as `count_words` does."""
    return len(_words(text))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text begin and end.

    The text is in NFKC and has gone through `APOSTROPHES_AND_HYPHENS`.
    """
    return [found.span() for found in _WORD.finditer("".join(map(_kind, text)))]


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold().translate(APOSTROPHES_AND_HYPHENS)
    return [folded[start:end] for start, end in word_spans(folded)]


@lru_cache(maxsize=4096)
def _kind(char: str) -> str:
    if char in "'-":
        return "-"
    if char in ".,":
        return "."
    if char in _ZERO_WIDTH_JOINERS:
        return "m"
    category = unicodedata.category(char)
    if category[0] == "M":
        return "m"
    if category[0] == "N":
        return "h" if char == _HAN_ZERO else "d"
    if category[0] != "L":
        return " "
    if char == "ー":
        return "k"
    name = unicodedata.name(char, "")
    if name.startswith("CJK ") or char == "々":
        return "h"
    if name.startswith("KATAKANA "):
        return "k"
    if name.startswith("HIRAGANA "):
        return "i"
    return "w"
