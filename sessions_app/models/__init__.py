"""Recordings, the audio they are made of, and the edits of transcripts."""

from sessions_app.models.chunks import SAMPLES_PER_MS, AudioChunk, AudioChunkQuerySet
from sessions_app.models.edits import Edit, EditKind
from sessions_app.models.live import LivePiece, LiveSender
from sessions_app.models.recordings import (
    RecordingSession,
    RecordingSessionQuerySet,
    SessionSource,
    SessionState,
)
from sessions_app.models.requests import IdempotencyKey, ResumableUpload

__all__ = [
    "SAMPLES_PER_MS",
    "AudioChunk",
    "AudioChunkQuerySet",
    "Edit",
    "EditKind",
    "IdempotencyKey",
    "LivePiece",
    "LiveSender",
    "RecordingSession",
    "RecordingSessionQuerySet",
    "ResumableUpload",
    "SessionSource",
    "SessionState",
]
