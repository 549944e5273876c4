"""Voices that have a name: does a speaker of a recording sound like one of them?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from speech.speakers.hearing.packing import unpack_vector
from speech.speakers.types import Voice

SURE = 0.55
"""A voice this much like a profile is offered its name: see the false accepts in docs/speakers.md."""
MAYBE = 0.45
_AHEAD = 0.1
LEAST_SAVED_S = 10.0
"""Seconds of clean speech that a voice needs before it can be saved under a name."""
LEAST_NAMED_S = 6.0
"""Seconds of clean speech that a voice needs before a name is offered."""

Person = TypeVar("Person", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Suggestion(Generic[Person]):
    """A name to offer. `certainty` is the cosine of the angle between the voices, up to 1.

    Without `sure`, the name should be offered as one that is possible.
    """

    person: Person
    certainty: float
    sure: bool


def match(voice: Voice, profiles: Mapping[Person, Sequence[bytes]]) -> list[Suggestion[Person]]:
    """Return the people that a voice may belong to, the most alike first; often nobody.

    `profiles` has the vectors of each person (`Voice.vector`). Vectors of another version are left out. Only
    the first one can be sure: it is if it is well ahead of the second.
    """
    if voice.clean_s < LEAST_NAMED_S or (heard := unpack_vector(voice.vector)) is None:
        return []
    alike = []
    for person, vectors in profiles.items():
        known = [saved for vector in vectors if (saved := unpack_vector(vector)) is not None]
        if known:
            alike.append((max(float(np.dot(heard, saved)) for saved in known), person))
    alike.sort(key=lambda one: -one[0])
    second = alike[1][0] if len(alike) > 1 else -1.0
    return [
        Suggestion(person, round(cosine, 3), at == 0 and cosine >= SURE and cosine - second >= _AHEAD)
        for at, (cosine, person) in enumerate(alike)
        if cosine >= MAYBE
    ]
