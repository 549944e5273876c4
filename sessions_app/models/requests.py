"""Requests that create something: a key tells whether one is repeated, and a large file may come in parts."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import F
from django.db.models.functions import Now

from sessions_app.models.recordings import RecordingSession


class IdempotencyKey(models.Model):
    """A row that remembers which job a request created, so that a client may safely repeat the request."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64, help_text="sha256 of what was asked.")
    job = models.ForeignKey("jobs_app.TranscriptionJob", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(F("owner"), F("key"), name="idempotency_key_once_per_owner"),
        ]

    def __str__(self) -> str:
        return self.key


class ResumableUploadQuerySet(models.QuerySet["ResumableUpload"]):
    def unfinished(self) -> ResumableUploadQuerySet:
        return self.filter(session=None)


class ResumableUpload(models.Model):
    """A file that is sent in parts, by the tus protocol. Its bytes so far are in the file of `part_path`.

    When the last part has come, `session` and `job` are made. The row then stays for a while, for a client
    that did not get the answer.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="resumable_uploads"
    )
    length = models.PositiveBigIntegerField(help_text="Of the whole file, in bytes.")
    metadata = models.TextField(blank=True, help_text="As it was sent: file name and options, in base64.")
    created_at = models.DateTimeField(db_default=Now())
    last_part_at = models.DateTimeField(db_default=Now())
    session = models.ForeignKey(
        RecordingSession, on_delete=models.CASCADE, related_name="+", null=True, blank=True
    )
    job = models.ForeignKey(
        "jobs_app.TranscriptionJob", on_delete=models.SET_NULL, related_name="+", null=True, blank=True
    )

    accept_language = ""
    """What the browser says that sends the last part. It is not stored."""

    objects = ResumableUploadQuerySet.as_manager()

    class Meta:
        indexes = [
            # The sweep looks with this index for uploads that have expired.
            models.Index(fields=["last_part_at"], name="resumable_upload_last_part"),
        ]

    def __str__(self) -> str:
        return f"upload of {self.length} bytes"

    @property
    def is_done(self) -> bool:
        return self.session_id is not None

    @property
    def expires_at(self) -> datetime:
        return self.last_part_at + timedelta(seconds=settings.UPLOAD_EXPIRES_S)
