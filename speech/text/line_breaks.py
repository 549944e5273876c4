"""Find where a line may end in text that has no spaces between its words.

ICU's dictionaries know the words of Thai, Lao, Khmer and Burmese, and ICU knows the syllables of Tibetan. The
package `icu4py` has ICU with all of its data.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate

from icu4py.breakers import CharacterBreaker, LineBreaker

# Thai and Lao, Tibetan, Burmese, Khmer, and other languages in their letters.
_UNSPACED_WORDS = (
    ("\u0e00", "\u0eff"),
    ("\u0f00", "\u0fff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u1950", "\u19ff"),
    ("\u1a20", "\u1aaf"),
    ("\ua9e0", "\ua9ff"),
    ("\uaa60", "\uaa7f"),
)
# Vowels of Thai and Lao that are written before the consonant after which they are spoken.
_LEADING_VOWELS = frozenset("เแโใไເແໂໃໄ")
# Vowels and marks that belong to the character before them, although ICU counts each as a character.
_FOLLOWING = frozenset("ะาำๅๆฯະາຳໆຯຽ")
LONGEST_CHARACTER = 20
"""In code points. That much of a text shows whether it is more than one character."""
# After these signs, the next consonant stands below the one before: Burmese, Khmer, Tai Tham.
_STACKING = frozenset("\u1039\u17d2\u1a60")


@lru_cache(maxsize=4096)
def joins_words(char: str) -> bool:
    """Whether the script of the character has spaces only between phrases."""
    return any(first <= char <= last for first, last in _UNSPACED_WORDS)


def character_starts(text: str) -> list[int]:
    """Return where characters as people see them begin, without the first. The text may be cut only there."""
    return [at for at in _ends(CharacterBreaker(text, "en")) if not _belong_together(text[at - 1], text[at])]


def word_starts(text: str, characters: list[int]) -> list[int]:
    """Return where words begin, without the first, in those parts of `text` that have no spaces between
    words.

    `characters` are the `character_starts` of `text`. A word of one column stays together with the next one.
    """
    if not any(map(joins_words, text)):
        return []
    allowed = set(characters)
    kept = [0]
    for at in _ends(LineBreaker(text, "en")):
        between_words = at in allowed and joins_words(text[at - 1]) | joins_words(text[at])
        if between_words and _several(text[kept[-1] : at]) and _several(text[at:]):
            kept.append(at)
    return kept[1:]


def _ends(pieces: Iterable[str]) -> list[int]:
    """Return where the pieces end, without the last. ICU's own positions count an emoji twice."""
    return list(accumulate(map(len, pieces)))[:-1]


def _several(text: str) -> bool:
    """Whether the text is wider than one character."""
    return sum(not _is_mark(char) for char in text[:LONGEST_CHARACTER]) > 1


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc", "Me")


def _belong_together(before: str, after: str) -> bool:
    return before in _LEADING_VOWELS or after in _FOLLOWING or _is_mark(after) or before in _STACKING
