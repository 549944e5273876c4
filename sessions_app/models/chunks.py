"""The pieces of a recording's audio as they arrived."""

from __future__ import annotations

import uuid
import wave
from datetime import timedelta

from django.db import models
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now

from jobs_app.models import PlacedChunk
from speech.types import SAMPLE_RATE, ms_to_samples

SAMPLES_PER_MS = SAMPLE_RATE // 1000
WAV_HEADER_BYTES = 44
SAMPLE_BYTES = 2
"""Of plain sound, which is int16, little endian, mono, at 16 kHz."""


class AudioChunkQuerySet(models.QuerySet["AudioChunk"]):
    def with_length(self) -> AudioChunkQuerySet:
        """Add `length_ms`: the length that workers measured, or else the length in the header."""
        places = PlacedChunk.objects.filter(chunk=OuterRef("pk")).order_by("pk")
        measured = Subquery(places.values("sample_count")[:1]) / SAMPLES_PER_MS
        # They are a dictionary for the reason given in with_summary().
        columns = {"length_ms": Coalesce(measured, F("duration_ms"), output_field=models.BigIntegerField())}
        return self.annotate(**columns)

    def plain_sound_from(self, first_sample: int, most: int) -> bytes | None:
        """Return up to `most` samples from `first_sample` on, from the chunk that has it.

        The queryset has the chunks of one recording, each of which begins where the one before it ends. The
        result is empty if no chunk reaches so far, and None if the chunk must be decoded first.
        """
        places = PlacedChunk.objects.filter(chunk=OuterRef("pk")).order_by("pk")
        columns = {"measured": Subquery(places.values("sample_count")[:1])}
        begins = 0
        for number, chunk in enumerate(self.annotate(**columns).order_by("number")):
            length = chunk.measured if chunk.measured is not None else chunk.told_samples
            if chunk.number != number or length is None:
                break
            if first_sample < begins + length:
                return chunk.plain_sound(first_sample - begins, most)
            begins += length
        return b""


class AudioChunk(models.Model):
    """One stored piece of a session's audio, as it arrived. Workers note their findings in PlacedChunk."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(
        "sessions_app.RecordingSession", on_delete=models.CASCADE, related_name="chunks", db_index=False
    )
    number = models.PositiveIntegerField()
    file = models.FileField(upload_to="audio", max_length=200)
    filename = models.CharField(max_length=255, blank=True, help_text="The name it was sent under.")
    container = models.CharField(max_length=60, blank=True)
    codec = models.CharField(max_length=60, blank=True)
    audio_tracks = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How many its header names; 0: not known."
    )
    continues = models.BooleanField(
        default=False, help_text="Part of a stream whose header came with an earlier piece."
    )
    claimed_ms = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="The length its sender gives; used where it cannot be decoded."
    )
    duration_ms = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="The length that its header gives."
    )
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    received_at = models.DateTimeField(db_default=Now())

    # `with_length()` adds this.
    length_ms: int | None
    # `plain_sound_from()` adds this.
    measured: int | None
    # `RecordingSession.chunks_in_order()` adds this.
    age: timedelta

    objects = AudioChunkQuerySet.as_manager()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["session", "number"], name="chunk_number_once_per_session"),
            models.CheckConstraint(condition=Q(size_bytes__gt=0), name="chunk_not_empty"),
        ]
        indexes = [
            # This index is for the list of all chunks in the admin.
            models.Index(fields=["-received_at", "-id"], name="chunk_newest"),
        ]

    def __str__(self) -> str:
        return f"chunk {self.number} of {self.session_id}"

    @property
    def told_samples(self) -> int | None:
        """How long it is at 16 kHz, by its header; None if that does not say it. Plain sound is exact."""
        if self.duration_ms is None:
            return None
        n_samples, rest = divmod(self.size_bytes - WAV_HEADER_BYTES, SAMPLE_BYTES)
        plain = self.container == "wav" and not rest and n_samples // SAMPLES_PER_MS == self.duration_ms
        return n_samples if plain else ms_to_samples(self.duration_ms)

    def plain_sound(self, first_sample: int, most: int) -> bytes | None:
        """Return up to `most` samples of a WAV file of plain sound; None if it is another file."""
        if self.container != "wav":
            return None
        try:
            with self.file.open("rb") as stored, wave.open(stored) as file:
                if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (
                    1,
                    SAMPLE_BYTES,
                    SAMPLE_RATE,
                ):
                    return None
                file.setpos(min(first_sample, file.getnframes()))
                frames: bytes = file.readframes(most)
                return frames
        except (wave.Error, EOFError):
            return None
