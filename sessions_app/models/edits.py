"""The changes that people make in a transcript."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class EditKind(models.TextChoices):
    TEXT = "text"
    SPEAKER = "speaker"
    BREAK = "break"


class EditQuerySet(models.QuerySet["Edit"]):
    def in_force(self) -> EditQuerySet:
        """Return the last edit of each kind for each segment. The others are history."""
        return self.filter(superseded_by=None)


class Edit(models.Model):
    """One change that a person made in one segment. Edits are kept apart from what the engine said.

    Rows are only added. A later edit of the same kind supersedes the one before it; taking an edit back adds
    an edit, too. If two people change the same thing at once, both edits supersede the same edit, or none;
    the database accepts only one of them. Whoever adds an edit holds the lock on its job, so that no
    refinement takes the place of a transcript that is being edited.
    """

    job = models.ForeignKey(
        "jobs_app.TranscriptionJob",
        on_delete=models.CASCADE,
        related_name="edits",
        db_index=False,  # another index begins with it
    )
    segment_number = models.PositiveIntegerField(
        help_text="Of the segment within the job. It has no foreign key: no run may take an edit away."
    )
    kind = models.CharField(max_length=7, choices=EditKind.choices)
    value = models.JSONField(
        null=True,
        help_text="A text, a speaker, or whether a paragraph begins; null: as it was before all edits.",
    )
    supersedes = models.OneToOneField(
        "self", on_delete=models.CASCADE, related_name="superseded_by", null=True, blank=True
    )
    step = models.UUIDField(
        default=uuid.uuid4, help_text="The same for all edits that were made, and are taken back, at once."
    )
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True
    )
    made_at = models.DateTimeField(db_default=Now())

    objects = EditQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=EditKind.values), name="edit_kind_known"),
            models.UniqueConstraint(
                fields=["job", "segment_number", "kind"],
                condition=Q(supersedes=None),
                name="edit_first_once",
            ),
        ]
        indexes = [
            # This index finds all edits of a transcript. The index of the constraint has only the first ones.
            models.Index(fields=["job", "segment_number"], name="edit_job_segment"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of segment {self.segment_number} of job {self.job_id}"
