"""Lay the translation that an engine gave of each window over the segments of what was said."""

from __future__ import annotations

from collections.abc import Iterable

from jobs_app.engines.resolving import hears_twice
from jobs_app.models import ChunkTranscription, Segment, Transcript, TranscriptionJob, TranslationState
from speech.translation.laying import laid

NOT_APART = " "
"""The translation of a segment whose words stand with those of its neighbours. Empty would say that there is
none.
"""


def lay_translations(windows: Iterable[ChunkTranscription]) -> None:
    """Store in each segment of these windows its part of their translations. Their job is locked."""
    for window in windows:
        rows = list(window.segments.order_by("start_ms", "number"))
        if not (window.translation and rows):
            continue
        words = [(int(middle_ms), str(text)) for middle_ms, text in window.translation]
        texts = laid(words, [(row.start_ms, row.end_ms) for row in rows])
        for row, text in zip(rows, texts, strict=True):
            row.translated_text = text or NOT_APART
        Segment.objects.bulk_update(rows, ["translated_text"])


def note_laid(job: TranscriptionJob) -> None:
    """Store whether the engine has translated a job, whose windows are done and which is locked."""
    if not hears_twice(job.short_options) or not job.segments.exists():
        return
    translated = job.segments.filter(translated_text__gt="").exists()
    state = TranslationState.DONE if translated else TranslationState.SAME
    Transcript.objects.filter(job=job).update(translation_state=state)
