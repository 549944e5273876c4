"""What is shown of an utterance that goes on: the text that is kept, and what was heard behind it."""

from __future__ import annotations

from itertools import takewhile

from speech.text.spacing import is_unspaced, join_texts

_HELD_CHARACTERS = 2
"""Held back of scripts that have no spaces: about a word."""


class Draft:
    """The text of one utterance from hearing to hearing.

    `cut_ms`: everything before was heard for the last time; its text is kept until the final. `tried_ms`: the
    beginning of the last pause that was to be such a cut.
    `heard_ms`: how far the last hearing reached. `firm`: how many characters of what is shown were the same
    in the hearing before.
    """

    def __init__(self) -> None:
        self.cut_ms = 0
        self.tried_ms = 0
        self.heard_ms = 0
        self.firm = 0
        self._kept = ""
        self._behind = ""
        self._text = ""
        self._shown = ""

    @property
    def holds_back(self) -> bool:
        """Whether a word was heard that is not shown."""
        return self._shown != self._text

    def hear(self, text: str, heard_ms: int, *, speaks: bool) -> str:
        """Take what was heard between `cut_ms` and `heard_ms`, '' where nothing was heard or it came out
        badly; what to show.

        While somebody `speaks` the last word is held back, because it is often half of one.
        """
        self.heard_ms = heard_ms
        self._behind = text or self._behind
        whole = join_texts([self._kept, self._behind])
        if whole != self._text or text:
            self._shown = without_last_word(whole) if speaks and self._behind else whole
            self.firm = min(agreed(self._text, whole), len(self._shown))
            self._text = whole
        return self._shown

    def keep(self, text: str, cut_ms: int) -> None:
        """Keep `text`, which was said between the cut before and `cut_ms`."""
        if text:
            self._kept = join_texts([self._kept, text])
            self._behind = ""
            self.cut_ms = cut_ms

    def release(self) -> str:
        """Show the word that was held back: nobody has spoken since it was heard."""
        self._shown = self._text
        return self._shown


def without_last_word(text: str) -> str:
    if text and is_unspaced(text[-1]):
        return text[:-_HELD_CHARACTERS]
    return text.rpartition(" ")[0]


def agreed(before: str, now: str) -> int:
    """How many characters both begin with, whole words only."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False)))
    if same < len(now) and same < len(before) and not (same and is_unspaced(now[same - 1])):
        same = now.rfind(" ", 0, same + 1)
    return max(same, 0)
