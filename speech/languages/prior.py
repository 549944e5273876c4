"""What is known of the language of a recording before it is heard, and what that does to what is heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

ACCOUNT_ODDS = 2.0
BROWSER_ODDS = (3.0, 2.0)
"""The first language of a browser, and the others."""
ENGLISH_ODDS = 1.5
"""What account and browser count together for English. Pages in English are read by many who speak another
language, and short English is heard as English: more than this made other languages wrong, and none right.
"""
RECENT_ODDS = 6.0
"""A language in which all recordings of a person were lately."""
MOST_ODDS = 12.0
"""What is known beforehand outweighs no more than this: who begins to speak another language is heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguagePrior:
    """What is known of a language before it is heard.

    No language but those of `allowed` is possible; if it is empty, all are. `odds` says how many times as
    likely as other languages some are. Languages are ISO 639-1 codes.
    """

    allowed: frozenset[str] = frozenset()
    odds: Mapping[str, float] = field(default_factory=dict)

    def weigh(self, heard: Mapping[str, float]) -> dict[str, float]:
        """Return the probabilities of `heard` with what is known beforehand, by Bayes' rule, best first.

        They add up to 1. If none of the allowed languages was heard, those are all that is left, by their
        odds.
        """
        possible = self.allowed or heard.keys()
        weighed = {one: heard.get(one, 0.0) * self.odds.get(one, 1.0) for one in possible}
        if not any(weighed.values()):
            weighed = {one: self.odds.get(one, 1.0) for one in possible}
        total = sum(weighed.values())
        return {
            one: weight / total
            for one, weight in sorted(weighed.items(), key=lambda pair: (-pair[1], pair[0]))
        }

    def times(self, odds: Mapping[str, float]) -> LanguagePrior:
        """Return the same with more evidence: the odds are multiplied."""
        both = {one: self.odds.get(one, 1.0) * odds.get(one, 1.0) for one in {*self.odds, *odds}}
        return replace(self, odds=both)

    @property
    def only(self) -> str:
        """The one language that is possible; '' if there are several."""
        return next(iter(self.allowed)) if len(self.allowed) == 1 else ""


def likely_odds(
    *,
    known: Mapping[str, float] | None = None,
    account: str = "",
    browser: Sequence[str] = (),
    recent: Iterable[str] = (),
) -> dict[str, float]:
    """Return how much likelier some languages are, from what is known of a person.

    `account` is the language of their pages, `browser` has those that their browser asks for, best first, and
    `recent` those of their last recordings. `known` has odds that are known already.
    """
    known = known or {}
    spoken = Counter(recent)
    named = dict.fromkeys([*known, account, *browser, *spoken])
    named.pop("", None)
    odds = {}
    for one in named:
        read = ACCOUNT_ODDS if one == account else 1.0
        if one in browser:
            read *= BROWSER_ODDS[0] if one == browser[0] else BROWSER_ODDS[1]
        if one == "en":
            read = min(read, ENGLISH_ODDS)
        share = spoken[one] / spoken.total() if spoken else 0
        found = known.get(one, 1.0) * read * (1 + (RECENT_ODDS - 1) * share)
        odds[one] = round(min(found, MOST_ODDS), 2)
    return odds


def written_odds(odds: Mapping[str, float]) -> str:
    """Return odds as a job stores them: `en=6.0 de=2.0`, the likeliest first."""
    likeliest = sorted(odds.items(), key=lambda pair: (-pair[1], pair[0]))
    return " ".join(f"{language}={some}" for language, some in likeliest)


def read_odds(written: str) -> dict[str, float]:
    """Read what `written_odds` has written."""
    pairs = (one.partition("=") for one in written.split())
    return {language: float(some) for language, _, some in pairs}
