"""What a person wants changed in transcripts, and what is counted in them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, TypeVar

from django.conf import settings
from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from people_app.models import User

Owned = TypeVar("Owned", bound=models.Model)

LONGEST_PHRASE = 200
"""In characters: the longest text to find, replacement and target word."""


class OwnedQuerySet(models.QuerySet[Owned]):
    def for_user(self, user: User) -> OwnedQuerySet[Owned]:
        """Return what belongs to this user. Every view starts from here."""
        return self.filter(owner=user)


class Correction(models.Model):
    """A rule that `from_text` becomes `to_text` in its owner's transcripts.

    See `speech.text.corrections.Replacement`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="corrections", db_index=False
    )
    from_text = models.CharField("From", max_length=LONGEST_PHRASE, help_text="A word or phrase.")
    to_text = models.CharField(
        "To", max_length=LONGEST_PHRASE, blank=True, help_text="What it becomes; empty: it is removed."
    )
    whole_word = models.BooleanField(
        "Whole words only", default=True, help_text="Not as a part of a longer word."
    )
    match_case = models.BooleanField(
        "Match case", default=False, help_text="Only where capitals and small letters are the same."
    )

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["from_text", "match_case", "pk"]
        constraints = [
            models.CheckConstraint(condition=~Q(from_text=""), name="correction_from_not_empty"),
            models.UniqueConstraint(
                fields=["owner", "from_text", "match_case"], name="correction_once_per_owner"
            ),
        ]

    def __str__(self) -> str:
        return f"“{self.from_text}” → “{self.to_text}”" if self.to_text else f"“{self.from_text}” → nothing"


class TargetList(models.Model):
    """Words and phrases that are counted in the transcripts of their owner."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="target_lists", db_index=False
    )
    name = models.CharField(max_length=100)
    # The words of a list are always read and written together.
    words = models.JSONField(default=list, blank=True, help_text="Words and phrases, as they were written.")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="target_list_name_not_empty"),
            models.UniqueConstraint(fields=["owner", "name"], name="target_list_name_once_per_owner"),
        ]

    def __str__(self) -> str:
        return self.name
