"""Replacing what is always misheard, with the times of the words."""

# ruff: noqa: RUF001 (look-alike letters are what is tested)

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from speech.text.corrections import Corrector, Replacement, timed_words
from speech.types import SpeechSegment, Word


def corrected(text: str, *rules: tuple) -> str:
    return Corrector(Replacement(*rule) for rule in rules).correct_text(text)


def said(text: str, *, each_ms: int = 100, confidence: float | None = 0.9) -> SpeechSegment:
    """A segment whose words are those of the text, one after the other."""
    words = tuple(
        Word(n * each_ms, (n + 1) * each_ms, word, confidence) for n, word in enumerate(text.split())
    )
    return SpeechSegment(0, len(words) * each_ms, text, confidence, words)


def times(segment: SpeechSegment) -> list[tuple[int, int, str]]:
    return [(word.start_ms, word.end_ms, word.text) for word in segment.words]


# --- What is found -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule", "result"),
    [
        ("Open ai, and open  AI.", ("open ai", "OpenAI"), "OpenAI, and OpenAI."),
        ("Scatter the cat.", ("cat", "dog"), "Scatter the dog."),
        ("Scatter the cat.", ("cat", "dog", False), "Sdogter the dog."),
        ("the cat's cats", ("cat", "dog"), "the cat's cats"),
        ("us and US", ("US", "United States", True, True), "us and United States"),
        ("don’t, DON'T", ("don't", "do not"), "do not, Do not"),
        ("C++ or c", ("c++", "Rust"), "Rust or c"),
        ("What? (what?)", ("what?", "Yes!"), "Yes! (Yes!)"),
        ("cafe\u0301s CAFE\u0301", ("café", "bar"), "cafe\u0301s Bar"),
        ("Straße, STRASSE", ("strasse", "Weg"), "Weg, Weg"),
        ("ＡＩ", ("ai", "AI"), "AI"),
        ("İ i I ı", ("i", "j"), "İ j J ı"),
        ("e\u0301", ("e", "a", False), "e\u0301"),
        ("我爱北京。", ("北京", "上海"), "我爱上海。"),
        ("👍🏽 👍", ("👍", "good", False), "👍🏽 good"),
        ("nothing here", ("absent", "x"), "nothing here"),
        ("", ("a", "b"), ""),
        (r"a.c abc \1", ("a.c", r"\1$&"), r"\1$& abc \1"),
    ],
)
def test_words_and_phrases_are_replaced(text: str, rule: tuple, result: str):
    assert corrected(text, rule) == result


@pytest.mark.parametrize(
    ("text", "rule", "result"),
    [
        ("Colour, colour, COLOUR", ("colour", "color"), "Color, color, Color"),
        ("I phone and i phone", ("i phone", "iPhone"), "iPhone and iPhone"),
        ("open ai", ("open ai", "OpenAI"), "OpenAI"),
        ("Élan", ("élan", "été"), "Été"),
        ("Colour", ("Colour", "color", True, True), "color"),
        ("Ü", ("ü", "ß"), "Ss"),
    ],
)
def test_a_capital_stays_where_the_replacement_has_no_capitals_of_its_own(
    text: str, rule: tuple, result: str
):
    assert corrected(text, rule) == result


def test_the_longest_is_taken_first_and_nothing_is_replaced_twice():
    rules = [("york", "York"), ("new york", "NYC"), ("a", "b"), ("b", "a"), ("nyc", "wrong")]
    assert corrected("new york or york, a b", *rules) == "NYC or York, b a"
    assert corrected("b c d", ("b c", "x"), ("c d", "y")) == "x d"
    assert corrected("xaba", ("xa", "1", False), ("aba", "2", False)) == "1ba"


def test_the_rule_that_minds_case_goes_before_the_one_that_does_not():
    rules = [("us", "we"), ("US", "States", True, True)]
    assert corrected("us US Us", *rules) == corrected("us US Us", *rules[::-1]) == "we States We"


def test_a_blank_replacement_is_refused():
    for blank in ("", " ", "\u00a0\n"):
        with pytest.raises(ValueError, match="look for"):
            Replacement(blank, "x")


def test_hundreds_of_rules_and_a_long_text_take_no_time():
    rules = [Replacement("a" * n + "b", "x", False) for n in range(1, 500)]
    started = time.perf_counter()
    assert Corrector(rules).correct_text("a" * 10_000) == "a" * 10_000
    assert Corrector(rules[:20]).correct_text("ab" * 5000) == "x" * 5000
    assert time.perf_counter() - started < 5


# --- Removing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("I um think", "I think"),
        ("I, um, think.", "I, think."),
        ("Um, so I think.", "So I think."),
        ("um, so", "so"),
        ("Um, uh, so", "So"),
        ("Um. So.", "So."),
        ("Yes. Um. So.", "Yes. So."),
        ("Yes. Um, so.", "Yes. So."),
        ("Is it, um?", "Is it?"),
        ("Is it um uh? Yes.", "Is it? Yes."),
        ("so um", "so"),
        ("(so um)", "(so)"),
        ("(um) so", "so"),
        ('"Um, yes," he said', '"Yes," he said'),
        ("Um, iPhone", "iPhone"),
        ("Um, e\u0301tude", "E\u0301tude"),
        ("um", ""),
        ("Um, uh. Um!", ""),
        ("umbrella um-hm", "umbrella um-hm"),
        ("One.\nUm, two", "One.\nTwo"),
    ],
)
def test_a_removed_word_takes_its_comma_and_space_along(text: str, result: str):
    assert corrected(text, ("um", ""), ("uh", "")) == result


def test_the_capital_goes_to_the_next_word_when_that_is_replaced_too():
    assert corrected("Um, colour is", ("um", ""), ("colour", "color")) == "Color is"


def test_a_removed_word_of_a_script_without_spaces_leaves_none():
    assert corrected("嗯，我爱嗯北京", ("嗯", "")) == "我爱北京"


# --- Word times ----------------------------------------------------------------------------------


def test_words_that_replace_fewer_or_more_share_their_time_by_characters():
    rules = Corrector([Replacement("open a i", "OpenAI"), Replacement("gpt", "generative transformers")])
    segment = rules.correct(said("Use open a i, then GPT."))
    assert segment.text == "Use OpenAI, then Generative transformers."
    assert times(segment) == [
        (0, 100, "Use"),
        (100, 400, "OpenAI,"),
        (400, 500, "then"),
        (500, 543, "Generative"),
        (543, 600, "transformers."),
    ]
    assert segment.words[1].confidence == 0.9


def test_as_many_words_keep_each_its_own_time_and_confidence():
    words = (Word(0, 10, "Jon", 0.2), Word(500, 900, "Smyth.", 0.8))
    segment = SpeechSegment(0, 900, "Jon Smyth.", 0.5, words)
    result = Corrector([Replacement("jon smyth", "John Smith")]).correct(segment)
    assert result.words == (Word(0, 10, "John", 0.2), Word(500, 900, "Smith.", 0.8))


def test_the_least_sure_word_of_a_run_says_how_sure_its_replacement_is():
    words = (Word(0, 10, "open", 0.9), Word(10, 20, "a", None), Word(20, 30, "i", 0.3))
    segment = SpeechSegment(0, 30, "open a i", None, words)
    assert Corrector([Replacement("open a i", "OpenAI")]).correct(segment).words == (
        Word(0, 30, "OpenAI", 0.3),
    )


def test_removed_words_leave_the_times_of_the_others():
    result = Corrector([Replacement("um", "")]).correct(said("Um, so it um works"))
    assert result.text == "So it works"
    assert times(result) == [(100, 200, "So"), (200, 300, "it"), (400, 500, "works")]


def test_words_of_a_script_without_spaces_are_corrected_in_place():
    words = (Word(0, 100, "我爱"), Word(100, 200, "北京"), Word(200, 300, "塔。"))
    result = Corrector([Replacement("北京塔", "东方明珠")]).correct(
        SpeechSegment(0, 300, "我爱北京塔。", None, words)
    )
    assert (result.text, times(result)) == ("我爱东方明珠。", [(0, 100, "我爱"), (100, 300, "东方明珠。")])


def test_without_word_times_the_text_alone_is_corrected():
    segment = SpeechSegment(0, 1000, "Open ai.", 0.5)
    result = Corrector([Replacement("open ai", "OpenAI")]).correct(segment)
    assert result == SpeechSegment(0, 1000, "OpenAI.", 0.5)


def test_words_without_the_punctuation_of_the_text_are_corrected_by_themselves():
    words = (Word(0, 100, "Hello"), Word(100, 200, "open"), Word(200, 300, "ai"))
    result = Corrector([Replacement("open ai", "OpenAI")]).correct(
        SpeechSegment(0, 300, "Hello, open ai!", None, words)
    )
    assert result.text == "Hello, OpenAI!"
    assert times(result) == [(0, 100, "Hello"), (100, 300, "OpenAI")]


def test_a_segment_without_anything_to_correct_is_the_same_object():
    segment = said("Nothing to do.")
    assert Corrector([Replacement("absent", "x")]).correct(segment) is segment
    assert Corrector([]).correct(segment) is segment


@pytest.mark.parametrize(
    "text",
    [
        "Um, so open ai, um.",
        "um um um",
        "(um) Open ai open ai",
        "a um? Um! ai",
        "İ um ﬁn open  ai",
        "so um",
        "so um?",
    ],
)
def test_corrected_words_are_those_of_the_corrected_text_and_in_order(text: str):
    rules = [Replacement("um", ""), Replacement("open ai", "OpenAI is here"), Replacement("a", "b c")]
    result = Corrector(rules).correct(said(text))
    assert " ".join(word.text for word in result.words) == result.text
    edges = [at for word in result.words for at in (word.start_ms, word.end_ms)]
    assert all(a <= b for a, b in pairwise(edges))
    assert all(0 <= at <= len(text.split()) * 100 for at in edges)


# --- What a person wrote instead -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("heard", "written", "result"),
    [
        ("a b c", "a b c", [(0, 100, "a"), (100, 200, "b"), (200, 300, "c")]),
        ("a b c", "a x c", [(0, 100, "a"), (100, 200, "x"), (200, 300, "c")]),
        ("a b c", "a xxx y c", [(0, 100, "a"), (100, 175, "xxx"), (175, 200, "y"), (200, 300, "c")]),
        ("a b c d", "a xx d", [(0, 100, "a"), (100, 300, "xx"), (300, 400, "d")]),
        ("a b c", "c", [(200, 300, "c")]),
        ("a b c", "  ", []),
        # Nobody speaks between them, so a word that is added takes no time.
        ("a b", "a new b", [(0, 100, "a"), (100, 100, "new"), (100, 200, "b")]),
        ("a b", "o a b p", [(0, 0, "o"), (0, 100, "a"), (100, 200, "b"), (200, 200, "p")]),
        ("今天 天气 好", "今天天气不好", [(0, 300, "今天天气不好")]),
    ],
)
def test_the_words_of_a_written_text_take_the_times_of_those_that_were_heard(heard, written, result):
    words = timed_words(written, said(heard).words)
    assert [(word.start_ms, word.end_ms, word.text) for word in words] == result
    # How sure the engine was stays with what it said.
    kept = set(heard.split()) & set(written.split())
    assert all((word.confidence == 0.9) == (word.text in kept) for word in words)


def test_an_added_word_takes_the_pause_where_it_stands():
    heard = (Word(0, 100, "a"), Word(500, 600, "b"))
    assert [(word.start_ms, word.end_ms) for word in timed_words("a x yyy b", heard)] == [
        *((0, 100), (100, 200), (200, 500), (500, 600)),
    ]


def test_without_words_there_are_no_times():
    assert timed_words("Hello there.", ()) == ()
