"""The measures that the quality benchmark and the tests compare transcripts with."""

from __future__ import annotations

import pytest

from benchmarks.quality import at_cuts
from tests.speech.wer import spoken_words, wer

SAID = "we had everything before us we had nothing before us we were all going direct the other way"


def cut(text: str) -> tuple[list[str], list[str]]:
    """What is lost and doubled in a text whose windows end at each |, beside a whole file without errors."""
    lost, doubled = at_cuts(SAID.split(), SAID.split(), [window.split() for window in text.split("|")])
    return [place.split(" (")[0] for place in lost], [place.split(" (")[0] for place in doubled]


@pytest.mark.parametrize(
    ("text", "lost", "doubled"),
    [
        (SAID, [], []),
        (SAID.replace(" nothing", " nothing|"), [], []),
        (SAID.replace(" nothing", " |"), ["nothing"], []),
        (SAID.replace("nothing before us we", "|us we"), ["nothing before"], []),
        (SAID.replace(" nothing", " nothing|nothing"), [], ["nothing"]),
        (SAID.replace(" nothing", " nothing before|nothing"), [], ["nothing before"]),
        (SAID.replace(" nothing", " nothing thank you|"), [], ["thank you"]),
        (SAID.replace(" nothing", " no thing|"), [], []),
        (SAID.replace("everything", "everything|").replace("direct ", ""), [], []),
    ],
)
def test_what_is_lost_or_doubled_at_a_cut_is_found_and_nothing_else(text, lost, doubled):
    assert cut(text) == (lost, doubled)


def test_what_the_whole_file_does_not_have_is_not_lost():
    whole = [*SAID.split()[:6], *SAID.split()[7:]]
    assert at_cuts(SAID.split(), whole, [SAID.split()[:6], SAID.split()[6:]]) == ([], [])


@pytest.mark.parametrize(
    ("reference", "heard", "language", "rate"),
    [
        ("Mr. Dashwood [laughs] had twenty-five.", "mister dashwood had 25", "en", 0),
        ("we had nothing before", "we had before", "en", 0.25),
        ("It's like ...", "it is like", "en", 0),
        ("nämlich", "namlich", "de", 1),
        ("今天天气怎么样。", "今天天氣怎么样", "zh", 1 / 7),
    ],
)
def test_the_word_error_rate_forgives_spelling_but_no_word(reference, heard, language, rate):
    assert wer(reference, heard, language) == pytest.approx(rate)


def test_a_language_that_is_written_without_spaces_is_compared_by_characters():
    assert spoken_words("今天 天气。", "zh") == list("今天天气")
