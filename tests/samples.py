"""Rows for tests of pages: jobs in any state, with a transcript."""

from __future__ import annotations

import re
from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone

from jobs_app.models import JOB_ENDED, ChunkTranscription, TranscriptionJob, WorkStatus
from jobs_app.models.stored_words import encode_words
from jobs_app.models.transcripts import Segment
from sessions_app.models import AudioChunk, RecordingSession
from speech.types import Word
from tests.job_rows import create_job

SENTENCES = (
    "Good morning, and welcome to the workshop.",
    "Today we repair an old radio.",
    "The capacitors are the first thing to look at.",
)
SENTENCE_MS = 3000


def make_job(owner: Any, *, title: str = "A talk", audio: bytes = b"", **columns: Any) -> TranscriptionJob:
    """A job that stands as `columns` say; nothing works on it."""
    session = RecordingSession.objects.create(
        owner=owner, source="upload", title=title, finished_at=timezone.now()
    )
    if audio:
        AudioChunk.objects.create(
            session=session,
            number=0,
            file=ContentFile(audio, name="talk.wav"),
            filename="talk.wav",
            size_bytes=len(audio),
            sha256="0" * 64,
        )
    return run_again(session, **columns)


def run_again(session: RecordingSession, **columns: Any) -> TranscriptionJob:
    if columns.get("status") in JOB_ENDED:
        columns = {"ended_at": timezone.now(), "stage": "ended", **columns}
    # PostgreSQL's clock stands still within a test's transaction.
    columns = {"engine": "fake", "model": "fake", "created_at": timezone.now(), **columns}
    job = create_job(session=session, **columns)
    job.refresh_from_db()
    return job


def completed_job(owner: Any, *, sentences: tuple[str, ...] = SENTENCES, **columns: Any) -> TranscriptionJob:
    text = " ".join(sentences)
    job = make_job(
        owner,
        **{
            "status": "completed",
            "progress": 100,
            "transcript": text,
            "total_segments": len(sentences),
            "total_words": len(text.split()),
            "detected_language": "en",
            "language_confidence": 0.97,
            "duration_ms": max(1, len(sentences)) * SENTENCE_MS,
            **columns,
        },
    )
    add_segments(job, sentences)
    return job


def add_segments(job: TranscriptionJob, sentences: tuple[str, ...]) -> None:
    """One every SENTENCE_MS, their words spread evenly."""
    if not sentences:
        return
    window = ChunkTranscription.objects.create(
        job=job,
        owner=job.session.owner,
        rank=0,
        queued_at=timezone.now(),
        number=0,
        start_ms=0,
        end_ms=len(sentences) * SENTENCE_MS,
        speech_ms=len(sentences) * SENTENCE_MS,
        status=WorkStatus.DONE,
        raw_text=" ".join(sentences),
        corrected_text=" ".join(sentences),
    )
    Segment.objects.bulk_create(
        Segment(
            job=job,
            window=window,
            number=number,
            start_ms=number * SENTENCE_MS,
            end_ms=(number + 1) * SENTENCE_MS - 200,
            raw_text=text,
            confidence=0.9,
            raw_words=encode_words(word_times(text, number * SENTENCE_MS), text),
        )
        for number, text in enumerate(sentences)
    )
    job.next_segment = len(sentences)
    job.save(update_fields=["next_segment"])


def word_times(text: str, start_ms: int) -> tuple[Word, ...]:
    words = text.split()
    each_ms = (SENTENCE_MS - 200) // len(words)
    return tuple(
        Word(start_ms + at * each_ms, start_ms + (at + 1) * each_ms, word, 0.9)
        for at, word in enumerate(words)
    )


def words_on(response: Any) -> str:
    """What a page says, without tags."""
    body = re.sub(r"<(script|style|template)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())
