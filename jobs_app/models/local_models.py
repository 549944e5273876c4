"""What staff decided about the models of the local engine."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class LocalModel(models.Model):
    """A model of the local engine, as staff wish it to be offered. Without a wish, the settings count.

    Whether it is installed is no fact of the database: each machine has its own folder of models.
    """

    name = models.CharField(max_length=200, unique=True)
    offered = models.BooleanField(
        null=True, blank=True, help_text="Whether people may choose it; empty: as LOCAL_MODELS says."
    )
    is_default = models.BooleanField(
        default=False, db_default=False, help_text="Instead of the one in LOCAL_MODEL."
    )

    class Meta:
        ordering = ["id"]
        verbose_name = "speech model"
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="one_default_model"
            ),
        ]

    def __str__(self) -> str:
        return self.name
