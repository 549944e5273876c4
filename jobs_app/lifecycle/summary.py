"""Combine the results of a job's windows: its texts, its language and its statistics."""

from __future__ import annotations

from collections import Counter, defaultdict

from django.db.models import Avg, Count, F, Max, Min, Sum
from django.db.models.functions import Coalesce

from jobs_app.engines.resolving import language_prior
from jobs_app.models import TranscriptionJob
from jobs_app.models.transcripts import (
    TRANSLATED,
    SegmentKind,
    Transcript,
    TranscriptText,
    as_read,
    stored_correction,
)
from jobs_app.vocabulary.vocabulary import vocabulary_of
from speech.languages.vote import Vote, is_guess
from speech.text.spacing import join_texts
from speech.text.words import count_total_words

COARSEST_FIRST = ("window", "segments", "words")


def summarise(job: TranscriptionJob, *, owner_id: int) -> None:
    """Store the combined results of the windows of `job`, which are all done."""
    spoken: Counter[str] = Counter()
    certain: defaultdict[str, float] = defaultdict(float)
    votes: list[Vote] = []
    raw_texts, texts, timings = [], [], set()
    for window in job.windows.order_by("start_ms").iterator():
        raw_texts.append(window.raw_text)
        texts.append(window.corrected_text)
        timings.add(window.timing)
        if window.detected_language:
            spoken[window.detected_language] += window.speech_ms
            certain[window.detected_language] += (window.language_confidence or 0) * window.speech_ms
        if window.language_probabilities:
            votes.append(Vote(window.speech_ms, window.language_probabilities))
    found: dict[str, object] = {}
    if spoken:
        # This is the language of most of the speech. The confidence is the engine's, weighted by speech.
        language, speech_ms = spoken.most_common(1)[0]
        found["detected_language"] = language
        found["language_confidence"] = certain[language] / speech_ms if speech_ms else None
        found["language_is_guess"] = is_guess(language, votes, language_prior(job.short_options))
    raw_text, text = join_texts(raw_texts), join_texts(texts)
    translation = translation_of(job)
    read = as_read(text, translation)
    Transcript.objects.filter(job=job).update(
        timing=next((timing for timing in COARSEST_FIRST if timing in timings), ""),
        total_words=count_total_words(read),
        **found,
        **_measured(job),
    )
    TranscriptText.objects.filter(transcript=job.pk).update(
        raw_text=raw_text,
        corrected_text=stored_correction(text, raw_text),
        translated_text=translation,
        # This is not the sum over the windows, because a phrase may begin in one window and end in the next.
        word_counts=vocabulary_of(owner_id).count(read),
    )


def translation_of(job: TranscriptionJob) -> str | None:
    """Return the whole text as the translator has left it; None if it has not translated.

    Segments that it did not translate are there as they were said.
    """
    if not Transcript.objects.filter(job=job, translation_state__in=TRANSLATED).exists():
        return None
    columns = ("translated_text", "corrected_text", "raw_text")
    rows = job.segments.filter(kind=SegmentKind.FINAL).order_by("start_ms", "number")
    return join_texts(
        [translated or as_read(raw, corrected) for translated, corrected, raw in rows.values_list(*columns)]
    )


def _measured(job: TranscriptionJob) -> dict[str, object]:
    """Return the statistics that follow from the segments alone."""
    return job.segments.filter(kind=SegmentKind.FINAL).aggregate(
        total_segments=Count("pk"),
        average_confidence=Avg("confidence"),
        speech_span_ms=Coalesce(Max("end_ms") - Min("start_ms"), 0),
        speaking_ms=Coalesce(Sum(F("end_ms") - F("start_ms")), 0),
    )
