"""What a job has found: its transcript, and the segments of the transcript.

What the engine said is kept as it was. A corrected text or list of words stands beside it only if it differs,
else the column is NULL. It may be empty, because corrections can remove all of a text.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from jobs_app.models.stored_words import decode_words
from speech.types import Word


def stored_correction(corrected: str, raw: str) -> str | None:
    """Return the correction to store: None if it is the same as what the engine said."""
    return None if corrected == raw else corrected


def as_read(raw: str, corrected: str | None) -> str:
    """Return what people read: the correction, or else what the engine said."""
    return raw if corrected is None else corrected


class SpeakersState(models.TextChoices):
    """What is known of the speakers of a transcript."""

    NONE = "", "Not told apart"
    TOLD = "told", "Told apart"
    UNSURE = "unsure", "Hard to tell apart"
    FAILED = "failed", "Failed"


class TranslationState(models.TextChoices):
    """How far the translation of a transcript by the translator has come.

    It is empty until it has ended, and if the engine translated or nobody wanted a translation.
    """

    NONE = "", "Not translated"
    DONE = "done", "Translated"
    PARTLY = "partly", "Partly translated"
    FAILED = "failed", "Failed"
    SAME = "same", "In that language already"


TRANSLATED = (TranslationState.DONE, TranslationState.PARTLY)
SPEAKERS_KNOWN = (SpeakersState.TOLD, SpeakersState.UNSURE)


class Transcript(models.Model):
    """What a job has found, in numbers. It is created with the job and filled when the job completes.

    The texts have their own table: `select_related` reads all columns of a table, and a list of jobs that
    joins this one must not read an hour of speech for each job.
    """

    job = models.OneToOneField(
        "jobs_app.TranscriptionJob", on_delete=models.CASCADE, primary_key=True, related_name="transcript"
    )
    detected_language = models.CharField(max_length=10, blank=True)
    language_confidence = models.FloatField(null=True, blank=True)
    language_is_guess = models.BooleanField(
        default=False, db_default=False, help_text="What was heard does not make the language probable."
    )
    timing = models.CharField(
        max_length=8, blank=True, help_text="The coarsest times of its text: words, segments or window."
    )
    total_segments = models.PositiveIntegerField(default=0)
    total_words = models.PositiveIntegerField(default=0)
    average_confidence = models.FloatField(null=True, blank=True)
    speech_span_ms = models.PositiveBigIntegerField(
        default=0, help_text="From the start of the first segment to the end of the last."
    )
    speaking_ms = models.PositiveBigIntegerField(default=0, help_text="How long somebody speaks.")
    speakers_state = models.CharField(
        max_length=6,
        choices=SpeakersState.choices,
        default=SpeakersState.NONE,
        db_default=SpeakersState.NONE,
        blank=True,
        help_text="Whether speakers were told apart.",
    )
    n_speakers = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How many people speak, where they were told apart."
    )
    translation_state = models.CharField(
        max_length=6,
        choices=TranslationState.choices,
        default=TranslationState.NONE,
        db_default=TranslationState.NONE,
        blank=True,
        help_text="How the translation by the translator ended.",
    )
    n_untranslated = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many segments the translator could not translate."
    )

    def __str__(self) -> str:
        return f"transcript of job {self.job_id}"

    @property
    def language(self) -> str:
        """The language of the text: what it was translated to, or what was heard, or else what was
        asked for.
        """
        translated_to = self.job.short_options.translate_to
        if self.translation_state in (TranslationState.FAILED, TranslationState.SAME):
            translated_to = ""
        return translated_to or self.spoken_language

    @property
    def spoken_language(self) -> str:
        return self.detected_language or self.job.language

    @property
    def read_timing(self) -> str:
        """The coarsest times of what people read. The words of a translation have none."""
        return "segments" if self.timing == "words" and self.translation_state in TRANSLATED else self.timing

    @property
    def text(self) -> str:
        """The text as people read it. It takes a query unless the texts were loaded with the transcript."""
        return self.texts.text


class TranscriptText(models.Model):
    """The whole text of a transcript, for search and for answers without times.

    It is created with the job.
    """

    transcript = models.OneToOneField(
        Transcript, on_delete=models.CASCADE, primary_key=True, related_name="texts"
    )
    raw_text = models.TextField(blank=True, help_text="What the engine said.")
    corrected_text = models.TextField(  # noqa: DJ001  empty is a text, too
        null=True, blank=True, help_text="NULL: nothing was corrected."
    )
    translated_text = models.TextField(  # noqa: DJ001  empty is a text, too
        null=True, blank=True, help_text="By the translator. NULL: it did not translate."
    )
    word_counts = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return f"text of job {self.transcript_id}"

    @property
    def text(self) -> str:
        """What people read: the translation, or else what was said."""
        return as_read(self.original, self.translated_text)

    @property
    def original(self) -> str:
        """What was said, with corrections. It is the engine's translation if that translated."""
        return as_read(self.raw_text, self.corrected_text)


class SegmentKind(models.TextChoices):
    INTERIM = "interim"
    FINAL = "final"


class Segment(models.Model):
    """One stretch of speech in the transcript, on the session's timeline.

    `number` identifies the segment within its job. Numbers are given out under the job's lock, and none is
    used again. They are no order: a later number may have an earlier time.
    """

    job = models.ForeignKey(
        "jobs_app.TranscriptionJob",
        on_delete=models.CASCADE,
        related_name="segments",
        db_index=False,  # two other indexes begin with it
    )
    window = models.ForeignKey(
        "jobs_app.ChunkTranscription",
        on_delete=models.CASCADE,
        related_name="segments",
        null=True,
        blank=True,
        help_text="In which it was heard; empty where it is from no window.",
    )
    number = models.PositiveIntegerField(help_text="Its name within the job.")
    kind = models.CharField(max_length=7, choices=SegmentKind.choices, default=SegmentKind.FINAL)
    start_ms = models.PositiveBigIntegerField()
    end_ms = models.PositiveBigIntegerField()
    break_before = models.BooleanField(
        null=True, blank=True, help_text="Whether a paragraph begins here; empty: by pauses and length."
    )
    speaker = models.CharField(max_length=40, blank=True, help_text="The label of who speaks, if known.")
    language = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text="ISO 639-1, of what is spoken; empty where that is not known.",
    )
    part_of = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="The number of the segment that it was cut from, because another person begins to speak.",
    )
    confidence = models.FloatField(null=True, blank=True)
    raw_text = models.TextField(blank=True, help_text="What the engine said.")
    corrected_text = models.TextField(  # noqa: DJ001  empty is a text, too
        null=True, blank=True, help_text="NULL: nothing was corrected."
    )
    raw_words = models.TextField(
        blank=True, help_text="As `stored_words` writes them; empty: the engine gives no word times."
    )
    corrected_words = models.TextField(  # noqa: DJ001  empty are no words
        null=True, blank=True, help_text="Of the corrected text. NULL: they are stored as `raw_words` are."
    )
    translated_text = models.TextField(  # noqa: DJ001  empty says that there is none
        null=True,
        blank=True,
        help_text="By the translator. NULL: it was not asked, or not yet; empty: it could not do this one.",
    )

    class Meta:
        ordering = ["start_ms", "number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="segment_number_once_per_job"),
            models.CheckConstraint(condition=Q(start_ms__lte=F("end_ms")), name="segment_ends_after_start"),
            models.CheckConstraint(condition=Q(kind__in=SegmentKind.values), name="segment_kind_known"),
        ]
        indexes = [models.Index(fields=["job", "start_ms"], name="segment_job_start")]

    def __str__(self) -> str:
        return self.text

    @property
    def public_id(self) -> str:
        """The id that the API shows. Clients must not take it apart."""
        return f"{self.job_id}-{self.number}"

    @property
    def text(self) -> str:
        """What was said, with corrections."""
        return as_read(self.raw_text, self.corrected_text)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of `text`."""
        return decode_words(as_read(self.raw_words, self.corrected_words), self.text)
