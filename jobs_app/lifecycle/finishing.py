"""End windows and jobs. Each function is one short transaction, or part of one.

It locks the job before its work. Otherwise, two workers that finish the last two windows of a job could each
leave the closing to the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from django.db import transaction

from jobs_app.engines import usage
from jobs_app.leases import queue
from jobs_app.leases.held import release
from jobs_app.leases.locks import lock_job
from jobs_app.leases.ranks import note_left
from jobs_app.lifecycle.carrying import carry_names
from jobs_app.lifecycle.ending import end_job
from jobs_app.lifecycle.languages import hear_outvoted_again
from jobs_app.lifecycle.laying import lay_translations, note_laid
from jobs_app.lifecycle.starting import add_step, prepare_again, start_refinement, to_be_refined
from jobs_app.lifecycle.summary import summarise
from jobs_app.lifecycle.untranslated import begin_translation, is_translation_due
from jobs_app.lifecycle.voices import are_speakers_due, begin_speakers, hear_voices_so_far, keep_voices
from jobs_app.models import (
    JOB_ACTIVE,
    WORK_OPEN,
    ChunkTranscription,
    JobStatus,
    JobStep,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.models.stored_words import encode_words
from jobs_app.models.transcripts import Segment
from jobs_app.vocabulary.vocabulary import correction_columns, vocabulary_of
from speech.text.spacing import join_texts
from speech.translation.laying import timed_words
from speech.types import SpeechSegment, Transcription

NOT_OF_ALL = (StepKind.LIVE, StepKind.SPEAKERS, StepKind.TRANSLATE)
"""The steps that only some jobs have before they are finished."""


@transaction.atomic
def finish_window(window: ChunkTranscription, result: Transcription, voices: bytes | None = None) -> bool:
    """Store the engine's result, and what was heard of the voices. `voices` is None if they were not heard.

    Return False, and drop the result, if the window no longer belongs to this run.

    Times of `result` are on the session's timeline.
    """
    vocabulary = vocabulary_of(window.owner_id)
    corrected = [vocabulary.correct(segment) for segment in result.segments]
    text = join_texts([segment.text for segment in corrected])
    job = lock_job(window.job_id)
    if job is None or not release(
        window,
        WorkStatus.DONE,
        progress_ms=window.duration_ms,
        raw_text=join_texts([segment.text for segment in result.segments]),
        corrected_text=text,
        word_counts=vocabulary.count(text),
        detected_language=result.language,
        language_confidence=result.language_confidence,
        language_probabilities=dict(result.language_probabilities),
        timing=result.timing if result.segments else "",
        translation=timed_words(result.translation),
        outage_since=None,
        error_code="",
        error="",
    ):
        return False
    usage.add(window, result.requests, audio_ms=result.audio_ms)
    _store_segments(job, window, zip(result.segments, corrected, strict=True))
    if result.translation:
        window.translation = timed_words(result.translation)
        lay_translations([window])
    hear_outvoted_again(job)
    if job.planned and 2 * ((job.duration_ms or 0) - window.end_ms) <= window.left_ms:
        note_left(job)
    if voices is not None:
        keep_voices(window, voices)
    else:
        hear_voices_so_far(job, owner_id=window.owner_id)
    close_if_complete(job, owner_id=window.owner_id)
    return True


def _store_segments(
    job: TranscriptionJob, window: ChunkTranscription, heard: Iterable[tuple[SpeechSegment, SpeechSegment]]
) -> None:
    """Replace the segments of a window.

    `heard` has pairs: what the engine said, and the same after correction.

    The caller holds the lock on `job`.
    """
    window.segments.all().delete()
    segments = [
        Segment(
            job=job,
            window=window,
            number=number,
            start_ms=raw.start_ms,
            end_ms=raw.end_ms,
            confidence=raw.confidence,
            speaker=raw.speaker,
            language=raw.language,
            raw_text=raw.text,
            raw_words=encode_words(raw.words, raw.text),
            **correction_columns(raw, segment),
        )
        for number, (raw, segment) in enumerate(heard, start=job.next_segment)
    ]
    Segment.objects.bulk_create(segments)
    job.next_segment += len(segments)
    job.save(update_fields=["next_segment"])


def close_if_complete(job: TranscriptionJob, *, owner_id: int) -> None:
    """Add the next step if every window is done: SPEAKERS and TRANSLATE if they are asked for, and FINISH.

    Fail the job if a window failed and none is left to do.

    The caller holds the lock on `job`.
    """
    if job.status not in JOB_ACTIVE or job.steps.filter(status__in=WORK_OPEN).exists():
        return
    if not job.planned:
        # More audio will come, or some has come and no preparation has looked at it yet.
        if job.session.finished_at is not None:
            prepare_again(job, owner_id=owner_id)
        return
    by_status = Counter(job.windows.order_by().values_list("status", flat=True))
    if any(by_status[s] for s in WORK_OPEN):
        return
    if by_status[WorkStatus.FAILED]:
        failed = job.windows.filter(status=WorkStatus.FAILED).order_by("start_ms").first()
        assert failed is not None  # noqa: S101  counted above, under the job's lock
        end_job(job, JobStatus.FAILED, error_code=failed.error_code, error=failed.error)
    elif list(job.steps.exclude(kind__in=NOT_OF_ALL).values_list("kind", "status")) == [
        (StepKind.PREPARE, WorkStatus.DONE)
    ]:
        if are_speakers_due(job):
            begin_speakers(job, owner_id=owner_id)
            return
        # Segments are cut where another person begins, so they are translated after that.
        if is_translation_due(job) and begin_translation(job, owner_id=owner_id):
            return
        add_step(job, StepKind.FINISH, owner_id=owner_id)
        queue.wake_on_commit()


@transaction.atomic
def finish_job(step: JobStep) -> bool:
    """Join the results of the windows and complete the job.

    Return False if the step no longer belongs to this run.
    """
    assert step.job_id is not None  # noqa: S101  finishing is of a job
    found = TranscriptionJob.objects.select_related("session").filter(pk=step.job_id).first()
    # The session is locked before the job, in the same order as when the session is deleted.
    session = None if found is None else found.session.lock()
    job = lock_job(step.job_id)
    if session is None or job is None or not release(step, WorkStatus.DONE, error_code="", error=""):
        return False
    note_laid(job)
    summarise(job, owner_id=step.owner_id)
    carry_names(job)
    end_job(job, JobStatus.COMPLETED, progress=100)
    session.job_completed(job)
    if to_be_refined(job):
        # In the same transaction, so that no recording is forgotten if the process is killed.
        start_refinement(session, job)
    return True
