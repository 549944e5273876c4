"""Whose turn it is. There is one row for each person and lane, which the claim reads and writes."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Turn(models.Model):
    """When work of a person was last given to a worker.

    A lane is what the work waits for: the slots of the provider `engine`, or those of the workers if `engine`
    is empty; and whether it comes before all others because somebody waits for it.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    engine = models.CharField(max_length=40, blank=True, help_text="A provider; empty: the workers.")
    interactive = models.BooleanField(default=False)
    served_at = models.DateTimeField(null=True, blank=True, help_text="Who was served longest ago is next.")
    begun = models.BooleanField(
        default=False, help_text="A step was given, which is one turn together with the window after it."
    )
    passed = models.PositiveSmallIntegerField(
        default=0, help_text="How many units of shorter jobs in a row have gone before the oldest job."
    )
    spent_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then interactive work does not come before that of others."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "engine", "interactive"], name="turn_once_per_lane"),
        ]

    def __str__(self) -> str:
        return f"turn of {self.owner_id}"
