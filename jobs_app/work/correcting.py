"""Correct and count a completed transcript again, with the present lists of its owner.

Each run is a step of the job, claimed and leased like all work. So a job has only one run at a time. If a
process is killed in the middle, another worker repeats the run from the engine's words, and the result is the
same. The process that asks corrects a short transcript at once; a worker corrects a long one.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from jobs_app.leases import claims, queue
from jobs_app.leases.held import held, release
from jobs_app.leases.locks import lock_job
from jobs_app.leases.ranks import rank
from jobs_app.lifecycle.starting import work_columns
from jobs_app.lifecycle.summary import translation_of
from jobs_app.models import (
    WORK_OPEN,
    ChunkTranscription,
    JobPriority,
    JobStatus,
    JobStep,
    LeasedWork,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.models.stored_words import decode_words
from jobs_app.models.transcripts import Segment, Transcript, stored_correction
from jobs_app.vocabulary.vocabulary import correction_columns, vocabulary_of
from jobs_app.work.guard import LeaseLost
from speech.text.spacing import join_texts
from speech.text.words import count_total_words
from speech.types import SpeechSegment

logger = logging.getLogger(__name__)

Corrected = TypeVar("Corrected", Segment, ChunkTranscription)

ROWS_AT_ONCE = 500


class Outcome(Enum):
    """The result of asking for a correction."""

    DONE = "done"
    BEGUN = "begun"
    """A worker will do the correction, or is doing it."""
    ALREADY = "already"
    """An earlier run has not ended, so no second one was begun."""
    NO_TRANSCRIPT = "no transcript"


def apply_again(job_id: uuid.UUID) -> Outcome:
    """Correct and count a completed job again, or leave it to a worker if the transcript is long."""
    with transaction.atomic():
        job = lock_job(job_id)
        if job is None or job.status != JobStatus.COMPLETED:
            return Outcome.NO_TRANSCRIPT
        steps = job.steps.filter(kind=StepKind.CORRECT)
        if steps.filter(status__in=WORK_OPEN).exists():
            return Outcome.ALREADY
        steps.delete()
        # A person waits for this step. So it comes after the owner's interactive work, and before the owner's
        # uploads.
        columns = work_columns(job, job.owner_id)
        columns |= {"rank": rank(interactive=False, priority=JobPriority.HIGH), "left_ms": 0}
        step = JobStep.objects.create(kind=StepKind.CORRECT, **columns)
        # The step is claimed in the same transaction, so that no worker can take it before.
        mine = claims.take(JobStep, step.pk) if _is_short(job) else None
        if mine is None:
            queue.wake_on_commit()
            return Outcome.BEGUN
    try:
        correct(mine)
    except (LeaseLost, OperationalError, InterfaceError):
        # When the lease is over, a worker does the step.
        logger.warning("%s could not be done at once", mine, exc_info=True)
        return Outcome.BEGUN
    return Outcome.DONE


def state_of(job: TranscriptionJob) -> str:
    """Return `waiting`, `running` or `failed`; empty if no correction was asked for, or if it is done.

    This costs one query for a completed job, and none for any other.
    """
    if job.status != JobStatus.COMPLETED:
        return ""
    steps = job.steps.filter(kind=StepKind.CORRECT)
    told = steps.filter(status__in=(*WORK_OPEN, WorkStatus.FAILED))
    return told.values_list("status", flat=True).first() or ""


def correct(step: LeasedWork, *, on_progress: Callable[[int], object] = lambda done_ms: None) -> None:
    """Do a step that was claimed. The result is that of the lists as they are when the step ends.

    Raises:
        LeaseLost: the job was deleted, or the step now belongs to another run.
    """
    while not _correct_once(step, on_progress):
        logger.info("%s: the lists have changed meanwhile", step)


def _is_short(job: TranscriptionJob) -> bool:
    return (job.duration_ms or 0) <= settings.CORRECT_AT_ONCE_S * 1000


def _correct_once(step: LeasedWork, on_progress: Callable[[int], object]) -> bool:
    """Correct everything once, and store it. Return False if the lists have changed meanwhile.

    The whole result is computed before the first write, and is written in short transactions, because SQLite
    lets no other process write during one.
    """
    transcript = Transcript.objects.select_related("texts", "job").get(job=step.job_id)
    whole, vocabulary = transcript.texts, vocabulary_of(step.owner_id)
    texts: dict[int | None, list[str]] = defaultdict(list)
    changed = []
    # Not by number: parts that were cut from a segment have later ones.
    for row in Segment.objects.filter(job=step.job_id).order_by("start_ms", "number").iterator():
        on_progress(0)
        raw = SpeechSegment(
            row.start_ms, row.end_ms, row.raw_text, words=decode_words(row.raw_words, row.raw_text)
        )
        corrected = vocabulary.correct(raw)
        texts[row.window_id].append(corrected.text)
        columns = correction_columns(raw, corrected)
        if any(getattr(row, name) != value for name, value in columns.items()):
            for name, value in columns.items():
                setattr(row, name, value)
            changed.append(row)
    windows = list(ChunkTranscription.objects.filter(job=step.job_id).order_by("start_ms"))
    for window in windows:
        window.corrected_text = join_texts(texts[window.pk])
        window.word_counts = vocabulary.count(window.corrected_text)
    text = join_texts([window.corrected_text for window in windows])
    whole.corrected_text = stored_correction(text, whole.raw_text)

    read_until = transcript.job.next_segment
    if not (
        _store(step, changed, ["corrected_text", "corrected_words"], read_until)
        and _store(step, windows, ["corrected_text", "word_counts"], read_until)
    ):
        return False
    with _holding(step) as next_segment:
        # Somebody who changes the lists while this runs, and asks for a correction, is told that one is
        # running. So this run must use the new lists.
        if next_segment != read_until or vocabulary_of(step.owner_id) != vocabulary:
            return False
        # What the translator did not translate may have been corrected.
        whole.translated_text = translation_of(transcript.job)
        # This is not the sum over the windows, because a phrase may begin in one window and end in the next.
        whole.word_counts = vocabulary.count(whole.text)
        transcript.total_words = count_total_words(whole.text)
        whole.save(update_fields=["corrected_text", "translated_text", "word_counts"])
        transcript.save(update_fields=["total_words"])
        release(step, WorkStatus.DONE, error_code="", error="")
    return True


def _store(step: LeasedWork, rows: list[Corrected], columns: list[str], read_until: int) -> bool:
    """Store the columns of rows that were read when the job's next segment was `read_until`.

    Return False if segments have been cut or joined since then, because somebody else speaks in them. The
    text that was read of such a segment may be that of two by now.
    """
    for i in range(0, len(rows), ROWS_AT_ONCE):
        with _holding(step) as next_segment:
            if next_segment != read_until:
                return False
            # `bulk_update` would take a hundred times as long.
            type(rows[0])._default_manager.bulk_create(
                rows[i : i + ROWS_AT_ONCE], update_conflicts=True, unique_fields=["pk"], update_fields=columns
            )
    return True


@contextmanager
def _holding(step: LeasedWork) -> Iterator[int]:
    """Open a short transaction that locks the job, and in which this run may write.

    Yield the number of the job's next segment, which is another one when segments were cut or joined.

    Raises:
        LeaseLost: this run no longer holds its lease, and may not write.
    """
    with transaction.atomic():
        # The job's texts are not read here. Deleting a job deletes the step, too.
        jobs = TranscriptionJob.objects.select_for_update().order_by()
        found = list(jobs.filter(pk=step.job_id).values_list("next_segment", flat=True))  # type: ignore[misc]  # it has a job
        if not held(step).exists():
            raise LeaseLost(str(step))
        yield found[0]
