"""Decide whether two texts need a space between them. That depends on their scripts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache


def join_texts(texts: Sequence[str]) -> str:
    """Join texts to one.

    White space becomes single, and Chinese and Japanese sentences get no space between them.
    """
    joined = ""
    for text in texts:
        clean = " ".join(text.split())
        if joined and clean and needs_space(joined[-1], clean[0]):
            joined += " "
        joined += clean
    return joined


def needs_space(before: str, after: str) -> bool:
    """Whether there is a space between two characters when texts that end and begin with them are joined."""
    return not (is_unspaced(before) and is_unspaced(after))


@lru_cache(maxsize=4096)
def is_unspaced(char: str) -> bool:
    """Whether the character is of a script without spaces: Chinese and Japanese."""
    # Korean characters are as wide as Chinese ones, but Korean words have spaces between them.
    return unicodedata.east_asian_width(char) in "WF" and "HANGUL" not in unicodedata.name(char, "")
