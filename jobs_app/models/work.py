"""Units of work: the windows of a job, and its steps."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from jobs_app.models.jobs import TranscriptionJob
from jobs_app.models.sound import SoundTrack


class WorkStatus(models.TextChoices):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


WORK_OPEN = (WorkStatus.WAITING, WorkStatus.RUNNING)
UNKNOWN_LEFT_MS = 600_000
"""The assumed length of a job while nobody knows it.

It is short enough that the job does not wait as a long one does. Preparing the job shows its real length.
"""


class LeasedWork(models.Model):
    """One unit of work, which a worker claims, holds on a lease, and finishes.

    WAITING -> RUNNING -> DONE | FAILED | WAITING (again, not before `not_before`); WAITING | RUNNING ->
    CANCELLED.  FAILED | CANCELLED -> WAITING when its job is retried.

    `rank`, `owner`, `queued_at` and `left_ms` repeat what the job says, because the claim orders by them and
    may read no other table.
    """

    # A window always has one.
    job = models.ForeignKey(TranscriptionJob, on_delete=models.CASCADE, related_name="+", null=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    rank = models.PositiveSmallIntegerField(help_text="As `ranks` says: who waits, and priority.")
    queued_at = models.DateTimeField(help_text="When the job was created.")
    left_ms = models.PositiveBigIntegerField(
        default=UNKNOWN_LEFT_MS,
        db_default=UNKNOWN_LEFT_MS,
        help_text="How much audio its job has left, noted anew when that has halved: least first.",
    )

    status = models.CharField(max_length=10, choices=WorkStatus.choices, default=WorkStatus.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Raised at each claim.")
    not_before = models.DateTimeField(db_default=Now())
    lease_token = models.CharField(
        max_length=32, blank=True, help_text="Of the run that may store its result."
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=100, blank=True, help_text="host:pid of the last run.")
    progress_ms = models.PositiveBigIntegerField(default=0, help_text="Audio done in this run.")
    outage_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when it fails only because its provider is away."
    )
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
            # This is for the sweeper, and for counting an owner's running work. Few rows are running.
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
    CORRECT = "correct"
    LIVE = "live"
    SPEAKERS = "speakers"
    TRANSLATE = "translate"


class JobStep(LeasedWork):
    """What a job or its sound needs beside windows.

    PREPARE decodes the audio and plans windows; while a session is being recorded, again for each piece of
    it. FINISH joins the texts of the windows. After the job has ended, CORRECT applies its owner's
    corrections anew. JOIN makes one file of the sound of a recording in pieces, for listening. It belongs to
    the sound and to no job, so that it neither delays a job nor ends with it. LIVE hears a recording while it
    is spoken; live hosts do it, and no worker. SPEAKERS hears the voices in windows where that has not been
    done, again and again while a recording goes on, and tells the speakers apart when all windows are done;
    after the job has ended, again when somebody says how many there are. TRANSLATE sends the segments to the
    translator, some at a time: it waits again after each time, and for slots of the translator as windows of
    providers do.
    """

    job = models.ForeignKey(
        TranscriptionJob,
        on_delete=models.CASCADE,
        related_name="steps",
        null=True,
        blank=True,
        db_index=False,
    )
    sound = models.ForeignKey(
        SoundTrack, on_delete=models.CASCADE, related_name="steps", null=True, blank=True, db_index=False
    )
    kind = models.CharField(max_length=12, choices=StepKind.choices)

    class Meta(LeasedWork.Meta):
        constraints = [
            *LeasedWork.Meta.constraints,
            models.CheckConstraint(condition=Q(kind__in=StepKind.values), name="jobstep_kind_known"),
            models.UniqueConstraint(fields=["job", "kind"], name="step_once_per_job"),
            models.UniqueConstraint(fields=["sound", "kind"], name="step_once_per_sound"),
            models.CheckConstraint(
                condition=Q(kind=StepKind.JOIN, job=None, sound__isnull=False)
                | Q(~Q(kind=StepKind.JOIN), job__isnull=False, sound=None),
                name="step_of_job_or_of_sound",
            ),
        ]
        indexes = [
            *LeasedWork.Meta.indexes,
            # These are for the claim, as those of windows. Most rows are done.
            models.Index(
                fields=["rank", "owner", "left_ms", "queued_at", "id"],
                condition=Q(status=WorkStatus.WAITING),
                name="step_shortest_first",
            ),
            models.Index(
                fields=["rank", "owner", "queued_at", "id"],
                condition=Q(status=WorkStatus.WAITING),
                name="step_oldest_first",
            ),
            # Live hosts look twice a second, while thousands of uploads may wait to be prepared.
            models.Index(
                fields=["not_before", "id"],
                condition=Q(status=WorkStatus.WAITING, kind=StepKind.LIVE),
                name="step_live_waiting",
            ),
            # For the claim of whoever hosts providers, who looks as often.
            models.Index(
                fields=["rank", "owner", "left_ms", "queued_at", "id"],
                condition=Q(status=WorkStatus.WAITING, kind=StepKind.TRANSLATE),
                name="step_translate_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {f'job {self.job_id}' if self.job_id else f'sound {self.sound_id}'}"


class ChunkTranscription(LeasedWork):
    """The cached result of one window of a job: the span `[start_ms, end_ms)` of the session's timeline."""

    job = models.ForeignKey(
        TranscriptionJob, on_delete=models.CASCADE, related_name="windows", db_index=False
    )
    number = models.PositiveIntegerField()
    start_ms = models.PositiveBigIntegerField()
    end_ms = models.PositiveBigIntegerField()
    speech_ms = models.PositiveBigIntegerField(help_text="How much of it is speech; 0 needs no engine.")
    engine = models.CharField(max_length=40, blank=True, help_text="That is to do it, or did it.")
    model = models.CharField(max_length=200, blank=True)
    fallback_reason = models.TextField(blank=True, help_text="Why the job's first engine did not do it.")
    requests = models.PositiveIntegerField(default=0, help_text="To providers, failed ones too.")
    timing = models.CharField(max_length=8, blank=True, help_text="The finest times of its text.")
    raw_text = models.TextField(blank=True, help_text="What the engine said.")
    corrected_text = models.TextField(blank=True)
    word_counts = models.JSONField(default=dict, blank=True)
    detected_language = models.CharField(max_length=10, blank=True)
    language_confidence = models.FloatField(null=True, blank=True)
    language_probabilities = models.JSONField(
        default=dict,
        db_default={},
        blank=True,
        help_text="Of the likeliest languages, as they were heard; empty where that is not known.",
    )
    translation = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text="By the engine, where what was said is kept: the middle of each word in ms, and the word.",
    )
    language_revised = models.BooleanField(
        default=False,
        db_default=False,
        help_text="It was heard again, because other windows have shown another language.",
    )

    class Meta(LeasedWork.Meta):
        ordering = ["job", "number"]
        verbose_name = "window"
        constraints = [
            *LeasedWork.Meta.constraints,
            models.UniqueConstraint(fields=["job", "number"], name="window_number_once_per_job"),
            models.CheckConstraint(condition=Q(start_ms__lt=F("end_ms")), name="window_not_empty"),
        ]
        indexes = [
            *LeasedWork.Meta.indexes,
            # These are for the claim: to go from person to person, and to a person's next window. Most rows
            # are done.
            models.Index(
                fields=["engine", "rank", "owner", "left_ms", "queued_at", "id"],
                condition=Q(status=WorkStatus.WAITING),
                name="window_shortest_first",
            ),
            models.Index(
                fields=["engine", "rank", "owner", "queued_at", "id"],
                condition=Q(status=WorkStatus.WAITING),
                name="window_oldest_first",
            ),
        ]

    def __str__(self) -> str:
        return f"window {self.number} of job {self.job_id}"

    @property
    def duration_ms(self) -> int:
        return self.end_ms - self.start_ms
