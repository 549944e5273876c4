"""Change a person's corrections and target lists. Pages, API and CSV all use this one way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import transaction

from jobs_app.models.vocabulary import Correction, TargetList
from rest.refusals import Invalid
from speech.text.phrases import can_be_seen, compared_form

if TYPE_CHECKING:
    from people_app.models import User

# With more of them, a worker would need more time to look for words than an engine needs to transcribe.
MAX_CORRECTIONS = 500
MAX_TARGET_LISTS = 50
MAX_TARGET_WORDS = 500
"""All lists of one person together have at most this many words, because each is counted in each window."""


class Refused(Invalid):
    """A correction or a list cannot be stored. `errors` are sentences with the remedy, all about `field`."""

    def __init__(self, field: str, *errors: str) -> None:
        super().__init__({field: errors})
        self.field = field
        self.errors = errors


def single_spaced(text: str) -> str:
    """Return the text with single spaces, or an empty text if none of its characters can be seen."""
    return " ".join(text.split()) if can_be_seen(text) else ""


def distinct(words: Iterable[str]) -> list[str]:
    """Return the words and phrases without blank ones and repetitions. Of repetitions the first one stays."""
    first: dict[str, str] = {}
    for word in filter(None, map(single_spaced, words)):
        first.setdefault(compared_form(word), word)
    return list(first.values())


def save_correction(correction: Correction) -> None:
    """Store a new or a changed correction.

    Raises:
        Refused: the owner has a correction of the same text already, or too many corrections.
    """
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
    """Store all these corrections. No two of them may be of the same text.

    With `replace`, they take the place of all corrections that the owner has. Without it, they take the place
    only of those of the same text.

    Raises:
        Refused: the owner would have too many corrections; nothing was stored.
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
    """Store a new or a changed list.

    Raises:
        Refused: the owner has a list of this name already, or too many lists or words.
    """
    with _alone(target_list.owner):
        others = list(TargetList.objects.for_user(target_list.owner).exclude(pk=target_list.pk))
        if any(other.name == target_list.name for other in others):
            raise Refused("name", "You have a list of this name already. Choose another name.")
        _check_lists([*others, target_list])
        target_list.save()


def save_target_lists(owner: User, words_of: dict[str, list[str]], *, replace: bool) -> None:
    """Store words by the names of their lists.

    With `replace`, these lists take the place of all lists that the owner has. Without it, the words are
    added to the lists of the same names.

    Raises:
        Refused: the owner would have too many lists or words; nothing was stored.
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
    """Open a transaction in which nobody else changes this person's corrections and lists.

    The limits count all rows of a person together, so two changes at once could exceed them.
    """
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
