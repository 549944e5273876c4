"""Deleting people with all that is theirs. Apps above this one say what they keep of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from people_app.models import User


class Belongings(Protocol):
    """What an app keeps of people that does not go with their rows by itself, such as files."""

    def count(self, people: Iterable[User]) -> dict[str, int]:
        """How many rows there are, by what they are called."""

    def delete(self, person: User) -> None:
        """Delete it all."""


_kept: list[Belongings] = []


def register(belongings: Belongings) -> None:
    """Have these counted and deleted with people. To be called while Django starts."""
    _kept.append(belongings)


def goes_with(people: Iterable[User]) -> dict[str, int]:
    """Count what goes with these people, for the page that asks whether to delete them."""
    found: Counter[str] = Counter()
    for belongings in _kept:
        found.update(belongings.count(people))
    return dict(found)


def delete(person: User) -> None:
    """Delete a person and all that is theirs."""
    for belongings in _kept:
        belongings.delete(person)
    person.delete()
