"""Changing a person's corrections and target lists: one way for pages, API and CSV."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import transaction

from jobs_app.vocabulary_models import Correction, TargetList
from speech.phrases import can_be_seen, compared_form

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# With more of them a worker would look for words longer than an engine needs to hear some.
MAX_CORRECTIONS = 500
MAX_TARGET_LISTS = 50
MAX_TARGET_WORDS = 500
"""Of all lists of one person together: each is counted in each window."""


class Refused(Exception):
    """What was to be stored cannot be. `errors`: sentences with the remedy, all about `field`."""

    def __init__(self, field: str, *errors: str) -> None:
        super().__init__(" ".join(errors))
        self.field = field
        self.errors = errors


def single_spaced(text: str) -> str:
    """Its white space made single; empty where nothing of it can be seen."""
    return " ".join(text.split()) if can_be_seen(text) else ""


def distinct(words: Iterable[str]) -> list[str]:
    """The words and phrases without blank ones and repetitions, as they were written first."""
    first: dict[str, str] = {}
    for word in filter(None, map(single_spaced, words)):
        first.setdefault(compared_form(word), word)
    return list(first.values())


def save_correction(correction: Correction) -> None:
    """Store a new or a changed correction. Raises Refused."""
    with _alone(correction.owner):
        others = Correction.objects.for_user(correction.owner).exclude(pk=correction.pk)
        same = {_key(other): other for other in others}
        if before := same.get(_key(correction)):
            raise Refused(
                "from_text",
                f"There is a correction of “{before.from_text}” already. Change that one instead.",
            )
        _check_corrections(len(same) + 1)
        correction.save()


def save_corrections(owner: User, corrections: Sequence[Correction], *, replace: bool) -> None:
    """Store all of them or, where one is Refused, none. No two of them are of the same text.

    `replace`: instead of what there is. Without it one of the same text is replaced.
    """
    with _alone(owner):
        there = Correction.objects.for_user(owner)
        new = {_key(correction) for correction in corrections}
        there.filter(pk__in=[c.pk for c in there if replace or _key(c) in new]).delete()
        _check_corrections(there.all().count() + len(corrections))
        for correction in corrections:
            correction.owner = owner
        Correction.objects.bulk_create(corrections)


def save_target_list(target_list: TargetList) -> None:
    """Store a new or a changed list. Raises Refused."""
    with _alone(target_list.owner):
        others = list(TargetList.objects.for_user(target_list.owner).exclude(pk=target_list.pk))
        if any(other.name == target_list.name for other in others):
            raise Refused("name", "You have a list of this name already. Choose another name.")
        _check_lists([*others, target_list])
        target_list.save()


def save_target_lists(owner: User, words_of: dict[str, list[str]], *, replace: bool) -> None:
    """Store the words of each list, by its name. Raises Refused, and then nothing is stored.

    `replace`: instead of all lists there are. Without it the words are added to those of the same name.
    """
    with _alone(owner):
        if replace:
            TargetList.objects.for_user(owner).delete()
        lists = {each.name: each for each in TargetList.objects.for_user(owner)}
        for name, words in words_of.items():
            each = lists.setdefault(name, TargetList(owner=owner, name=name))
            each.words = distinct([*each.words, *words])
        _check_lists(lists.values())
        for name in words_of:
            lists[name].save()


@contextmanager
def _alone(owner: User) -> Iterator[None]:
    """A transaction in which nobody else changes this person's lists: limits are for all of them together."""
    with transaction.atomic():
        get_user_model().objects.select_for_update(no_key=True).get(pk=owner.pk)
        yield


def _key(correction: Correction) -> tuple[bool, str]:
    return correction.match_case, compared_form(correction.from_text, match_case=correction.match_case)


def _check_corrections(n: int) -> None:
    if n > MAX_CORRECTIONS:
        raise Refused("from_text", f"One person can have {MAX_CORRECTIONS} corrections. Delete some first.")


def _check_lists(lists: Collection[TargetList]) -> None:
    if len(lists) > MAX_TARGET_LISTS:
        raise Refused("name", f"One person can have {MAX_TARGET_LISTS} lists. Delete one first.")
    if sum(len(each.words) for each in lists) > MAX_TARGET_WORDS:
        raise Refused(
            "words", f"All your lists together can have {MAX_TARGET_WORDS} words and phrases. Use fewer."
        )
