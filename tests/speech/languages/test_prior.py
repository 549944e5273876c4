"""What is known of a language beforehand."""

from __future__ import annotations

import pytest

from speech.languages.prior import MOST_ODDS, LanguagePrior, likely_odds

TEST_3S = {"de": 0.4, "en": 0.3, "pl": 0.2}
"""About what is heard of one English word."""


def first(prior: LanguagePrior, heard: dict[str, float]) -> str:
    return next(iter(prior.weigh(heard)))


def test_without_knowledge_it_is_what_was_heard():
    assert list(LanguagePrior().weigh(TEST_3S)) == ["de", "en", "pl"]
    assert sum(LanguagePrior().weigh(TEST_3S).values()) == pytest.approx(1)


def test_only_allowed_languages_are_chosen():
    assert list(LanguagePrior(allowed=frozenset({"en", "pl"})).weigh(TEST_3S)) == ["en", "pl"]
    unheard = LanguagePrior(allowed=frozenset({"fr", "it"}), odds={"it": 2})
    assert unheard.weigh(TEST_3S) == {"it": pytest.approx(2 / 3), "fr": pytest.approx(1 / 3)}
    assert (unheard.only, LanguagePrior(allowed=frozenset({"it"})).only) == ("", "it")


def test_a_short_recording_leans_on_the_account_the_browser_and_the_last_recordings():
    for known in ({"account": "en"}, {"browser": ["en"]}, {"recent": ["en"] * 3}):
        assert first(LanguagePrior(odds=likely_odds(**known)), TEST_3S) == "en"


def test_pages_in_english_decide_little_because_many_read_them():
    short_portuguese = {"pt": 0.27, "en": 0.15}
    english, german = (likely_odds(account=one, browser=[one]) for one in ("en", "de"))
    assert first(LanguagePrior(odds=english), short_portuguese) == "pt"
    assert first(LanguagePrior(odds=german), {"ar": 0.32, "de": 0.08}) == "de"
    # Who has spoken English lately does speak it.
    assert likely_odds(account="en", recent=["en"])["en"] > german["de"]


def test_who_clearly_speaks_another_language_is_heard():
    everything = likely_odds(account="de", browser=["de", "fr"], recent=["de"] * 10)
    assert everything["de"] == MOST_ODDS
    assert first(LanguagePrior(odds=everything), {"en": 0.95, "de": 0.02}) == "en"


def test_the_last_recordings_count_by_their_share():
    odds = likely_odds(recent=["de", "de", "de", "en"])
    assert odds["de"] > odds["en"] > 1


def test_odds_are_multiplied():
    both = LanguagePrior(odds={"en": 2, "de": 3}).times({"en": 2, "fr": 5})
    assert both.odds == {"en": 4, "de": 3, "fr": 5}
