"""What the windows of a job say together: its texts, its language, its statistics."""

from __future__ import annotations

from collections import Counter

from django.db.models import Avg, Count, F, Max, Min, Sum
from django.db.models.functions import Coalesce

from jobs_app.models import SegmentKind, TranscriptionJob
from jobs_app.vocabulary import vocabulary_of
from speech.cues import join_texts
from speech.words import count_total_words

COARSEST_FIRST = ("window", "segments", "words")


def summarise(job: TranscriptionJob, *, owner_id: int) -> list[str]:
    """Set what follows from the windows of `job`, which are all done; the names of the columns."""
    spoken: Counter[str] = Counter()
    certain: Counter[str] = Counter()
    raw_texts, texts, timings = [], [], set()
    for window in job.chunktranscriptions.order_by("start_ms").iterator():
        raw_texts.append(window.raw_text)
        texts.append(window.corrected_text)
        timings.add(window.timing)
        if window.detected_language:
            spoken[window.detected_language] += window.speech_ms
            certain[window.detected_language] += (window.language_confidence or 0) * window.speech_ms
    if spoken:
        # The language most of the speech is in; how sure the engine was of it, weighted by speech.
        language, speech_ms = spoken.most_common(1)[0]
        job.detected_language = language
        job.language_confidence = certain[language] / speech_ms if speech_ms else None
    job.raw_text, job.transcript = join_texts(raw_texts), join_texts(texts)
    job.timing = next((timing for timing in COARSEST_FIRST if timing in timings), "")
    # Not the sum over the windows: a phrase may begin in one and end in the next.
    job.word_counts = vocabulary_of(owner_id).count(job.transcript)
    columns = ["detected_language", "language_confidence", "raw_text", "transcript", "word_counts", "timing"]
    return columns + _measure(job)


def _measure(job: TranscriptionJob) -> list[str]:
    """Set the statistics of `job` from its segments alone; the names of the columns."""
    found = job.segments.filter(kind=SegmentKind.FINAL).aggregate(
        total_segments=Count("pk"),
        average_confidence=Avg("confidence"),
        speech_span_ms=Coalesce(Max("end_ms") - Min("start_ms"), 0),
        speaking_ms=Coalesce(Sum(F("end_ms") - F("start_ms")), 0),
    )
    found["total_words"] = count_total_words(job.transcript)
    for name, value in found.items():
        setattr(job, name, value)
    return list(found)
