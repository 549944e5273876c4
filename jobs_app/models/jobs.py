"""Jobs. Each is one run over a recording, with the options that it was asked for.

Only `jobs_app.lifecycle` changes the `status` of a job.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from jobs_app.models.options import VERSION, JobOptions, JobPriority, Kept, all_options
from jobs_app.models.sound import SoundTrack
from jobs_app.models.transcripts import Transcript, TranscriptText

if TYPE_CHECKING:
    from people_app.models import User


class JobStatus(models.TextChoices):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


JOB_ACTIVE = (JobStatus.PENDING, JobStatus.PROCESSING)
JOB_ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
LONGEST_SEARCH = 200
"""In characters: the longest text to search for in lists."""


class JobKind(models.TextChoices):
    """What a job is for.

    RUN: somebody asked for it. REFINE: a recording that was heard live is heard once more, in long windows,
    for a better text. It counts in no statistics, and a run of the same recording cancels it.
    """

    RUN = "run"
    REFINE = "refine"


class JobStage(models.TextChoices):
    """The stage of an active job, for people."""

    WAITING = "waiting"
    PREPARING = "preparing"
    TRANSCRIBING = "transcribing"
    TRANSLATING = "translating"
    FINISHING = "finishing"
    ENDED = "ended"


class TranscriptionJobQuerySet(models.QuerySet["TranscriptionJob"]):
    def for_user(self, user: User) -> TranscriptionJobQuerySet:
        """Return the jobs that this user may see. Every view starts from here."""
        return self.filter(owner=user)

    def active(self) -> TranscriptionJobQuerySet:
        return self.filter(status__in=JOB_ACTIVE)

    def runs(self) -> TranscriptionJobQuerySet:
        """Return the jobs that somebody asked for. Statistics count these."""
        return self.filter(kind=JobKind.RUN)

    def refinements(self) -> TranscriptionJobQuerySet:
        return self.filter(kind=JobKind.REFINE)

    def with_text(self) -> TranscriptionJobQuerySet:
        """Add `text`, the text of the transcript, for filters and excerpts. It is not fetched."""
        said = Coalesce("transcript__texts__corrected_text", "transcript__texts__raw_text")
        return self.alias(text=Coalesce("transcript__texts__translated_text", said))

    def create_with(self, options: JobOptions, **columns: object) -> TranscriptionJob:
        """Create a job with `options`. Each option is stored where its row of the table says.

        The job's empty transcript is created with it.
        """
        with transaction.atomic():
            job = self.create(
                **options.kept_in(Kept.COLUMN),
                stored_options={"version": VERSION, **options.kept_in(Kept.JSON)},
                **columns,
            )
            TranscriptText.objects.create(transcript=Transcript.objects.create(job=job))
            texts = {name: text for name, text in options.kept_in(Kept.TEXT).items() if text}
            if texts:
                LongOptions.objects.create(job=job, texts=texts)
        return job

    def search(self, words: str) -> TranscriptionJobQuerySet:
        """Return jobs with `words` in their title, file name or transcript."""
        return self.with_text().filter(
            Q(session__title__icontains=words) | Q(filename__icontains=words) | Q(text__icontains=words)
        )


class TranscriptionJob(models.Model):
    """One run over a session with given options. All of them are the job history.

    PENDING -> PROCESSING -> COMPLETED | FAILED;  PENDING | PROCESSING -> CANCELLED; FAILED -> PENDING
    (retry).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(
        "sessions_app.RecordingSession", on_delete=models.CASCADE, related_name="jobs", db_index=False
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        help_text="That of its session, for lists.",
    )
    sound = models.ForeignKey(
        SoundTrack, on_delete=models.CASCADE, related_name="jobs", help_text="What it hears of the recording."
    )
    filename = models.CharField(max_length=255, blank=True, help_text="The name the audio was sent under.")
    kind = models.CharField(
        max_length=6,
        choices=JobKind.choices,
        default=JobKind.RUN,
        db_default=JobKind.RUN,
        help_text="Asked for, or a second hearing of what was heard live.",
    )

    engine = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    language = models.CharField(max_length=10, blank=True, help_text="ISO 639-1; empty: find out.")
    priority = models.CharField(max_length=6, choices=JobPriority.choices, default=JobPriority.NORMAL)
    interactive = models.BooleanField(
        default=False,
        help_text="Somebody waits for it while it is recorded or sent: comes before all others.",
    )
    yields = models.BooleanField(
        default=False,
        db_default=False,
        help_text="It is interactive, but longer than anybody waits for: comes with all others.",
    )
    priority_among_all = models.BooleanField(
        default=False, db_default=False, help_text="Its priority counts among the jobs of all people."
    )
    stored_options = models.JSONField(
        default=dict,
        db_default={},
        blank=True,
        help_text="The other options, and the `version` of this form: see `options`.",
    )

    status = models.CharField(max_length=10, choices=JobStatus.choices, default=JobStatus.PENDING)
    stage = models.CharField(max_length=12, choices=JobStage.choices, default=JobStage.WAITING)
    progress = models.PositiveSmallIntegerField(default=0, help_text="0 to 100; never falls during a run.")
    attempt = models.PositiveSmallIntegerField(default=1, help_text="Raised by each retry.")
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it ended, however it ended.")

    planned_ms = models.PositiveBigIntegerField(default=0, help_text="Where the last window so far ends.")
    planned_version = models.PositiveIntegerField(
        default=0, help_text="The version of its sound's timeline that its windows lie on."
    )
    planned = models.BooleanField(default=False, help_text="All the audio has come and is cut into windows.")
    next_segment = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="The number of the next segment. It grows under the job's lock, and never falls.",
    )
    provider_requests = models.PositiveIntegerField(
        default=0, help_text="To providers and the translator, failed ones too."
    )
    provider_audio_ms = models.PositiveBigIntegerField(default=0, help_text="That providers transcribed.")
    provider_cost = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        default=0,
        help_text="Of that audio and of the translator's tokens, at the prices of their time.",
    )
    translator_tokens = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Of the chat model that translated, sent and answered."
    )

    objects = TranscriptionJobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        permissions = [("prioritise_over_others", "Can give jobs a priority that counts among all people")]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=JobKind.values), name="job_kind_known"),
            models.CheckConstraint(condition=Q(status__in=JobStatus.values), name="job_status_known"),
            models.CheckConstraint(condition=Q(stage__in=JobStage.values), name="job_stage_known"),
            models.CheckConstraint(condition=Q(priority__in=JobPriority.values), name="job_priority_known"),
            models.CheckConstraint(condition=Q(progress__lte=100), name="job_progress_at_most_100"),
            models.CheckConstraint(
                condition=Q(status__in=JOB_ACTIVE, ended_at=None)
                | Q(status__in=JOB_ENDED, ended_at__isnull=False),
                name="job_ended_at_when_ended",
            ),
            # Two quick clicks on "Transcribe again" must not start two jobs. A refinement does not stand in
            # the way of a run, because starting the run cancels it first.
            models.UniqueConstraint(
                fields=["session"], condition=Q(status__in=JOB_ACTIVE), name="one_active_job_per_session"
            ),
        ]
        indexes = [
            models.Index(fields=["session", "-created_at"], name="job_session_newest"),
            # These are for a person's lists, and for counting them without reading the rows. They are in
            # ascending order and read backwards, because always adding rows at the front would leave their
            # pages half empty.
            models.Index(fields=["owner", "created_at", "id"], name="job_owner_newest"),
            models.Index(fields=["owner", "status", "created_at", "id"], name="job_owner_status_newest"),
            models.Index(fields=["status", "-created_at"], name="job_status_newest"),
            # This is for the lists of all jobs, which staff see.
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}"

    @property
    def duration_ms(self) -> int | None:
        """The length of the audio. The query needs `select_related("sound")`."""
        return self.sound.duration_ms

    @property
    def options(self) -> JobOptions:
        """All that was asked for. The long texts come from another table, so lists use `short_options`."""
        long_options = getattr(self, "long_options", None)
        return self._options(long_options.texts if long_options else {})

    @property
    def short_options(self) -> JobOptions:
        """What was asked for, with empty long texts. It takes no query."""
        return self._options({})

    def _options(self, texts: dict[str, object]) -> JobOptions:
        columns = {row.name: getattr(self, row.name) for row in all_options() if row.kept is Kept.COLUMN}
        return JobOptions.from_stored(self.stored_options, texts, columns)


class LongOptions(models.Model):
    """The options of a job that are long texts, such as hint words.

    They have their own table, so that lists of jobs do not load them.
    """

    job = models.OneToOneField(
        TranscriptionJob, on_delete=models.CASCADE, primary_key=True, related_name="long_options"
    )
    texts = models.JSONField(help_text="By the name of the option; those that are not empty.")

    def __str__(self) -> str:
        return f"long options of job {self.job_id}"
