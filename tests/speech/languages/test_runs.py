"""Where a recording changes its language."""

from __future__ import annotations

from speech.languages.prior import LanguagePrior
from speech.languages.runs import Stretch, language_of_each


def stretches(*given: tuple[float, str, float]) -> list[Stretch]:
    """Each is of so many seconds, in this language with this probability."""
    return [
        Stretch(round(1000 * length_s), {language: probability} | {"xx": 1 - probability})
        for length_s, language, probability in given
    ]


def languages(*given: tuple[float, str, float], prior: LanguagePrior | None = None) -> str:
    return " ".join(language_of_each(stretches(*given), prior or LanguagePrior()))


def test_sentences_in_turn_each_have_their_language():
    assert languages((4, "en", 0.9), (1.6, "zh", 0.99), (5, "en", 0.99), (1.6, "zh", 0.99)) == "en zh en zh"


def test_a_short_stretch_alone_is_in_the_language_around_it():
    assert languages((6, "es", 0.98), (0.8, "ar", 0.76), (5, "es", 0.99)) == "es es es"


def test_a_doubtful_stretch_is_in_the_language_around_it():
    before, after = stretches((6, "en", 0.95), (5, "en", 0.95))
    doubtful = Stretch(2500, {"de": 0.7, "en": 0.05})
    assert language_of_each([before, doubtful, after], LanguagePrior()) == ["en", "en", "en"]


def test_one_change_is_enough():
    assert languages((5, "fr", 0.9), (4, "fr", 0.9), (5, "de", 0.9), (3, "de", 0.9)) == "fr fr de de"


def test_a_language_that_is_not_allowed_is_never_chosen():
    prior = LanguagePrior(allowed=frozenset({"en", "de"}))
    assert languages((4, "en", 0.9), (4, "nn", 0.99), (4, "en", 0.9), prior=prior) == "en en en"


def test_odds_decide_where_the_ear_does_not():
    heard = [Stretch(1000, {"de": 0.45, "en": 0.4})]
    assert language_of_each(heard, LanguagePrior()) == ["de"]
    assert language_of_each(heard, LanguagePrior(odds={"en": 5})) == ["en"]


def test_what_is_known_beforehand_does_not_hide_a_sentence_in_another_language():
    prior = LanguagePrior(odds={"en": 120})
    assert languages((4, "en", 0.9), (1.6, "zh", 0.99), (5, "en", 0.99), prior=prior) == "en zh en"
    assert languages((1.6, "zh", 0.99), (5, "en", 0.99), prior=prior) == "zh en"
