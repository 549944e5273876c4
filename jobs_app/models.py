"""What the computer does with recordings: jobs, their units of work, and the transcript.

Only `jobs_app.lifecycle`, `jobs_app.failures` and `jobs_app.claims` change a `status`.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Sum
from django.db.models.functions import Now

from jobs_app import vocabulary_models  # noqa: F401  more models of this app

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


RUNNER_SILENT_AFTER = timedelta(seconds=30)


class JobStatus(models.TextChoices):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


JOB_ACTIVE = (JobStatus.PENDING, JobStatus.PROCESSING)
JOB_ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobStage(models.TextChoices):
    """Where an active job is, for people."""

    WAITING = "waiting"
    PREPARING = "preparing"
    TRANSCRIBING = "transcribing"
    FINISHING = "finishing"
    ENDED = "ended"


class JobPriority(models.TextChoices):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class TranscriptionJobQuerySet(models.QuerySet["TranscriptionJob"]):
    def for_user(self, user: User | AnonymousUser) -> TranscriptionJobQuerySet:
        """The jobs this user may see. Every view starts from here."""
        return self.filter(session__owner=user)

    def active(self) -> TranscriptionJobQuerySet:
        return self.filter(status__in=JOB_ACTIVE)

    def search(self, words: str) -> TranscriptionJobQuerySet:
        """Jobs with `words` in their title, file name or transcript."""
        return self.filter(
            Q(session__title__icontains=words) | Q(filename__icontains=words) | Q(transcript__icontains=words)
        )


class TranscriptionJob(models.Model):
    """One run over a session with given options: the job history.

    PENDING -> PROCESSING -> COMPLETED | FAILED;  PENDING | PROCESSING -> CANCELLED;
    FAILED -> PENDING (retry).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(
        "sessions_app.RecordingSession", on_delete=models.CASCADE, related_name="jobs"
    )
    filename = models.CharField(max_length=255, blank=True, help_text="The name the audio was sent under.")

    engine = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    language = models.CharField(max_length=10, blank=True, help_text="ISO 639-1; empty: find out.")
    translate_to = models.CharField(max_length=10, blank=True)
    with_diarization = models.BooleanField(default=False)
    num_speakers = models.PositiveSmallIntegerField(null=True, blank=True)
    prompt = models.TextField(blank=True)
    temperature = models.FloatField(null=True, blank=True, help_text="Empty: as the engine likes.")
    fallback_engine = models.CharField(
        max_length=40, blank=True, help_text="Does the windows that `engine` has failed at for good."
    )
    fallback_model = models.CharField(max_length=200, blank=True)
    priority = models.CharField(max_length=6, choices=JobPriority.choices, default=JobPriority.NORMAL)
    interactive = models.BooleanField(
        default=False,
        help_text="Somebody waits for it while it is recorded or sent: comes before all others.",
    )

    status = models.CharField(max_length=10, choices=JobStatus.choices, default=JobStatus.PENDING)
    stage = models.CharField(max_length=12, choices=JobStage.choices, default=JobStage.WAITING)
    progress = models.PositiveSmallIntegerField(default=0, help_text="0 to 100; never falls during a run.")
    attempt = models.PositiveSmallIntegerField(default=1, help_text="Raised by each retry.")
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True, help_text="When it ended, however it ended.")

    duration_ms = models.PositiveBigIntegerField(null=True, blank=True, help_text="Of the audio.")
    decode_report = models.JSONField(default=dict, blank=True)
    planned_ms = models.PositiveBigIntegerField(default=0, help_text="Where the last window so far ends.")
    planned = models.BooleanField(default=False, help_text="All the audio has come and is cut into windows.")
    gaps = models.JSONField(
        default=list, blank=True, help_text="Stretches without audio: {start_ms, end_ms, chunk, reason}."
    )
    detected_language = models.CharField(max_length=10, blank=True)
    language_confidence = models.FloatField(null=True, blank=True)
    raw_text = models.TextField(blank=True, help_text="What the engine said.")
    transcript = models.TextField(blank=True, help_text="The same, corrected.")
    total_segments = models.PositiveIntegerField(default=0)
    total_words = models.PositiveIntegerField(default=0)
    average_confidence = models.FloatField(null=True, blank=True)
    speech_span_ms = models.PositiveBigIntegerField(
        default=0, help_text="From the start of the first segment to the end of the last."
    )
    speaking_ms = models.PositiveBigIntegerField(default=0, help_text="How long somebody speaks.")
    word_counts = models.JSONField(default=dict, blank=True)
    timing = models.CharField(
        max_length=8, blank=True, help_text="The coarsest times of its text: words, segments or window."
    )
    provider_requests = models.PositiveIntegerField(default=0, help_text="To providers, failed ones too.")
    provider_audio_ms = models.PositiveBigIntegerField(default=0, help_text="That providers transcribed.")
    provider_cost = models.DecimalField(
        max_digits=12, decimal_places=6, default=0, help_text="Of that audio, at the price of its time."
    )

    objects = TranscriptionJobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=JobStatus.values), name="job_status_known"),
            models.CheckConstraint(condition=Q(stage__in=JobStage.values), name="job_stage_known"),
            models.CheckConstraint(condition=Q(priority__in=JobPriority.values), name="job_priority_known"),
            models.CheckConstraint(condition=Q(progress__lte=100), name="job_progress_at_most_100"),
            models.CheckConstraint(
                condition=Q(status__in=JOB_ACTIVE, completed_at=None)
                | Q(status__in=JOB_ENDED, completed_at__isnull=False),
                name="job_completed_at_when_ended",
            ),
            # Two quick clicks on "Transcribe again" must not start two jobs.
            models.UniqueConstraint(
                fields=["session"], condition=Q(status__in=JOB_ACTIVE), name="one_active_job_per_session"
            ),
        ]
        indexes = [
            # For the newest job of a session and the history.
            models.Index(fields=["session", "-created_at"], name="job_session_newest"),
            models.Index(fields=["status", "-created_at"], name="job_status_newest"),
            # For the lists of all jobs, which staff see.
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}"


class WorkStatus(models.TextChoices):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


WORK_OPEN = (WorkStatus.WAITING, WorkStatus.RUNNING)


class LeasedWork(models.Model):
    """One unit of work that a worker claims, holds on a lease, and finishes.

    WAITING -> RUNNING -> DONE | FAILED | WAITING (again, not before `not_before`);
    WAITING | RUNNING -> CANCELLED.  FAILED | CANCELLED -> WAITING when its job is retried.

    `rank`, `owner` and `queued_at` repeat what the job says, because the claim orders by them and may
    look at no other table.
    """

    job = models.ForeignKey(TranscriptionJob, on_delete=models.CASCADE, related_name="%(class)ss")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    rank = models.PositiveSmallIntegerField(help_text="Lowest first: lane, then priority.")
    queued_at = models.DateTimeField(help_text="When the job was created: oldest first.")

    status = models.CharField(max_length=10, choices=WorkStatus.choices, default=WorkStatus.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Raised at each claim.")
    not_before = models.DateTimeField(db_default=Now())
    lease_token = models.CharField(
        max_length=32, blank=True, help_text="Of the run that may store its result."
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=100, blank=True, help_text="host:pid of the last run.")
    progress_ms = models.PositiveBigIntegerField(default=0, help_text="Audio done in this run.")
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(condition=Q(status__in=WorkStatus.values), name="%(class)s_status_known"),
            models.CheckConstraint(
                condition=(Q(status=WorkStatus.RUNNING) & ~Q(lease_token="") & Q(lease_until__isnull=False))
                | (~Q(status=WorkStatus.RUNNING) & Q(lease_token="") & Q(lease_until=None)),
                name="%(class)s_lease_when_running",
            ),
        ]
        indexes = [
            # For the claim. Most rows are done.
            models.Index(
                fields=["rank", "owner", "queued_at"],
                condition=Q(status=WorkStatus.WAITING),
                name="%(class)s_waiting",
            ),
            # For the sweeper and for counting an owner's running work. Few rows are running.
            models.Index(
                fields=["owner", "lease_until"],
                condition=Q(status=WorkStatus.RUNNING),
                name="%(class)s_running",
            ),
        ]


class StepKind(models.TextChoices):
    PREPARE = "prepare"
    FINISH = "finish"
    JOIN = "join"


class JobStep(LeasedWork):
    """What a job needs beside its windows.

    PREPARE decodes and plans; while a session is being recorded, again for each piece of it. FINISH joins the
    windows' text. JOIN makes one file of a recording in pieces, for listening, when the job has ended.
    """

    kind = models.CharField(max_length=8, choices=StepKind.choices)

    class Meta(LeasedWork.Meta):
        constraints = [
            *LeasedWork.Meta.constraints,
            models.CheckConstraint(condition=Q(kind__in=StepKind.values), name="jobstep_kind_known"),
            models.UniqueConstraint(fields=["job", "kind"], name="step_once_per_job"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of job {self.job_id}"


class ChunkTranscription(LeasedWork):
    """The cached result of one window of a job: the span `[start_ms, end_ms)` of the session's timeline."""

    number = models.PositiveIntegerField()
    start_ms = models.PositiveBigIntegerField()
    end_ms = models.PositiveBigIntegerField()
    speech_ms = models.PositiveBigIntegerField(help_text="How much of it is speech; 0 needs no engine.")
    engine = models.CharField(max_length=40, blank=True, help_text="That is to do it, or did it.")
    model = models.CharField(max_length=200, blank=True)
    fallback_reason = models.TextField(blank=True, help_text="Why the job's first engine did not do it.")
    outage_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when it fails only because its provider is away."
    )
    requests = models.PositiveIntegerField(default=0, help_text="To providers, failed ones too.")
    timing = models.CharField(max_length=8, blank=True, help_text="The finest times of its text.")
    raw_text = models.TextField(blank=True, help_text="What the engine said.")
    corrected_text = models.TextField(blank=True)
    word_counts = models.JSONField(default=dict, blank=True)
    detected_language = models.CharField(max_length=10, blank=True)
    language_confidence = models.FloatField(null=True, blank=True)

    class Meta(LeasedWork.Meta):
        ordering = ["job", "number"]
        verbose_name = "window"
        constraints = [
            *LeasedWork.Meta.constraints,
            models.UniqueConstraint(fields=["job", "number"], name="window_number_once_per_job"),
            models.CheckConstraint(condition=Q(start_ms__lt=F("end_ms")), name="window_not_empty"),
        ]

    def __str__(self) -> str:
        return f"window {self.number} of job {self.job_id}"

    @property
    def duration_ms(self) -> int:
        return self.end_ms - self.start_ms


class ProviderState(models.Model):
    """What all workers of all machines know of a provider: whether it answers, and when to ask it again.

    It is down from the failure that opens its circuit breaker to the next success. While `paused_until` is in
    the future nobody asks it; after that, as long as it is down, one window at a time does.
    """

    name = models.CharField(max_length=40, unique=True)
    failures = models.PositiveIntegerField(default=0, help_text="Outages in a row.")
    requests = models.PositiveBigIntegerField(default=0, help_text="Sent to it so far, failed ones too.")
    down_since = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    next_request_at = models.DateTimeField(
        null=True, blank=True, help_text="The earliest that its rate allows; empty: no limit."
    )
    last_error_code = models.CharField(max_length=40, blank=True)
    last_error = models.TextField(blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "provider"

    def __str__(self) -> str:
        return self.name


class SegmentKind(models.TextChoices):
    INTERIM = "interim"
    FINAL = "final"


class Segment(models.Model):
    """One stretch of speech in the transcript, on the session's timeline.

    `words`: a list of {start_ms, end_ms, word, confidence}; empty where the engine gives no word times.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(TranscriptionJob, on_delete=models.CASCADE, related_name="segments")
    window = models.ForeignKey(ChunkTranscription, on_delete=models.CASCADE, related_name="segments")
    number = models.PositiveIntegerField(help_text="Place in its window.")
    kind = models.CharField(max_length=7, choices=SegmentKind.choices, default=SegmentKind.FINAL)
    start_ms = models.PositiveBigIntegerField()
    end_ms = models.PositiveBigIntegerField()
    raw_text = models.TextField(blank=True, help_text="What the engine said.")
    text = models.TextField(help_text="The same, corrected.")
    confidence = models.FloatField(null=True, blank=True)
    speaker = models.CharField(max_length=40, blank=True)
    raw_words = models.JSONField(default=list, blank=True, help_text="Empty: the same as `words`.")
    words = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["start_ms", "number"]
        constraints = [
            models.UniqueConstraint(fields=["window", "number"], name="segment_number_once_per_window"),
            models.CheckConstraint(condition=Q(start_ms__lte=F("end_ms")), name="segment_ends_after_start"),
            models.CheckConstraint(condition=Q(kind__in=SegmentKind.values), name="segment_kind_known"),
        ]
        indexes = [models.Index(fields=["job", "start_ms"], name="segment_job_start")]

    def __str__(self) -> str:
        return self.text


class RunnerQuerySet(models.QuerySet["Runner"]):
    def alive(self) -> RunnerQuerySet:
        """Runners that reported lately and whose workers lately proved that they take work."""
        return self.filter(
            beat_at__gt=Now() - RUNNER_SILENT_AFTER,
            proven_at__gt=Now() - timedelta(seconds=2 * settings.STALL_AFTER_S),
        )

    def alive_workers(self) -> int:
        return self.alive().aggregate(n=Sum("workers"))["n"] or 0


class Runner(models.Model):
    """A `jobrunner` process and the workers under it, as they last reported."""

    name = models.CharField(max_length=100, unique=True, help_text="host:pid")
    workers = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(help_text="When the process last reported.")
    proven_at = models.DateTimeField(null=True, help_text="When one of its workers last ran something.")
    restarts = models.PositiveIntegerField(default=0, help_text="How often its workers were replaced.")

    objects = RunnerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
