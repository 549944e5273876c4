"""Finding and counting words and phrases, whatever script they are in and however they are encoded."""

# ruff: noqa: RUF001 (look-alike letters are what is tested)

from __future__ import annotations

import unicodedata

import pytest

from speech.text.phrases import ComparedText, compared_form, count_phrases


@pytest.mark.parametrize(
    ("text", "phrase", "n"),
    [
        ("Tea, then more TEA. Teas and tea's teapot.", "tea", 2),
        ("New York, new \n york and a new  yorker", "new york", 2),
        ("bye bye bye", "bye bye", 1),
        ("Yes, sir.", "yes sir", 0),
        ("state-of-the-art, state of the art", "state of the art", 1),
        ("Don’t stop, I don't", "don't", 2),
        ("C++ is not C. c++!", "C++", 2),
        ("It costs 3.50 or 3", "3", 1),
        ("STRASSE und Straße", "straße", 2),
        ("cafe\u0301 CAFÉ cafe", "café", 2),
        ("ﬁne ＦＩＮＥ fine", "fine", 3),
        ("हिन्दी हिन्दीभाषा", "हिन्दी", 1),
        ("我爱北京，北京爱我", "北京", 2),
        ("東京タワーへ、タワーマン", "タワー", 1),
        ("\u1112\u1161\u11ab\u1100\u116e\u11a8 한국어", "한국", 1),
        ("👩‍💻 and 👩 and 👩🏽", "👩", 1),
        ("e\u0301 and e", "e", 1),
        ("", "tea", 0),
    ],
)
def test_whole_words_are_counted_in_any_case_and_encoding(text: str, phrase: str, n: int):
    assert count_phrases(text, [phrase]) == {phrase: n}


def test_the_dotted_capital_i_of_turkish_is_another_letter_than_i():
    # As Unicode folds case where the language is not known.
    assert count_phrases("İstanbul istanbul Istanbul", ["istanbul", "İstanbul"]) == {
        "istanbul": 2,
        "İstanbul": 1,
    }


def test_phrases_are_counted_apart_from_each_other_and_keep_how_they_were_written():
    assert count_phrases("In New York", ["YORK", "new york", "Rome"]) == {
        "YORK": 1,
        "new york": 1,
        "Rome": 0,
    }


def test_what_is_found_is_at_its_place_in_the_text_as_it_was_given():
    text = "ﬂ  Straße\u00a0 cafe\u0301 ﬁn"
    for phrase in ("strasse", "café", "fin", "strasse café"):
        start, end = ComparedText(text).find(compared_form(phrase))
        assert compared_form(text[start:end]) == phrase
    assert text[slice(*ComparedText(text).find("café"))] == "cafe\u0301"


def test_no_character_is_found_in_a_part_of_another():
    for text in ("ﬁ", "ß", "½", "İ"):
        view = ComparedText(text)
        for part in view.text:
            assert view.find(part, whole_word=False) is None


def test_a_search_goes_on_from_a_place():
    view = ComparedText("a b a")
    assert [view.find("a", start) for start in (0, 1, 4, 5, 99)] == [(0, 1), (4, 5), (4, 5), None, None]


def test_every_character_compares_as_it_does_within_a_text():
    """Characters are compared one by one where their places count, and all at once where they do not."""
    for code in range(0x20, 0x30000):
        char = chr(code)
        if unicodedata.category(char) in ("Cs", "Cn"):
            continue
        for text in (f"a  {char}a", f"가  가{char}"):
            view = ComparedText(text)
            whole = view.text
            view.find("a")
            assert view.text == whole, hex(code)


def test_a_text_of_many_marks_is_compared_in_no_time():
    text = "a" + "\u0301\u0323" * 5000
    assert count_phrases(text + " tea", ["tea", "a"]) == {"tea": 1, "a": 0}
