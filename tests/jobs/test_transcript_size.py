"""How much of the database an hour of speech takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle
from pydoc_data.topics import topics

import pytest
from django.db import connection
from django.db.models import Model

from jobs_app.lifecycle.finishing import finish_job, finish_window
from jobs_app.models import ChunkTranscription, StepKind, TranscriptionJob
from jobs_app.models.transcripts import Segment, Transcript, TranscriptText
from speech.types import SpeechSegment, Transcription, Word
from tests.jobs.conftest import take
from tests.services import ROOT

pytestmark = pytest.mark.django_db

HEARD = ROOT / "tests" / "audio" / "sample_heard.jsonl"
"""What the base model heard in sample.mp3, without the words; a line for each segment.

[start_ms, end_ms, confidence, [pause before each word], [length of each word], [confidence of each word]]
"""
SAMPLE_MS = 61_424
HOUR_MS = 3_600_000
MINUTES = 15
MOST_BYTES_AN_HOUR = 700_000


def prose() -> Iterator[str]:
    """English words that do not repeat as those of a short sample do. They are longer, if anything."""
    text = " ".join(topics.values())
    return cycle(word for word in text.split() if word.strip('`*.,:;()"').isalpha())


def speech(minutes: int) -> list[tuple[SpeechSegment, ...]]:
    """Windows of half a minute, with the times and confidences of real ones."""
    shapes = [json.loads(line) for line in HEARD.read_text(encoding="utf-8").splitlines()]
    texts, windows = prose(), []
    for at_ms in range(0, minutes * 60_000, SAMPLE_MS):
        segments = []
        for start_ms, end_ms, sure, pauses, lengths, confidences in shapes:
            words, end_of_last = [], start_ms
            for pause_ms, length_ms, confidence in zip(pauses, lengths, confidences, strict=True):
                begin_ms = end_of_last + pause_ms
                end_of_last = begin_ms + length_ms
                words.append(Word(begin_ms, end_of_last, next(texts), confidence))
            text = " ".join(word.text for word in words)
            segments.append(SpeechSegment(start_ms, end_ms, text, sure, tuple(words)).shifted(at_ms))
        half = len(segments) // 2
        windows += [tuple(segments[:half]), tuple(segments[half:])]
    return windows


def bytes_of(model: type[Model]) -> int:
    """What the rows take without their indexes: each value as it is stored, and what the database adds."""
    size = "pg_column_size({})" if connection.vendor == "postgresql" else "length(CAST({} AS blob))"
    columns = [field.column for field in model._meta.concrete_fields]
    values = " + ".join(f"coalesce({size.format(connection.ops.quote_name(name))}, 0)" for name in columns)
    # Of each row: its header, and where it lies in its page; in SQLite a type for each value.
    more = 28 if connection.vendor == "postgresql" else len(columns) + 4
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(sum({values} + {more}), 0) FROM {model._meta.db_table}")  # noqa: S608
        return int(cursor.fetchone()[0])


def test_an_hour_of_speech_takes_little_room(alice, planned_job, record_property):
    windows = speech(MINUTES)
    job = planned_job(alice, len(windows))
    for window, segments in zip(job.windows.order_by("number"), windows, strict=True):
        assert finish_window(take(window), Transcription(segments, "en", 0.98))
    assert finish_job(take(job.steps.get(kind=StepKind.FINISH)))

    models = (TranscriptionJob, ChunkTranscription, Segment, Transcript, TranscriptText)
    hour = HOUR_MS / (len(windows) / 2 * SAMPLE_MS)
    sizes = {model.__name__: round(bytes_of(model) * hour) for model in models}
    record_property("bytes_an_hour", sizes)
    assert 10_000 < Transcript.objects.get().total_words * hour < 11_000
    assert sum(sizes.values()) <= MOST_BYTES_AN_HOUR, sizes
