"""Voices that have a name: do the speakers of a recording sound like some of them?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from speech.speakers.hearing.packing import unpack_vector
from speech.speakers.types import Voice

LEAST_ALIKE = 0.55
"""A voice this much like a profile is offered its name: see the false accepts in docs/speakers.md."""
LEAST_AHEAD = 0.1
"""And if it is so much more like it than like the profile of the next person."""
LEAST_NAMED_S = 6.0
"""Seconds of clean speech that a voice needs before a name is offered."""

Person = TypeVar("Person", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Suggestion(Generic[Person]):
    """Who a speaker may be. `certainty` is the cosine of the angle between the voices, up to 1."""

    person: Person
    certainty: float


def suggest(
    voices: Sequence[Voice], profiles: Mapping[Person, Sequence[bytes]]
) -> dict[int, Suggestion[Person]]:
    """Return who the speakers may be, by their index in `voices`; often nobody.

    `profiles` has the vectors of each person (`Voice.vector`), and the one that is most alike counts. Vectors
    of another version are left out. Each person is suggested for one speaker at most: the one who is most
    alike.
    """
    found = {at: best for at, voice in enumerate(voices) if (best := _best(voice, profiles))}
    given: dict[int, Suggestion[Person]] = {}
    for at, best in sorted(found.items(), key=lambda item: -item[1].certainty):
        if all(other.person != best.person for other in given.values()):
            given[at] = best
    return given


def _best(voice: Voice, profiles: Mapping[Person, Sequence[bytes]]) -> Suggestion[Person] | None:
    heard = unpack_vector(voice.vector)
    if heard is None or voice.clean_s < LEAST_NAMED_S:
        return None
    alike = []
    for person, vectors in profiles.items():
        known = [saved for vector in vectors if (saved := unpack_vector(vector)) is not None]
        if known:
            alike.append((max(float(np.dot(heard, saved)) for saved in known), person))
    alike.sort(key=lambda one: -one[0])
    if not alike or alike[0][0] < LEAST_ALIKE:
        return None
    if len(alike) > 1 and alike[0][0] - alike[1][0] < LEAST_AHEAD:
        return None
    cosine, person = alike[0]
    return Suggestion(person, round(min(1.0, cosine), 3))
