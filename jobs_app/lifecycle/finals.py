"""The final texts of a recording that is heard live: stored as they come, and made into segments in batches.

A final is stored in the job's `LiveText` with the number of its segment before anybody sees it. So what
people have seen once never changes, and is in the transcript.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, Max
from django.db.models.functions import Now

from jobs_app.leases import queue
from jobs_app.leases.held import held
from jobs_app.leases.locks import lock_job
from jobs_app.leases.ranks import rank_of
from jobs_app.models import ChunkTranscription, JobStep, LiveText, Segment, TranscriptionJob, WorkStatus
from jobs_app.models.live import StoredFinal, StoredInterim
from jobs_app.models.stored_words import encode_words
from jobs_app.vocabulary.vocabulary import correction_columns, corrector_of, vocabulary_of
from speech.live.draft import agreed
from speech.text.spacing import join_texts
from speech.types import SpeechSegment

if TYPE_CHECKING:
    from speech.live.listening import Final, Interim
    from speech.text.corrections import Corrector

logger = logging.getLogger(__name__)

NOT_PLACED_YET = timedelta(days=1)
"""A window whose audio has no place on the timeline yet waits, until a preparation has placed the audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a recording has come, in milliseconds, and whether there is time for interims."""

    received_ms: int
    heard_ms: int
    interims: bool = True


def store_final(step: JobStep, final: Final, position: Position, *, language: str) -> bool:
    """Store what was heard of an utterance, corrected, and end the interim.

    Return False, and store nothing, if the step no longer belongs to this run. A final that is stored already
    is not stored again. `language` is that of the recording, or empty while it is not decided.
    """
    vocabulary = vocabulary_of(step.owner_id)
    corrected = [vocabulary.correct(segment) for segment in final.segments]
    with transaction.atomic():
        job = lock_job(step.job_id)
        # The next utterance is tried for the first time.
        if job is None or not held(step).update(attempt=1):
            return False
        live = LiveText.objects.get(job=job)
        if final.cut_ms <= live.final_ms:
            return True  # stored, but the database's answer was lost
        pairs = zip(final.segments, corrected, strict=True)
        live.finals += [
            _stored(raw, segment, number, final)
            for number, (raw, segment) in enumerate(pairs, start=job.next_segment)
        ]
        job.next_segment += len(corrected)
        job.save(update_fields=["next_segment"])
        live.interim = None
        live.final_ms = final.cut_ms
        live.language = language
        _note_position(live, position)
        live.version += 1
        live.save()
    return True


def _stored(raw: SpeechSegment, segment: SpeechSegment, number: int, final: Final) -> StoredFinal:
    columns = correction_columns(raw, segment)
    return {
        "number": number,
        "start_ms": raw.start_ms,
        "end_ms": raw.end_ms,
        "text": segment.text,
        "confidence": raw.confidence,
        "cut_ms": final.cut_ms,
        "raw_text": raw.text,
        "raw_words": encode_words(raw.words, raw.text),
        "corrected_text": columns["corrected_text"],
        "corrected_words": columns["corrected_words"],
        "language": final.language,
        "language_confidence": final.language_confidence,
    }


def _note_position(live: LiveText, position: Position) -> None:
    live.received_ms, live.heard_ms = position.received_ms, position.heard_ms
    live.interims = position.interims


@transaction.atomic
def store_interim(step: JobStep, position: Position, interim: Interim | None) -> bool:
    """Store what is being said, corrected, in place of what was being said before; or only how far the
    recording is.

    Return False, and store nothing, if the step no longer belongs to this run.
    """
    if held(step).select_for_update(no_key=True).first() is None:
        return False
    columns = {} if interim is None else {"interim": _shown(interim, corrector_of(step.owner_id))}
    LiveText.objects.filter(job=step.job_id).update(
        version=F("version") + 1,
        received_ms=position.received_ms,
        heard_ms=position.heard_ms,
        interims=position.interims,
        **columns,
    )
    return True


def _shown(interim: Interim, corrector: Corrector) -> StoredInterim:
    text = corrector.correct_text(interim.text)
    # A correction may need words behind the firm ones.
    firm = agreed(corrector.correct_text(interim.text[: interim.firm]), text)
    return {"start_ms": interim.start_ms, "end_ms": interim.end_ms, "text": text, "firm": firm}


@transaction.atomic
def store_batch(step: JobStep, cut_ms: int) -> int | None:
    """Make the finals so far into segments of a window that ends at `cut_ms`, before which all is decided.

    Return how many segments there are, or None if the step no longer belongs to this run.
    """
    job = lock_job(step.job_id)
    if job is None or not held(step).exists():
        return None
    return write_batch(job, cut_ms)


@transaction.atomic
def leave_to_workers(step: JobStep, start_ms: int, end_ms: int) -> bool:
    """Have workers transcribe `[start_ms, end_ms)`, which live hosts cannot. What comes behind goes on.

    Return False, and change nothing, if the step no longer belongs to this run.
    """
    job = lock_job(step.job_id)
    if job is None or not held(step).update(attempt=1):
        return False
    write_batch(job, start_ms)
    if end_ms > job.planned_ms:
        _add_window(
            job,
            end_ms,
            status=WorkStatus.WAITING,
            speech_ms=end_ms - job.planned_ms,
            not_before=Now() if end_ms <= _placed_ms(job) else Now() + NOT_PLACED_YET,
        )
        queue.wake_on_commit()
    LiveText.objects.filter(job=job).update(
        version=F("version") + 1, interim=None, final_ms=end_ms, heard_ms=end_ms
    )
    return True


def wait_for_places(job: TranscriptionJob) -> None:
    """Have windows wait whose audio has no place on the timeline yet: a worker would hear silence there.

    The caller holds the lock on `job`, and has it prepared again.
    """
    waiting = job.windows.filter(status=WorkStatus.WAITING, started_at=None)
    waiting.filter(end_ms__gt=_placed_ms(job)).update(not_before=Now() + NOT_PLACED_YET)


def _placed_ms(job: TranscriptionJob) -> int:
    """Return up to where the audio has its place on the timeline."""
    return (job.sound.duration_ms or 0) if job.sound.places.exists() else 0


def write_batch(job: TranscriptionJob, cut_ms: int = 0) -> int:
    """Make the job's finals into segments of a window that is done. Return how many segments there are.

    The window ends at `cut_ms`, or where the last final was cut if that is later. The caller holds the lock
    on `job`.
    """
    live = LiveText.objects.filter(job=job).first()
    finals: list[StoredFinal] = live.finals if live is not None else []
    cut_ms = max([cut_ms, *(final["cut_ms"] for final in finals)])
    if live is None or cut_ms <= job.planned_ms:
        return 0
    text = join_texts([final["text"] for final in finals])
    languages = Counter(final["language"] for final in finals)
    language = languages.most_common(1)[0][0] if finals else ""
    certain = [f["language_confidence"] or 0.0 for f in finals if f["language"] == language]
    window = _add_window(
        job,
        cut_ms,
        status=WorkStatus.DONE,
        speech_ms=sum(final["end_ms"] - final["start_ms"] for final in finals),
        progress_ms=cut_ms - job.planned_ms,
        attempt=1,
        finished_at=Now(),
        timing=("words" if all(f["raw_words"] for f in finals) else "segments") if finals else "",
        raw_text=join_texts([final["raw_text"] for final in finals]),
        corrected_text=text,
        word_counts=vocabulary_of(job.owner_id).count(text) if finals else {},
        detected_language=language,
        language_confidence=sum(certain) / len(certain) if certain else None,
    )
    segments = live.segments()
    for segment in segments:
        segment.window = window
    Segment.objects.bulk_create(segments)
    LiveText.objects.filter(job=job).update(version=F("version") + 1, finals=[])
    logger.info("%s: %s finals became segments, up to %s ms", job, len(finals), cut_ms)
    return len(segments)


def _add_window(job: TranscriptionJob, end_ms: int, **columns: object) -> ChunkTranscription:
    """Add a window from where the job is planned to `end_ms`, up to which it is planned then."""
    last = job.windows.aggregate(last=Max("number"))["last"]
    window = ChunkTranscription.objects.create(
        job=job,
        owner_id=job.owner_id,
        rank=rank_of(job),
        queued_at=job.created_at,
        number=0 if last is None else last + 1,
        start_ms=job.planned_ms,
        end_ms=end_ms,
        engine=job.engine,
        model=job.model,
        **columns,
    )
    job.planned_ms = end_ms
    job.save(update_fields=["planned_ms"])
    return window
