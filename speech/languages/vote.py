"""What the windows of a recording say together of its language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from speech.languages.prior import LanguagePrior

MOST_ODDS = 10.0
"""How much likelier a language is in a window if all others are in it. Another language that is spoken
clearly has a higher probability than that.
"""
ENOUGH_MS = 20_000
"""With less speech than this, the others say little."""
GUESS_BELOW = 0.8
"""A language of a lower probability is a guess."""


@dataclass(frozen=True, slots=True)
class Vote:
    """How long somebody speaks in a window, and the probabilities of the languages that were heard there."""

    speech_ms: int
    probabilities: Mapping[str, float]


def shares(votes: Iterable[Vote]) -> dict[str, float]:
    """Return the part of the speech that each language has, from 0 to 1, weighted by its probability."""
    spoken: defaultdict[str, float] = defaultdict(float)
    for vote in votes:
        for language, probability in vote.probabilities.items():
            spoken[language] += probability * vote.speech_ms
    total = sum(spoken.values())
    return {language: some / total for language, some in spoken.items()} if total else {}


def vote_odds(votes: Iterable[Vote]) -> dict[str, float]:
    """Return how much likelier the languages of these windows are in another window of the same recording."""
    given = list(votes)
    strength = min(1.0, sum(vote.speech_ms for vote in given) / ENOUGH_MS)
    return {language: 1 + (MOST_ODDS - 1) * strength * share for language, share in shares(given).items()}


def outvoted(vote: Vote, language: str, prior: LanguagePrior, others: Iterable[Vote]) -> bool:
    """Return whether a window that was transcribed in `language` would be in another one by now, because of
    what the other windows have shown since.
    """
    weighed = prior.times(vote_odds(others)).weigh(vote.probabilities)
    return bool(weighed) and next(iter(weighed)) != language


def is_guess(language: str, votes: Iterable[Vote], prior: LanguagePrior) -> bool:
    """Return whether a language is a guess: what was heard alone does not make it probable.

    Of what is known beforehand, only the allowed languages count.
    """
    heard = shares(votes)
    return bool(heard) and LanguagePrior(allowed=prior.allowed).weigh(heard).get(language, 0) < GUESS_BELOW
