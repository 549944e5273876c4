"""Words as they are stored, and read again."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from jobs_app.models.stored_words import decode_words, encode_words
from speech.types import Word

TEXTS = (
    "Good",
    "morning,",
    "“Größe”",
    "你好。",
    "don't",
    'a"b\\c',
    "a\tb",
    "",
    " ",
    "🎈",
    "\0",
    "null",
    "१२३",
)


def random_words(seed: int) -> tuple[Word, ...]:
    """In order or not, with gaps and overlaps: no engine need be right."""
    chance = random.Random(seed)
    at_ms, words = chance.randrange(10**8), []
    # Half of them as most are: without white space inside.
    texts = TEXTS if seed % 2 else [text for text in TEXTS if text.split() == [text]]
    for _ in range(chance.randrange(40)):
        start_ms = max(0, at_ms + chance.randrange(-200, 2000))
        at_ms = start_ms + chance.randrange(900)
        sure = chance.choice([None, 0.0, 1.0, chance.random(), chance.random()])
        words.append(Word(start_ms, at_ms, chance.choice(texts), sure))
    return tuple(words)


def rounded(words: tuple[Word, ...]) -> tuple[Word, ...]:
    return tuple(
        word if word.confidence is None else replace(word, confidence=round(word.confidence, 3))
        for word in words
    )


@pytest.mark.parametrize("seed", range(200))
def test_words_come_back_as_they_were_stored(seed: int):
    words = random_words(seed)
    said = [word.text for word in words]
    # Its own text, and texts that have other words, fewer, or none.
    for text in (" ".join(said), "".join(said), "\n ".join(said), " ".join(said[1:]), ""):
        stored = encode_words(words, text)
        assert decode_words(stored, text) == rounded(words)
        # Storing what was read changes nothing more.
        assert encode_words(decode_words(stored, text), text) == stored


def test_the_stored_form_does_not_change():
    """It stands in databases: rows that were written once must be read for ever."""
    words = (Word(81200, 81460, "Good", 0.9912), Word(81460, 81770, "Größe,", 0.87), Word(81810, 81990, "好"))
    for text, stored in (
        ("Good  Größe,\n好 ", "[[81200,0,40],[260,310,180],[991,870,null]]"),
        ("Good Größe,好", '[[81200,0,40],[260,310,180],[991,870,null],["Good","Größe,","好"]]'),
    ):
        assert encode_words(words, text) == stored
        assert decode_words(stored, text) == rounded(words)
    assert (encode_words((), "Good"), decode_words("", "Good")) == ("", ())


def test_a_word_that_ends_before_it_begins_comes_back():
    words = (Word(500, 400, "odd", 0.5), Word(100, 300, "back", None))
    assert decode_words(encode_words(words, "odd back"), "odd back") == words
