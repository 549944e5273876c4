"""Who speaks in a job: what was heard of the voices in each window, and what was found from all of them.

The voices of a window and of a speaker are personal (biometric) data. They are in tables of their own, so
that nothing reads them by the way, and go with the window or the speaker: with the job, the recording and the
owner.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from django.db import models

from jobs_app.models.jobs import TranscriptionJob
from jobs_app.models.work import ChunkTranscription

LONGEST_NAME = 100
StoredTurn: TypeAlias = tuple[int, int, str]
"""Start and end in milliseconds on the timeline of the recording, and the label of the speaker."""


class SpeakerCount(NamedTuple):
    """What is known of the number of speakers. `exactly` goes before the others."""

    exactly: int | None = None
    at_least: int | None = None
    at_most: int | None = None


class WindowVoices(models.Model):
    """What `speech.speakers` has heard of the voices in one window."""

    window = models.OneToOneField(
        ChunkTranscription, on_delete=models.CASCADE, primary_key=True, related_name="voices"
    )
    packed = models.BinaryField(help_text="As `speech.speakers` packs it, with a version; empty: nobody.")

    class Meta:
        verbose_name_plural = "voices of windows"

    def __str__(self) -> str:
        return f"voices of window {self.window_id}"


class SpeakerTurns(models.Model):
    """Who speaks when in a job, as it was found. What people say of it stands in `Speaker`."""

    job = models.OneToOneField(
        TranscriptionJob, on_delete=models.CASCADE, primary_key=True, related_name="speaker_turns"
    )
    turns = models.JSONField(help_text="[start_ms, end_ms, label] of each, in order of time.")
    overlaps = models.JSONField(default=list, help_text="[start_ms, end_ms] where two speak at once.")

    class Meta:
        verbose_name_plural = "speaker turns"

    def __str__(self) -> str:
        return f"turns of job {self.job_id}"


class Speaker(models.Model):
    """One of those who speak in a job, with the name that people gave.

    `label` stands in the segments. A speaker who is merged into another one is shown as that one. The label
    in the segments stays, so that this can be taken back. `speaking_ms` and `n_turns` of the other one count
    both.
    """

    job = models.ForeignKey(
        TranscriptionJob, on_delete=models.CASCADE, related_name="speakers", db_index=False
    )
    label = models.CharField(max_length=40)
    name = models.CharField(max_length=LONGEST_NAME, blank=True, help_text="Empty: nobody has said.")
    number = models.PositiveSmallIntegerField(help_text="In the order in which they are first heard, from 0.")
    merged_into = models.ForeignKey(
        "self", on_delete=models.SET_NULL, related_name="merged", null=True, blank=True
    )
    speaking_ms = models.PositiveBigIntegerField(default=0)
    n_turns = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["job", "number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "label"], name="speaker_label_once_per_job"),
        ]

    def __str__(self) -> str:
        return self.shown_name

    @property
    def shown_name(self) -> str:
        return self.name or f"Speaker {self.number + 1}"


class SpeakerVoice(models.Model):
    """What a speaker of a job sounds like, so that people can save the voice and later jobs know it."""

    speaker = models.OneToOneField(Speaker, on_delete=models.CASCADE, primary_key=True, related_name="voice")
    packed = models.BinaryField(help_text="One vector, as `speech.speakers` packs it, with a version.")
    clean_ms = models.PositiveIntegerField(help_text="How much speech it is the mean of.")

    class Meta:
        verbose_name_plural = "voices of speakers"

    def __str__(self) -> str:
        return f"voice of speaker {self.speaker_id}"
