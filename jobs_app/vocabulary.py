"""A person's corrections and target words, applied to what the engine said."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from jobs_app.models import JobStatus, Segment, TranscriptionJob
from jobs_app.vocabulary_models import Correction, TargetList
from speech.corrections import Corrector, Replacement
from speech.cues import join_texts
from speech.phrases import count_phrases
from speech.types import SpeechSegment, Word
from speech.words import count_total_words, count_words

ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`targets` are the phrases that are counted, as the person wrote them, each once."""

    corrector: Corrector
    targets: tuple[str, ...]

    def correct(self, segment: SpeechSegment) -> SpeechSegment:
        """The segment corrected; the same object where nothing is to correct."""
        return self.corrector.correct(segment)

    def count(self, text: str) -> dict[str, int]:
        """How often each target word is in a corrected text, 0 included; without targets: every word."""
        return count_phrases(text, self.targets) if self.targets else count_words(text)

    def segment_columns(self, raw: SpeechSegment) -> dict[str, Any]:
        """The text and words of a `Segment` row, raw and corrected, of what the engine said."""
        corrected = self.correct(raw)
        return {
            "raw_text": raw.text,
            "text": corrected.text,
            "raw_words": [] if corrected.words == raw.words else _as_json(raw.words),
            "words": _as_json(corrected.words),
        }


def vocabulary_of(owner_id: int) -> Vocabulary:
    """What a person's lists say now. Two queries."""
    corrections = Correction.objects.filter(owner=owner_id).values_list(
        "from_text", "to_text", "whole_word", "match_case"
    )
    return Vocabulary(
        corrector=Corrector(Replacement(*values) for values in corrections), targets=targets_of(owner_id)
    )


def targets_of(owner_id: int) -> tuple[str, ...]:
    """The target words of all lists of a person, each once. One query."""
    lists = TargetList.objects.filter(owner=owner_id).values_list("words", flat=True)
    return tuple(dict.fromkeys(word for words in lists for word in words))


@transaction.atomic
def apply_again(job_id: uuid.UUID) -> bool:
    """Correct and count a completed job anew with its owner's present lists. False: it is not completed.

    From what the engine said, so that doing it twice changes nothing.
    """
    job = TranscriptionJob.objects.select_for_update().filter(pk=job_id).first()
    if job is None or job.status != JobStatus.COMPLETED:
        return False
    vocabulary = vocabulary_of(job.session.owner_id)
    texts: dict[int, list[str]] = defaultdict(list)
    changed = []
    for row in job.segments.order_by("window", "number").iterator():
        columns = vocabulary.segment_columns(_raw(row))
        texts[row.window_id].append(columns["text"])
        if any(getattr(row, name) != value for name, value in columns.items()):
            for name, value in columns.items():
                setattr(row, name, value)
            changed.append(row)
    _store(changed, ["raw_text", "text", "raw_words", "words"])

    windows = list(job.chunktranscriptions.order_by("start_ms"))
    for window in windows:
        window.corrected_text = join_texts(texts[window.pk])
        window.word_counts = vocabulary.count(window.corrected_text)
    _store(windows, ["corrected_text", "word_counts"])

    job.raw_text = join_texts([window.raw_text for window in windows])
    job.transcript = join_texts([window.corrected_text for window in windows])
    # Not the sum over the windows: a phrase may begin in one and end in the next.
    job.word_counts = vocabulary.count(job.transcript)
    job.total_words = count_total_words(job.transcript)
    job.save(update_fields=["raw_text", "transcript", "word_counts", "total_words"])
    return True


def _raw(row: Segment) -> SpeechSegment:
    """What the engine said. Rows from before there were corrections have no text but that."""
    return SpeechSegment(
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        text=row.raw_text or row.text,
        words=tuple(
            Word(word["start_ms"], word["end_ms"], word["word"], word["confidence"])
            for word in row.raw_words or row.words
        ),
    )


def _as_json(words: tuple[Word, ...]) -> list[dict[str, Any]]:
    return [
        {"start_ms": w.start_ms, "end_ms": w.end_ms, "word": w.text, "confidence": w.confidence}
        for w in words
    ]


def _store(rows: list[Any], columns: list[str]) -> None:
    """Write the columns of many rows. `bulk_update` takes a hundred times as long."""
    if rows:
        type(rows[0])._default_manager.bulk_create(
            rows,
            batch_size=ROWS_AT_ONCE,
            update_conflicts=True,
            unique_fields=["pk"],
            update_fields=columns,
        )
