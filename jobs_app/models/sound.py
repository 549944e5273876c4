"""What workers find out about the sound of a recording: its timeline, its length, and what decoding found."""

from __future__ import annotations

from typing import TypedDict

from django.db import models

from speech.types import samples_to_ms

# The reasons for a gap.
MISSING, DAMAGED, UNREADABLE, LEFT_OUT = "missing", "damaged", "unreadable", "left_out"


class StoredGap(TypedDict):
    """A stretch without audio, as it is stored. `chunk`: the number of the one that is missing there."""

    start_ms: int
    end_ms: int
    samples: int
    chunk: int
    reason: str


class SoundTrack(models.Model):
    """The sound of a session as its jobs hear it: its chunks on one timeline.

    A session has one, unless its files have several audio tracks and its jobs hear different ones, which may
    differ in length. `audio_track` and `language` say which are heard, as in
    `speech.sound.tracks.wish.TrackWish`.
    """

    session = models.ForeignKey(
        "sessions_app.RecordingSession", on_delete=models.CASCADE, related_name="sound_tracks", db_index=False
    )
    audio_track = models.CharField(max_length=4)
    language = models.CharField(max_length=10, blank=True)
    duration_ms = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Of what is decoded so far; before that what the header says."
    )
    gaps = models.JSONField(
        default=list, blank=True, help_text="Stretches without audio: {start_ms, end_ms, chunk, reason}."
    )
    report = models.JSONField(default=dict, blank=True, help_text="What decoding met.")
    version = models.PositiveIntegerField(
        default=0, help_text="Raised whenever something on the timeline moves that had its place."
    )
    joined = models.FileField(
        upload_to="audio", max_length=200, blank=True, help_text="Of a recording in pieces: all of it."
    )
    joined_bytes = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["session", "audio_track", "language"], name="sound_track_once_for_each_wish"
            ),
        ]

    def __str__(self) -> str:
        return f"sound of {self.session_id}"


class PlacedChunk(models.Model):
    """Where a chunk lies on the timeline of a sound track, in samples at 16 kHz.

    Without `sample_count` the chunk is still being decoded; the windows that are already planned of it can be
    read.
    """

    sound = models.ForeignKey(SoundTrack, on_delete=models.CASCADE, related_name="places", db_index=False)
    chunk = models.ForeignKey("sessions_app.AudioChunk", on_delete=models.CASCADE, related_name="places")
    start_sample = models.PositiveBigIntegerField(null=True)
    sample_count = models.PositiveBigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sound", "chunk"], name="chunk_once_on_a_timeline"),
        ]

    def __str__(self) -> str:
        return f"place of {self.chunk_id}"

    @property
    def duration_ms(self) -> int | None:
        return None if self.sample_count is None else samples_to_ms(self.sample_count)


class Waveform(models.Model):
    """The peaks of a sound track, as `speech.sound.peaks` makes them.

    They have their own table, so that no list loads them.
    """

    sound = models.OneToOneField(
        SoundTrack, on_delete=models.CASCADE, primary_key=True, related_name="waveform"
    )
    peaks = models.BinaryField()

    def __str__(self) -> str:
        return f"waveform of {self.sound_id}"
