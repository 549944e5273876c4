"""What live hosts have heard of recordings that go on, and which live hosts there are."""

from __future__ import annotations

from datetime import timedelta
from typing import NotRequired, TypedDict

from django.db import models
from django.db.models.functions import Now

from jobs_app.models.jobs import TranscriptionJob
from jobs_app.models.transcripts import Segment

LIVE_HOST_SILENT_AFTER = timedelta(seconds=10)


class StoredInterim(TypedDict):
    """What is being said. `firm`: how many characters of `text` two hearings agreed on."""

    start_ms: int
    end_ms: int
    text: str
    firm: int


class StoredFinal(TypedDict):
    """A text that never changes any more, and that will be the segment `number`.

    `text` is what people read. `cut_ms` is where the utterance ended that it is from. The rest are columns of
    its segment.
    """

    number: int
    start_ms: int
    end_ms: int
    text: str
    confidence: float | None
    cut_ms: int
    raw_text: str
    raw_words: str
    corrected_text: str | None
    corrected_words: str | None
    language: str
    language_confidence: float | None
    language_probabilities: NotRequired[dict[str, float]]
    """It is not in rows of before."""


class LiveText(models.Model):
    """What is heard of a recording while it goes on, and is not in segments yet.

    Only the holder of the job's LIVE step writes it. `version` grows with each write, so that readers see
    what is new. `finals` has texts that never change any more, and that become segments in batches; each has
    the number that its segment will have. `interim` is what is still being said, and is replaced in place.
    Times are on the session's timeline.
    """

    job = models.OneToOneField(
        TranscriptionJob, on_delete=models.CASCADE, primary_key=True, related_name="live_text"
    )
    version = models.PositiveBigIntegerField(default=0, db_default=0)
    received_ms = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Up to where the audio had come at the last look."
    )
    heard_ms = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Up to where it was heard, as interim or final."
    )
    final_ms = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Everything before is decided."
    )
    interims = models.BooleanField(
        default=True, db_default=True, help_text="False while there is time for finals only."
    )
    interim = models.JSONField(null=True, blank=True)
    finals = models.JSONField(default=list, db_default=[], blank=True)
    language = models.CharField(max_length=10, blank=True, default="", db_default="")

    class Meta:
        verbose_name = "live text"

    def __str__(self) -> str:
        return f"live text of job {self.job_id}"

    def segments(self) -> list[Segment]:
        """Return the finals as the segments that they will be. They are not stored."""
        finals: list[StoredFinal] = self.finals
        return [
            Segment(
                job_id=self.job_id,
                number=final["number"],
                start_ms=final["start_ms"],
                end_ms=final["end_ms"],
                language=final["language"],
                confidence=final["confidence"],
                raw_text=final["raw_text"],
                corrected_text=final["corrected_text"],
                raw_words=final["raw_words"],
                corrected_words=final["corrected_words"],
            )
            for final in finals
        ]


class LiveHostQuerySet(models.QuerySet["LiveHost"]):
    def alive(self) -> LiveHostQuerySet:
        """Return the hosts that have reported lately."""
        return self.filter(beat_at__gt=Now() - LIVE_HOST_SILENT_AFTER)


class LiveHost(models.Model):
    """A `livehost` process, as it last reported."""

    name = models.CharField(max_length=100, unique=True, help_text="host:pid")
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(help_text="When the process last reported.")
    sessions = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="How many it listens to.")
    finals_share = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Percent of its time that finals took lately."
    )

    is_alive: bool
    """What `jobs_app.watching.overview.live_hosts` adds."""

    objects = LiveHostQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
