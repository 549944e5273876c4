"""Voices that people have saved under names, and for which speakers of later jobs they are suggested.

They are personal (biometric) data, kept because their owner asked for it. Nobody else ever gets them, and
nothing reads a vector but the comparison with the voices of the owner's later recordings.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from jobs_app.models.jobs import TranscriptionJob
from jobs_app.models.speakers import LONGEST_NAME
from jobs_app.models.vocabulary import OwnedQuerySet

LEAST_SAVED_MS = 10_000
"""So much of a voice has to be heard alone before it can be saved."""


class KnownVoice(models.Model):
    """A voice that its owner has saved under a name. It stays until it is deleted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_voices", db_index=False
    )
    name = models.CharField(max_length=LONGEST_NAME)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="known_voice_name_not_empty"),
            models.UniqueConstraint(fields=["owner", "name"], name="known_voice_name_once_per_owner"),
        ]

    def __str__(self) -> str:
        # Without the name, because staff see this.
        return f"voice {self.pk}"


class KnownVoiceSample(models.Model):
    """What a known voice sounds like in one recording. It outlives the recording and its job."""

    voice = models.ForeignKey(KnownVoice, on_delete=models.CASCADE, related_name="samples", db_index=False)
    packed = models.BinaryField(help_text="One vector, as `speech.speakers` packs it, with a version.")
    clean_ms = models.PositiveIntegerField(help_text="How much speech it is the mean of.")
    job = models.ForeignKey(
        TranscriptionJob,
        on_delete=models.SET_NULL,
        related_name="+",
        null=True,
        help_text="Where it is from; null: that was deleted.",
    )
    saved_at = models.DateTimeField()

    class Meta:
        ordering = ["-saved_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["voice", "job"], name="known_voice_sample_once_per_job"),
        ]

    def __str__(self) -> str:
        return f"sample of voice {self.voice_id}"


class VoiceSuggestion(models.Model):
    """A speaker of a job sounds like a known voice.

    Each voice is suggested once in a job. If people say that it is wrong, the row stays, so that they are not
    asked again.
    """

    job = models.ForeignKey(
        TranscriptionJob, on_delete=models.CASCADE, related_name="voice_suggestions", db_index=False
    )
    voice = models.ForeignKey(KnownVoice, on_delete=models.CASCADE, related_name="suggestions")
    label = models.CharField(max_length=40, help_text="Of the speaker.")
    certainty = models.FloatField(default=0, help_text="How alike the voices are, up to 1.")
    rejected = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "voice"], name="voice_suggested_once_per_job"),
        ]

    def __str__(self) -> str:
        return f"voice {self.voice_id} in job {self.job_id}"
