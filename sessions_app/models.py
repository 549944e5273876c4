"""What was recorded: sessions and the audio they are made of."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Count, F, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, Now

from jobs_app.models import JobStatus, TranscriptionJob
from speech.types import SAMPLE_RATE

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


SAMPLES_PER_MS = SAMPLE_RATE // 1000


class SessionSource(models.TextChoices):
    UPLOAD = "upload"
    RECORDER = "recorder"
    LIVE = "live"
    API = "api"


class SessionState(models.TextChoices):
    """Derived, never stored: from `finished_at` and the newest job."""

    RECORDING = "recording"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RecordingSessionQuerySet(models.QuerySet["RecordingSession"]):
    def for_user(self, user: User | AnonymousUser) -> RecordingSessionQuerySet:
        """The sessions this user may see. Every view starts from here."""
        return self.filter(owner=user)

    def with_summary(self) -> RecordingSessionQuerySet:
        """Adds `job_status` of the newest job, `total_ms` and `n_chunks`, for lists."""
        newest = TranscriptionJob.objects.filter(session=OuterRef("pk")).order_by("-created_at", "-pk")
        chunks = AudioChunk.objects.filter(session=OuterRef("pk")).order_by().values("session")
        return self.annotate(
            job_status=Subquery(newest.values("status")[:1]),
            # The end of the last one on the timeline, which has gaps; before that is known, their lengths.
            total_ms=Subquery(
                chunks.annotate(
                    total=Coalesce(
                        Max(F("start_sample") + F("sample_count")) / SAMPLES_PER_MS,
                        Sum("duration_ms"),
                        output_field=models.BigIntegerField(),
                    )
                ).values("total")
            ),
            n_chunks=Subquery(chunks.annotate(n=Count("pk")).values("n")),
        )

    def untranscribed(self) -> RecordingSessionQuerySet:
        """Finished ones without a job: someone deleted them, and the audio is kept."""
        return self.filter(finished_at__isnull=False, jobs=None)

    def in_state(self, state: str) -> RecordingSessionQuerySet:
        if state == SessionState.RECORDING:
            return self.filter(finished_at=None)
        finished = self.with_summary().filter(finished_at__isnull=False)
        if state == SessionState.PROCESSING:
            return finished.filter(job_status__in=(JobStatus.PENDING, JobStatus.PROCESSING))
        if state == SessionState.CANCELLED:
            return finished.filter(Q(job_status=state) | Q(job_status=None))
        return finished.filter(job_status=state)


class RecordingSession(models.Model):
    """What was recorded. Its audio is its chunks, in order of their number."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recording_sessions"
    )
    title = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=10, choices=SessionSource.choices)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(
        null=True, blank=True, help_text="When its recorder last said that it is there without sending audio."
    )
    joined = models.FileField(
        upload_to="audio", max_length=200, blank=True, help_text="Of a recording in pieces: all of it."
    )
    joined_bytes = models.PositiveBigIntegerField(null=True, blank=True)

    objects = RecordingSessionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(source__in=SessionSource.values), name="session_source_known"),
        ]
        indexes = [
            # For a person's list, newest first.
            models.Index(fields=["owner", "-started_at"], name="session_owner_newest"),
            # For the sweeper, which looks for recordings that nobody finished. Few are not.
            models.Index(fields=["started_at"], condition=Q(finished_at=None), name="session_recording"),
        ]

    def __str__(self) -> str:
        return self.title or f"Recording of {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def newest_job(self) -> TranscriptionJob | None:
        return self.jobs.order_by("-created_at", "-pk").first()

    @property
    def state(self) -> str:
        """One of SessionState. Costs a query unless the row came from `with_summary()`."""
        if self.finished_at is None:
            return SessionState.RECORDING
        if hasattr(self, "job_status"):
            status = self.job_status
        else:
            status = job.status if (job := self.newest_job) else None
        if status in (JobStatus.PENDING, JobStatus.PROCESSING):
            return SessionState.PROCESSING
        if status is None:
            # Someone deleted its jobs: nothing is being done, and there is no transcript.
            return SessionState.CANCELLED
        return SessionState(status)


class AudioChunk(models.Model):
    """One stored piece of a session's audio, as it arrived.

    `duration_ms` is measured while decoding; until then it is what the header says, or None.
    `start_sample` and `sample_count`, at 16 kHz, are its place on the session's timeline once it is known.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(RecordingSession, on_delete=models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    file = models.FileField(upload_to="audio", max_length=200)
    filename = models.CharField(max_length=255, blank=True, help_text="The name it was sent under.")
    container = models.CharField(max_length=60, blank=True)
    codec = models.CharField(max_length=60, blank=True)
    continues = models.BooleanField(
        default=False, help_text="Part of a stream whose header came with an earlier piece."
    )
    claimed_ms = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="The length its sender gives; used where it cannot be decoded."
    )
    duration_ms = models.PositiveBigIntegerField(null=True, blank=True)
    start_sample = models.PositiveBigIntegerField(null=True, blank=True)
    sample_count = models.PositiveBigIntegerField(null=True, blank=True)
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["session", "number"], name="chunk_number_once_per_session"),
            models.CheckConstraint(condition=Q(size_bytes__gt=0), name="chunk_not_empty"),
        ]

    def __str__(self) -> str:
        return f"chunk {self.number} of {self.session_id}"


class IdempotencyKey(models.Model):
    """Remembers the answer to a creating request, so that a client may safely repeat it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
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
    """A file that is sent in parts, by tus. What has come of it is a file of its own (`tus.part_path`).

    With the last part `session` and `job` are made of it. The row stays for a while, for a client that has
    not heard the answer.
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

    objects = ResumableUploadQuerySet.as_manager()

    class Meta:
        indexes = [
            # For the sweep, which looks for those that have expired.
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
