"""Rows as the workers leave them, without workers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rest_framework.test import APIClient

from jobs_app.models import (
    JOB_ENDED,
    ChunkTranscription,
    JobStage,
    JobStatus,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.models.transcripts import Segment
from people_app.models import ApiToken
from sessions_app.models import RecordingSession
from speech.types import Word
from tests.job_rows import create_job, create_segment

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
STAGES = {JobStatus.PENDING: JobStage.WAITING, JobStatus.PROCESSING: JobStage.TRANSCRIBING}


@pytest.fixture
def client_of():
    """An API client with the token of a user."""

    def make(user) -> APIClient:
        # Its use was noted just now, so that requests write nothing.
        token = ApiToken.objects.issue(user)
        token.note_use()
        client = APIClient(raise_request_exception=False)
        client.credentials(HTTP_AUTHORIZATION=f"Token {token.key}")
        return client

    return make


@pytest.fixture
def api(client_of, alice) -> APIClient:
    """Alice's client."""
    return client_of(alice)


@pytest.fixture
def new_job(db):
    def make(
        owner, status=JobStatus.COMPLETED, *, title="A talk", source="upload", **columns
    ) -> TranscriptionJob:
        session = RecordingSession.objects.create(owner=owner, title=title, source=source, finished_at=NOON)
        if status in JOB_ENDED:
            columns.setdefault("ended_at", NOON)
        columns = {"created_at": NOON, "engine": "fake", "model": "fake", "filename": "talk.mp3"} | columns
        stage = STAGES.get(status, JobStage.ENDED)
        return create_job(session=session, status=status, stage=stage, **columns)

    return make


@pytest.fixture
def add_segments(db):
    """Give a job a window with one segment for each (start_ms, text, speaker)."""

    def make(job, *spoken: tuple[int, str, str], number: int = 0) -> list[Segment]:
        window = ChunkTranscription.objects.create(
            job=job,
            owner=job.session.owner,
            rank=0,
            queued_at=NOON,
            status=WorkStatus.DONE,
            number=number,
            start_ms=number * 60_000,
            end_ms=(number + 1) * 60_000,
            speech_ms=1,
        )
        return [
            create_segment(
                job,
                window=window,
                start_ms=start_ms,
                end_ms=start_ms + 1500,
                text=text,
                speaker=speaker,
                confidence=0.9,
                words=[Word(start_ms, start_ms + 500, text, 0.9)],
            )
            for start_ms, text, speaker in spoken
        ]

    return make


@pytest.fixture
def wakes(monkeypatch):
    """How often the queue was asked to wake workers, instead of a queue."""
    asked: list[int] = []
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: asked.append(n))
    return asked
