"""Where a recording changes its language: the most likely sequence of languages, by Viterbi's algorithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from speech.languages.prior import LanguagePrior

SWITCH_COST = 2.2
"""In nats: people rarely change the language, so that several doubtful stretches stay with the others."""
LEAST_PROBABILITY = 1e-3
"""One stretch alone proves no more than this."""
FULL_WEIGHT_MS = 2_000
"""A shorter stretch says less: of 1 s, Whisper is often wrong."""
MOST_ENTRY_COST = 0.5
"""What is known beforehand costs a language no more than this. It is meant for doubtful recordings, and must
not keep people from saying a sentence in another language.
"""
CANDIDATE = 0.3
"""A language of at least this probability in some stretch may be one of the recording's."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of speech between two pauses: how long it is, and the probabilities of its language."""

    speech_ms: int
    probabilities: Mapping[str, float]


def language_of_each(stretches: Sequence[Stretch], prior: LanguagePrior) -> list[str]:
    """Return the language of each stretch, in the order of time. There must be at least one."""
    weighed = [prior.weigh(stretch.probabilities) for stretch in stretches]
    candidates = sorted(
        {one for each in weighed for n, one in enumerate(each) if n == 0 or each[one] >= CANDIDATE}
    )
    # The best cost so far of each candidate, and how it came there.
    costs = {one: _entry_cost(one, candidates, prior) for one in candidates}
    came_from: list[dict[str, str]] = []
    for number, stretch in enumerate(stretches):
        if number:
            cheapest = min(candidates, key=lambda one: costs[one])
            entered = {
                one: costs[cheapest] + SWITCH_COST + _entry_cost(one, candidates, prior) for one in candidates
            }
            came_from.append({one: one if costs[one] <= entered[one] else cheapest for one in candidates})
            costs = {one: min(costs[one], entered[one]) for one in candidates}
        weight = min(1.0, stretch.speech_ms / FULL_WEIGHT_MS)
        for one in candidates:
            costs[one] -= weight * log(max(stretch.probabilities.get(one, 0.0), LEAST_PROBABILITY))
    languages = [min(candidates, key=lambda one: costs[one])]
    for before in reversed(came_from):
        languages.append(before[languages[-1]])
    return languages[::-1]


def _entry_cost(language: str, candidates: Sequence[str], prior: LanguagePrior) -> float:
    """Return what it costs that a run in this language begins: 0 for the likeliest beforehand."""
    best = max(prior.odds.get(one, 1.0) for one in candidates)
    return min(log(best / prior.odds.get(language, 1.0)), MOST_ENTRY_COST)
