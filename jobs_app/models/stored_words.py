"""How the words of a segment are stored, beside its text. Nothing else knows this form.

Words with their times are most of what an hour of speech takes in the database, and nobody searches them by
SQL. They are lists in a line of JSON: when each word begins, counted from the end of the word before (the
first from 0), how long it lasts, and how sure the engine is of it, in thousandths:

    [[81200,0,40],[260,310,180],[991,870,null]]

A fourth list with the words themselves follows only if they are not what stands between the spaces of the
text, as in Chinese. All this takes a seventh of a list of objects. The column is text, because PostgreSQL's
`jsonb` takes some ten bytes for each number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from speech.types import Word


def encode_words(words: Sequence[Word], text: str) -> str:
    """Return the words of `text` in the stored form; "" if there are none.

    Confidence is kept to three digits.
    """
    if not words:
        return ""
    ends_ms = [0, *(word.end_ms for word in words)]
    lists: list[Sequence[object]] = [
        [word.start_ms - end_ms for word, end_ms in zip(words, ends_ms, strict=False)],
        [word.end_ms - word.start_ms for word in words],
        [None if word.confidence is None else round(word.confidence * 1000) for word in words],
    ]
    texts = [word.text for word in words]
    if texts != text.split():
        lists.append(texts)
    return json.dumps(lists, ensure_ascii=False, separators=(",", ":"))


def decode_words(stored: str, text: str) -> tuple[Word, ...]:
    """Return the words that `encode_words` has stored for the same text."""
    if not stored:
        return ()
    pauses_ms, lengths_ms, confidences, *texts = json.loads(stored)
    words = []
    at_ms = 0
    for pause_ms, length_ms, confidence, word in zip(
        pauses_ms, lengths_ms, confidences, texts[0] if texts else text.split(), strict=True
    ):
        start_ms = at_ms + pause_ms
        at_ms = start_ms + length_ms
        words.append(Word(start_ms, at_ms, word, None if confidence is None else confidence / 1000))
    return tuple(words)
