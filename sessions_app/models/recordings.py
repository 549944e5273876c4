"""Recordings."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Case, Count, F, Max, OuterRef, Q, Subquery, Sum, When
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from jobs_app.models import JOB_ACTIVE, JobKind, JobStatus, SoundTrack, TranscriptionJob
from jobs_app.recordings import Arrival
from sessions_app.models.chunks import AudioChunk, AudioChunkQuerySet
from sessions_app.models.edits import Edit
from sessions_app.models.live import LivePiece
from sessions_app.models.prepared import ById

if TYPE_CHECKING:
    from people_app.models import User


class SessionSource(models.TextChoices):
    UPLOAD = "upload"
    RECORDER = "recorder"
    LIVE = "live"
    API = "api"


class SessionState(models.TextChoices):
    """The state of a recording. It follows from `finished_at` and the current job, and is never stored."""

    RECORDING = "recording"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RecordingSessionQuerySet(models.QuerySet["RecordingSession"]):
    def for_user(self, user: User) -> RecordingSessionQuerySet:
        """Return the sessions that this user may see. Every view starts from here."""
        return self.filter(owner=user)

    def with_summary(self) -> RecordingSessionQuerySet:
        """Add `job_status` of the current job, `total_ms` and `n_chunks`, for lists."""
        sounds = SoundTrack.objects.filter(session=OuterRef("pk")).order_by("pk")
        chunks = AudioChunk.objects.filter(session=OuterRef("pk")).order_by().values("session")
        # The columns are given as a dictionary, because the model declares these names already, and the stubs
        # take keywords for new names.
        columns = {
            "job_status": F("current_job__status"),
            # This is the length of the timeline, gaps included. While it is not known, the lengths in the
            # headers of the chunks are added up.
            "total_ms": Coalesce(
                Subquery(sounds.values("duration_ms")[:1]),
                Subquery(chunks.annotate(total=Sum("duration_ms")).values("total")),
                output_field=models.BigIntegerField(),
            ),
            "n_chunks": Subquery(chunks.annotate(n=Count("pk")).values("n")),
        }
        return self.annotate(**columns)

    def untranscribed(self) -> RecordingSessionQuerySet:
        """Return finished sessions without a job: somebody deleted the jobs, and the audio is kept."""
        return self.filter(finished_at__isnull=False, current_job=None)

    def in_state(self, state: str) -> RecordingSessionQuerySet:
        if state == SessionState.RECORDING:
            return self.filter(finished_at=None)
        finished = self.filter(finished_at__isnull=False)
        if state == SessionState.PROCESSING:
            return finished.with_job_in(JOB_ACTIVE)
        if state == SessionState.CANCELLED:
            cancelled = self.order_by().with_job_in([JobStatus.CANCELLED])
            return finished.filter(Q(pk__in=cancelled.values("pk")) | Q(current_job=None))
        return finished.with_job_in([JobStatus(state)])

    def with_job_in(self, statuses: Sequence[str]) -> RecordingSessionQuerySet:
        """Return the sessions whose current job has one of these statuses."""
        # A job has the same owner as its session. An index has owner and status, so that a few jobs of one
        # person are found without reading the others.
        return self.filter(current_job__owner=F("owner"), current_job__status__in=statuses)


def _arrivals(session_ids: list[uuid.UUID]) -> models.QuerySet[Any, Any]:
    pieces = LivePiece.objects.filter(session=OuterRef("pk")).order_by("-first_sample")
    chunks = AudioChunk.objects.filter(session=OuterRef("pk")).order_by().values("session")
    rows = RecordingSession.objects.order_by().filter(pk__in=session_ids)
    return rows.values_list(
        "pk",
        Subquery(pieces.values("first_sample")[:1]),
        Subquery(chunks.annotate(n=Count("pk")).values("n")),
        "finished_at",
    )


_ARRIVALS = ById(_arrivals)


class RecordingSession(models.Model):
    """A recording. Its audio is its chunks, in the order of their numbers.

    One of its jobs is the current one. Lists, states, search and pages show this job: the last one that
    completed, or the newest while none has completed. A refinement takes the place only of a transcript that
    nobody has edited, unless somebody chooses it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="recording_sessions",
        db_index=False,
    )
    current_job = models.OneToOneField(
        "jobs_app.TranscriptionJob", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    title = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=10, choices=SessionSource.choices)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(
        null=True, blank=True, help_text="When its recorder last said that it is there without sending audio."
    )

    # `with_summary()` adds these.
    job_status: str | None
    total_ms: int | None
    n_chunks: int | None

    objects = RecordingSessionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(source__in=SessionSource.values), name="session_source_known"),
        ]
        indexes = [
            # This index is for a person's list, newest first, and for counting it without reading the rows.
            # It ascends and is read backwards: if new entries were always added in front, the pages of the
            # index would stay half empty.
            models.Index(
                fields=["owner", "started_at", "id", "current_job", "finished_at"],
                name="session_owner_newest",
            ),
            # Staff see the list of all recordings by this index.
            models.Index(fields=["-started_at", "-id"], name="session_newest"),
            # This index finds the recordings without a job, which are few.
            models.Index(
                fields=["owner", "started_at", "id"],
                condition=Q(current_job=None),
                name="session_without_job",
            ),
            # The sweep looks with this index for recordings that are not finished, which are few.
            models.Index(fields=["started_at"], condition=Q(finished_at=None), name="session_recording"),
        ]

    def __str__(self) -> str:
        return self.title or f"Recording of {timezone.localtime(self.started_at):%Y-%m-%d %H:%M}"

    def lock(self) -> RecordingSession | None:
        """Lock the row in this transaction, and return it as it is now, or None if it was deleted."""
        return RecordingSession.objects.select_for_update(no_key=True).filter(pk=self.pk).first()

    def chunks_in_order(self) -> AudioChunkQuerySet:
        columns = {"age": Now() - F("received_at")}  # a dictionary, as in with_summary()
        return self.chunks.annotate(**columns).order_by("number")

    def chunk_ids(self) -> set[uuid.UUID]:
        return set(self.chunks.order_by().values_list("pk", flat=True))

    def newest_chunk(self) -> tuple[int, datetime | None]:
        stored = self.chunks.aggregate(n=Count("pk"), last=Max("received_at"))
        return stored["n"], stored["last"]

    def is_in_pieces(self) -> bool:
        return self.chunks.count() > 1 or self.chunks.filter(number__gt=0).exists()

    def may_have_several_tracks(self) -> bool:
        return self.chunks.filter(continues=False).exclude(audio_tracks=1).exists()

    @classmethod
    def arrivals(cls, session_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Arrival]:
        return {
            pk: Arrival(newest, n_chunks or 0, finished=finished_at is not None)
            for pk, newest, n_chunks, finished_at in _ARRIVALS(session_ids)
        }

    def plain_sound_from(self, first_sample: int, most: int) -> bytes | None:
        # A chunk and the removal of its pieces are one transaction. So what is in no piece any more is in a
        # chunk that the second query finds.
        if sound := LivePiece.objects.of(self.pk).sound_from(first_sample, most):
            return sound
        return AudioChunk.objects.filter(session=self.pk).plain_sound_from(first_sample, most)

    def edited_segments(self, job: TranscriptionJob) -> set[int]:
        edits = Edit.objects.in_force().filter(job=job).order_by()
        return set(edits.values_list("segment_number", flat=True))

    def job_started(self, job: TranscriptionJob) -> None:
        """Make a new job the current one, unless there is a transcript already."""
        # The current job may have completed since this row was read.
        self.refresh_from_db(fields=["current_job"])
        if self.current_job is None or self.current_job.status != JobStatus.COMPLETED:
            self._set_current(job)

    def job_completed(self, job: TranscriptionJob) -> None:
        """Make a completed job the current one. A refinement is only offered beside a transcript that
        somebody has edited or asked for since.

        The caller holds the lock that `lock` takes, and the lock on `job`.
        """
        if job.kind == JobKind.RUN or self._gives_way_to(job):
            self._set_current(job)

    def _gives_way_to(self, refinement: TranscriptionJob) -> bool:
        if self.current_job_id is None:
            return True
        # Whoever edits a transcript holds the lock on its job.
        current = TranscriptionJob.objects.select_for_update().get(pk=self.current_job_id)
        if current.status != JobStatus.COMPLETED:
            return True
        newer = current.created_at > refinement.created_at
        edited = Edit.objects.filter(job=current).exists()
        merged = current.speakers.exclude(merged_into=None).exists()
        # Somebody may have asked for speakers, or for another number of them, after the refinement was begun.
        asked = _speakers_wished(current) != _speakers_wished(refinement)
        return not (newer or edited or merged or asked) and refinement.segments.exists()

    def use_job(self, job: TranscriptionJob) -> bool:
        """Make a completed job of this recording the current one. Return False if it is gone."""
        with transaction.atomic():
            session = self.lock()
            completed = self.jobs.filter(pk=job.pk, status=JobStatus.COMPLETED)
            if session is None or not completed.exists():
                return False
            session._set_current(job)
        return True

    def job_deleted(self) -> None:
        """Make another job the current one, if the current one was deleted.

        The caller holds the lock that `lock` takes.
        """
        self.refresh_from_db(fields=["current_job"])
        if self.current_job_id is None:
            completed_first = Case(When(status=JobStatus.COMPLETED, then=0), default=1)
            self._set_current(self.jobs.order_by(completed_first, "-created_at", "-pk").first())

    def _set_current(self, job: TranscriptionJob | None) -> None:
        self.current_job = job
        self.save(update_fields=["current_job"])

    @property
    def state(self) -> str:
        """One of SessionState. It costs a query, unless the row came from `with_summary()`."""
        if self.finished_at is None:
            return SessionState.RECORDING
        if hasattr(self, "job_status"):
            status = self.job_status
        else:
            status = self.current_job.status if self.current_job else None
        if status in (JobStatus.PENDING, JobStatus.PROCESSING):
            return SessionState.PROCESSING
        if status is None:
            # Somebody deleted the jobs. Nothing is being done, and there is no transcript.
            return SessionState.CANCELLED
        return SessionState(status)


def _speakers_wished(job: TranscriptionJob) -> tuple[bool, int | None, int | None, int | None]:
    options = job.short_options
    return options.diarize, options.num_speakers, options.min_speakers, options.max_speakers
