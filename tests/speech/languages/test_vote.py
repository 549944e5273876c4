"""What windows say together of the language of a recording."""

from __future__ import annotations

import pytest

from speech.languages.prior import LanguagePrior
from speech.languages.vote import Vote, is_guess, outvoted, shares, vote_odds

ENGLISH = [Vote(20_000, {"en": 0.98, "de": 0.01})] * 3
DOUBTFUL = Vote(1_000, {"de": 0.5, "en": 0.3})


def test_windows_count_by_their_speech_and_their_certainty():
    assert shares([Vote(9_000, {"en": 0.9, "de": 0.1}), Vote(1_000, {"de": 1.0})]) == {
        "en": pytest.approx(0.81),
        "de": pytest.approx(0.19),
    }
    assert shares([]) == {}


def test_a_doubtful_window_is_outvoted_and_a_clear_one_is_not():
    assert outvoted(DOUBTFUL, "de", LanguagePrior(), ENGLISH)
    assert not outvoted(Vote(20_000, {"de": 0.97, "en": 0.02}), "de", LanguagePrior(), ENGLISH)
    assert not outvoted(DOUBTFUL, "de", LanguagePrior(), [])


def test_little_speech_says_little_of_the_others():
    assert vote_odds([Vote(500, {"en": 1.0})])["en"] < 1.3
    assert vote_odds(ENGLISH)["en"] > 9


def test_a_language_is_a_guess_if_it_was_not_heard_clearly():
    assert is_guess("en", [DOUBTFUL], LanguagePrior(odds={"en": 10}))
    assert not is_guess("en", ENGLISH, LanguagePrior())
    assert not is_guess("de", [DOUBTFUL], LanguagePrior(allowed=frozenset({"de", "fr"})))
    assert not is_guess("en", [], LanguagePrior())
