"""Every change of a job's state, and of its work's, but for the claim, for failures, and for plans.

Each function is one short transaction. Those that touch a job lock its row first, then its work: two
workers that finish a job's last two windows must not each leave the closing to the other.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from jobs_app import claims, queue, usage
from jobs_app.models import (
    JOB_ACTIVE,
    WORK_OPEN,
    ChunkTranscription,
    JobPriority,
    JobStage,
    JobStatus,
    JobStep,
    LeasedWork,
    Segment,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.options import JobOptions
from jobs_app.summary import summarise
from jobs_app.vocabulary import vocabulary_of
from speech.cues import join_texts
from speech.types import Transcription

if TYPE_CHECKING:
    from sessions_app.models import RecordingSession

logger = logging.getLogger(__name__)


class AlreadyTranscribing(Exception):
    """The session has a job that has not ended."""


# --- Starting ------------------------------------------------------------------------------------


@transaction.atomic
def start_job(
    session: RecordingSession,
    options: JobOptions,
    *,
    filename: str = "",
    duration_ms: int | None = None,
    interactive: bool = False,
) -> TranscriptionJob:
    """Create a job; a worker is woken when the transaction commits.

    While the session is being recorded its job has nothing to do until `audio_arrived`. Such a job is always
    `interactive`: it comes before all others.

    Raises:
        AlreadyTranscribing: the constraint one_active_job_per_session decides, not a look before.
    """
    recording = session.finished_at is None
    try:
        with transaction.atomic():
            job = TranscriptionJob.objects.create(
                session=session,
                filename=filename,
                engine=options.engine,
                model=options.model,
                language=options.language,
                translate_to=options.translate_to,
                with_diarization=options.diarize,
                num_speakers=options.num_speakers,
                prompt=options.prompt,
                temperature=options.temperature,
                fallback_engine=options.fallback_engine,
                fallback_model=options.fallback_model,
                priority=options.priority,
                interactive=interactive or recording,
                duration_ms=duration_ms,
            )
    except IntegrityError as e:
        raise AlreadyTranscribing from e
    job.refresh_from_db()
    if not recording:
        _take_timeline(job)
        _add_step(job, StepKind.PREPARE, owner_id=session.owner_id)
        queue.wake_on_commit()
    return job


def _take_timeline(job: TranscriptionJob) -> None:
    """Give a job of a recording that has ended the timeline of its other jobs, which its audio is joined by.

    Where none has planned it to the end, it is measured anew: a chunk may have come since they ended.
    """
    measured = job.session.jobs.filter(planned=True).order_by("-created_at", "-pk").first()
    if measured is None:
        job.session.chunks.update(start_sample=None, sample_count=None)
        measured = TranscriptionJob()
    job.gaps, job.decode_report, job.planned_ms = measured.gaps, measured.decode_report, 0
    job.save(update_fields=["gaps", "decode_report", "planned_ms"])


def audio_arrived(session: RecordingSession) -> None:
    """Have new audio of `session`, or its end, taken into the plan of its job.

    To be called in the transaction that stores the audio, or `finished_at`.
    """
    job = session.jobs.active().select_for_update().first()
    if job is not None and not job.planned:
        _prepare_again(job, owner_id=session.owner_id)


def _prepare_again(job: TranscriptionJob, *, owner_id: int) -> None:
    """The caller holds the lock on `job`. A preparation that is running looks for itself when it ends."""
    steps = job.jobsteps.filter(kind=StepKind.PREPARE)
    # One that waits after an error keeps waiting; one that waits for a missing piece need not.
    again = steps.filter(Q(status=WorkStatus.DONE) | Q(status=WorkStatus.WAITING, error_code=""))
    if again.update(status=WorkStatus.WAITING, attempt=0, not_before=Now(), finished_at=None):
        queue.wake_on_commit()
    elif not steps.exists():
        _add_step(job, StepKind.PREPARE, owner_id=owner_id)
        queue.wake_on_commit()


def _add_step(job: TranscriptionJob, kind: StepKind, *, owner_id: int) -> None:
    JobStep.objects.create(kind=kind, **work_columns(job, owner_id))


def work_columns(job: TranscriptionJob, owner_id: int) -> dict[str, Any]:
    return {
        "job": job,
        "owner_id": owner_id,
        "rank": claims.rank(interactive=job.interactive, priority=job.priority),
        "queued_at": job.created_at,
    }


@transaction.atomic
def note_start(work: LeasedWork) -> None:
    """Tell the job that one of its units has been claimed, if it still is."""
    job = lock_job(work.job_id)
    if job is None or not claims.held(work).exists():
        return
    stage = JobStage.TRANSCRIBING
    if isinstance(work, JobStep):
        if work.kind == StepKind.JOIN:
            return  # the job has ended
        stage = JobStage.PREPARING if work.kind == StepKind.PREPARE else JobStage.FINISHING
    TranscriptionJob.objects.filter(pk=job.pk).update(
        status=JobStatus.PROCESSING, stage=stage, started_at=Coalesce(F("started_at"), Now())
    )


def note_progress(work: LeasedWork, progress: int) -> None:
    """Raise the job's progress to `progress` per cent; it never falls."""
    TranscriptionJob.objects.filter(
        pk=work.job_id, status=JobStatus.PROCESSING, progress__lt=progress
    ).update(progress=progress)


# --- Finishing -----------------------------------------------------------------------------------


def lock_job(job_id: uuid.UUID) -> TranscriptionJob | None:
    return TranscriptionJob.objects.select_for_update().filter(pk=job_id).first()


def release(
    work: LeasedWork, status: WorkStatus, *, still: Mapping[str, Any] | None = None, **columns: Any
) -> bool:
    """End this run of `work`. False: it holds the lease no longer, and must write nothing.

    `still`: what else must be true of the row.
    """
    ended = {"finished_at": Now()} if status != WorkStatus.WAITING else {}
    row = claims.held(work).filter(**still or {})
    return bool(row.update(status=status, lease_token="", lease_until=None, **ended, **columns))


@transaction.atomic
def finish_window(window: ChunkTranscription, result: Transcription) -> bool:
    """Store what the engine heard. False: the window is no longer this run's; the result is dropped.

    Times of `result` are on the session's timeline.
    """
    vocabulary = vocabulary_of(window.owner_id)
    columns = [vocabulary.segment_columns(segment) for segment in result.segments]
    text = join_texts([column["text"] for column in columns])
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
        timing=result.timing if result.segments else "",
        outage_since=None,
        error_code="",
        error="",
    ):
        return False
    usage.add(window, result.requests, audio_ms=result.audio_ms)
    window.segments.all().delete()
    Segment.objects.bulk_create(
        Segment(
            job=job,
            window=window,
            number=number,
            start_ms=s.start_ms,
            end_ms=s.end_ms,
            confidence=s.confidence,
            speaker=s.speaker,
            **columns[number],
        )
        for number, s in enumerate(result.segments)
    )
    close_if_complete(job, owner_id=window.owner_id)
    return True


def close_if_complete(job: TranscriptionJob, *, owner_id: int) -> None:
    """Add the last step when every window is done; fail the job when one failed and none is left to do.

    The caller holds the lock on `job`.
    """
    if job.status not in JOB_ACTIVE or job.jobsteps.filter(status__in=WORK_OPEN).exists():
        return
    if not job.planned:
        # More audio will come, or it has and nobody has looked.
        if job.session.finished_at is not None:
            _prepare_again(job, owner_id=owner_id)
        return
    by_status = Counter(job.chunktranscriptions.order_by().values_list("status", flat=True))
    if any(by_status[s] for s in WORK_OPEN):
        return
    if by_status[WorkStatus.FAILED]:
        failed = job.chunktranscriptions.filter(status=WorkStatus.FAILED).order_by("start_ms").first()
        assert failed is not None  # noqa: S101  counted above, under the job's lock
        end_job(job, JobStatus.FAILED, error_code=failed.error_code, error=failed.error)
    elif list(job.jobsteps.values_list("kind", "status")) == [(StepKind.PREPARE, WorkStatus.DONE)]:
        _add_step(job, StepKind.FINISH, owner_id=owner_id)
        queue.wake_on_commit()


@transaction.atomic
def finish_job(step: JobStep) -> bool:
    """Join the windows and complete the job. False: the step is no longer this run's."""
    job = lock_job(step.job_id)
    if job is None or not release(step, WorkStatus.DONE, error_code="", error=""):
        return False
    job.save(update_fields=summarise(job, owner_id=step.owner_id))
    end_job(job, JobStatus.COMPLETED, progress=100)
    if _in_pieces(job):
        # Behind everything that somebody waits for the text of, before all uploads.
        rank = claims.rank(interactive=False, priority=JobPriority.HIGH)
        columns = {**work_columns(job, step.owner_id), "rank": rank}
        JobStep.objects.create(kind=StepKind.JOIN, **columns)
        queue.wake_on_commit()
    return True


def _in_pieces(job: TranscriptionJob) -> bool:
    """Whether the recording has to be joined before it can be played as one."""
    chunks = job.session.chunks
    return not job.session.joined and (chunks.count() > 1 or chunks.filter(number__gt=0).exists())


@transaction.atomic
def finish_joining(step: JobStep, *, stored: str, size_bytes: int) -> bool:
    """Note where the recording is in one file. False: the step is no longer this run's."""
    # Before the job, as whoever deletes the session does.
    sessions = type(step.job.session)._default_manager.filter(pk=step.job.session_id)
    session = sessions.select_for_update(no_key=True).first()
    if session is None or lock_job(step.job_id) is None:
        return False
    if not release(step, WorkStatus.DONE, error_code="", error=""):
        return False
    session.joined = stored
    session.joined_bytes = size_bytes
    session.save(update_fields=["joined", "joined_bytes"])
    return True


def end_job(job: TranscriptionJob, status: JobStatus, **columns: Any) -> None:
    """The last change of a run. The caller holds the lock on `job`."""
    TranscriptionJob.objects.filter(pk=job.pk).update(
        status=status, stage=JobStage.ENDED, completed_at=Now(), **columns
    )
    _cancel_work(job)
    logger.info("%s %s %s", job, status, columns.get("error_code", ""))


def _cancel_work(job: TranscriptionJob) -> None:
    for model in claims.WORK_MODELS:
        model._default_manager.filter(job=job, status__in=WORK_OPEN).update(
            status=WorkStatus.CANCELLED, lease_token="", lease_until=None, finished_at=Now()
        )


# --- What people do ------------------------------------------------------------------------------


@transaction.atomic
def cancel_job(job_id: uuid.UUID) -> bool:
    """False: the job had already ended. A worker in the middle of it notices within seconds."""
    job = lock_job(job_id)
    if job is None or job.status not in JOB_ACTIVE:
        return False
    end_job(job, JobStatus.CANCELLED)
    return True


@transaction.atomic
def delete_job(job_id: uuid.UUID) -> None:
    """Delete a job in any state; a worker in the middle of it notices within seconds."""
    if lock_job(job_id) is not None:
        cancel_job(job_id)
        TranscriptionJob.objects.filter(pk=job_id).delete()


def end_jobs_of(session: RecordingSession) -> None:
    """Cancel the session's jobs and keep their locks, so that it can be deleted in this transaction."""
    # All of them, and before their windows: whoever changes a window has locked its job first.
    for job in session.jobs.select_for_update().order_by("pk"):
        cancel_job(job.pk)


@transaction.atomic
def retry_job(job_id: uuid.UUID) -> bool:
    """Run a failed job again with its options; what is done stays done. False: it has not failed.

    Raises:
        AlreadyTranscribing: the session has another job that has not ended.
    """
    job = lock_job(job_id)
    if job is None or job.status != JobStatus.FAILED:
        return False
    try:
        with transaction.atomic():
            TranscriptionJob.objects.filter(pk=job.pk).update(
                status=JobStatus.PENDING,
                stage=JobStage.WAITING,
                attempt=F("attempt") + 1,
                error_code="",
                error="",
                started_at=None,
                completed_at=None,
            )
    except IntegrityError as e:
        raise AlreadyTranscribing from e
    if not job.planned and job.session.finished_at is not None and job.session.jobs.count() > 1:
        # The others have measured the recording since; what was planned lies on another timeline.
        job.chunktranscriptions.all().delete()
        _take_timeline(job)
    # The failed ones anew with the first engine: what kept it from doing them may be over.
    windows = {"engine": job.engine, "model": job.model, "fallback_reason": "", "outage_since": None}
    for model in claims.WORK_MODELS:
        model._default_manager.filter(job=job, status__in=(WorkStatus.FAILED, WorkStatus.CANCELLED)).update(
            status=WorkStatus.WAITING,
            attempt=0,
            not_before=Now(),
            error_code="",
            error="",
            **(windows if model is ChunkTranscription else {}),
        )
    if not job.planned:
        # More of the recording may have come since the job failed.
        _prepare_again(job, owner_id=job.session.owner_id)
    queue.wake_on_commit(settings.WORKERS)
    return True


@transaction.atomic
def change_priority(job_id: uuid.UUID, priority: str) -> bool:
    """False: the job has ended."""
    job = lock_job(job_id)
    if job is None or job.status not in JOB_ACTIVE:
        return False
    job.priority = JobPriority(priority)
    job.save(update_fields=["priority"])
    new_rank = claims.rank(interactive=job.interactive, priority=priority)
    for model in claims.WORK_MODELS:
        model._default_manager.filter(job=job).update(rank=new_rank)
    return True


@transaction.atomic
def close(job_id: uuid.UUID) -> None:
    """Close a job whose work has all ended, if something kept it from closing. For the sweeper."""
    job = lock_job(job_id)
    if job is not None:
        close_if_complete(job, owner_id=job.session.owner_id)


def unclosed() -> list[uuid.UUID]:
    """Active jobs without open work: something ended between two of its transactions."""
    jobs = TranscriptionJob.objects.active()
    for model in claims.WORK_MODELS:
        jobs = jobs.exclude(pk__in=model._default_manager.filter(status__in=WORK_OPEN).values("job"))
    return list(jobs.values_list("pk", flat=True))
