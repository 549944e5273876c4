"""What counts as a word."""

# ruff: noqa: RUF001 (look-alike letters are what is tested)

from __future__ import annotations

import pytest

from speech.text.words import count_total_words, count_words


def test_it_counts_without_case_and_puts_the_most_frequent_first():
    assert list(count_words("Tea, then more tea. TEA! More?").items()) == [
        ("tea", 3),
        ("more", 2),
        ("then", 1),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, o’clock isn’t 'late'.", ["don't", "stop", "o'clock", "isn't", "late"]),
        (
            "a well-known mother\u2011in\u2011law - and -- dashes",
            "a well-known mother-in-law and dashes",
        ),
        ("It costs 3.50, or 1,000. Version 2.", "it costs 3.50 or 1,000 version 2"),
        ("♪ ♪ … !!! -- 👍🏽 $ % _", []),
        ("rock ’n’ roll_band", "rock n roll band"),
        ("Straße ÉCOLE İ", "strasse école i\u0307"),
        ("e\u0301cole \ufb01ne ＡＢＣ", "école fine abc"),
        ("हिन्दी में नमस्ते", ["हिन्दी", "में", "नमस्ते"]),
        ("می\u200cخواهم بروم؟", ["می\u200cخواهم", "بروم"]),
        ("שלום, עולם!", ["שלום", "עולם"]),
        ("안녕하세요 여러분.", ["안녕하세요", "여러분"]),
        ("我爱北京。", ["我", "爱", "北", "京"]),
        ("東京タワーへ行く、スーパー", ["東", "京", "タワー", "へ", "行", "く", "スーパー"]),
        ("人々は〇年", ["人", "々", "は", "〇", "年"]),
        ("用Python写", ["用", "python", "写"]),
        ("", []),
        ("\u0301 \u200d", []),
    ],
)
def test_words_keep_what_is_inside_them_and_lose_what_is_around_them(text: str, words: list[str] | str):
    expected = words.split() if isinstance(words, str) else words
    assert list(count_words(text)) == expected
    assert count_total_words(text) == len(expected)


def test_the_total_is_the_sum_of_the_counts():
    text = "The cat saw the dog, and the dog didn't see the cat."
    assert count_total_words(text) == sum(count_words(text).values()) == 12
