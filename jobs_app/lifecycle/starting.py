"""Start jobs, and add new audio of a recording to its job.

Each function is one short transaction, or part of one, which locks the job before its work.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from jobs_app.engines.offered import capabilities_of
from jobs_app.engines.resolving import track_wish
from jobs_app.leases import queue
from jobs_app.leases.held import held
from jobs_app.leases.locks import lock_job
from jobs_app.leases.ranks import rank_of
from jobs_app.lifecycle.ending import cancel_refinement
from jobs_app.lifecycle.sound_tracks import sound_of
from jobs_app.models import (
    JOB_ACTIVE,
    UNKNOWN_LEFT_MS,
    JobKind,
    JobPriority,
    JobStage,
    JobStatus,
    JobStep,
    LeasedWork,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.models.options import JobOptions
from jobs_app.recordings import Recording
from rest.refusals import Refusal
from speech.languages.prior import likely_odds, read_odds, written_odds

if TYPE_CHECKING:
    from people_app.models import User


STAGES = {
    StepKind.PREPARE: JobStage.PREPARING,
    StepKind.LIVE: JobStage.TRANSCRIBING,
    StepKind.TRANSLATE: JobStage.TRANSLATING,
}
"""The stage of a job that one of these steps begins."""
RECENT_JOBS = 10
"""So many recordings of a person tell which language the next one is likely to be in."""


class AlreadyTranscribing(Refusal):
    """The session has a job that has not ended."""

    status = 409
    code = "already_transcribing"
    sentence = "This recording is being transcribed. Wait until that has ended, or cancel it."


@transaction.atomic
def start_job(
    session: Recording,
    options: JobOptions,
    *,
    filename: str = "",
    duration_ms: int | None = None,
    interactive: bool = False,
) -> TranscriptionJob:
    """Create a job. A worker is woken when the transaction commits.

    While the session is being recorded, its job has nothing to do until `audio_arrived` is called. Such a job
    is always `interactive`: it comes before all others. Its priority orders the work of the session's owner.
    It also orders the work of all people if the owner has the permission prioritise_over_others. A refinement
    of the session is cancelled.

    Raises:
        AlreadyTranscribing: the session has an active job. The constraint one_active_job_per_session decides
            this, not an earlier query.
    """
    options = with_recent_languages(options, session.owner_id)
    cancel_refinement(session)
    recording = session.finished_at is None
    sound = sound_of(session, track_wish(options), duration_ms)
    try:
        with transaction.atomic():
            job = TranscriptionJob.objects.create_with(
                options,
                session=session,
                owner_id=session.owner_id,
                sound=sound,
                planned_version=sound.version,
                filename=filename,
                priority_among_all=may_prioritise(session.owner, options.priority),
                interactive=interactive or recording,
            )
    except IntegrityError as e:
        raise AlreadyTranscribing from e
    job.refresh_from_db()
    session.job_started(job)
    if not recording:
        add_step(job, StepKind.PREPARE, owner_id=session.owner_id)
        queue.wake_on_commit()
    return job


def with_recent_languages(options: JobOptions, owner_id: int) -> JobOptions:
    """Return the options of a new job with what its owner's last recordings tell of its language."""
    if options.language or not capabilities_of(options.engine, options.model).detects_language:
        return options
    jobs = TranscriptionJob.objects.runs().filter(owner=owner_id, status=JobStatus.COMPLETED)
    known = jobs.filter(transcript__language_is_guess=False).order_by("-created_at", "-pk")
    spoken = [
        chosen or found
        for chosen, found in known.values_list("language", "transcript__detected_language")[:RECENT_JOBS]
    ]
    odds = likely_odds(known=read_odds(options.likely_languages), recent=filter(None, spoken))
    return replace(options, likely_languages=written_odds(odds))


def to_be_refined(job: TranscriptionJob) -> bool:
    """Whether a job that completes is followed by a refinement, because some of its text was heard live."""
    # No worker has begun such a window, or a silent one.
    heard_live = job.windows.filter(status=WorkStatus.DONE, started_at=None, speech_ms__gt=0)
    wanted = settings.LIVE_REFINE and job.kind == JobKind.RUN and job.short_options.refine
    return wanted and heard_live.exists()


def start_refinement(session: Recording, job: TranscriptionJob) -> None:
    """Create the job that hears the sound of `job` once more. The caller holds the locks on both.

    It comes after the work of all people. Nothing that fails in it goes to another engine, because nobody
    asked for that or waits for it.
    """
    options = replace(job.options, priority=JobPriority.LOW, fallback_engine="", fallback_model="")
    refinement = TranscriptionJob.objects.create_with(
        options,
        kind=JobKind.REFINE,
        session=session,
        owner_id=session.owner_id,
        sound=job.sound,
        planned_version=job.sound.version,
        filename=job.filename,
    )
    refinement.refresh_from_db()
    add_step(refinement, StepKind.PREPARE, owner_id=session.owner_id)
    queue.wake_on_commit()


def may_prioritise(user: User, priority: str) -> bool:
    return priority != JobPriority.NORMAL and user.has_perm("jobs_app.prioritise_over_others")


def audio_arrived(session: Recording) -> None:
    """Have new audio of `session`, or its end, added to the plan of its job.

    Call this in the transaction that stores the audio, or `finished_at`.
    """
    job = TranscriptionJob.objects.active().select_for_update().filter(session=session.pk).first()
    if job is not None and not job.planned:
        prepare_again(job, owner_id=session.owner_id)


def prepare_again(job: TranscriptionJob, *, owner_id: int) -> None:
    """Have the job prepared again. The caller holds the lock on `job`.

    A preparation that is running needs no call, because it looks for new audio when it ends.
    """
    steps = job.steps.filter(kind=StepKind.PREPARE)
    # A step that waits after an error keeps waiting. A step that waits for a missing piece need not wait
    # longer.
    again = steps.filter(Q(status=WorkStatus.DONE) | Q(status=WorkStatus.WAITING, error_code=""))
    if again.update(status=WorkStatus.WAITING, attempt=0, not_before=Now(), finished_at=None):
        queue.wake_on_commit()
    elif not steps.exists():
        add_step(job, StepKind.PREPARE, owner_id=owner_id)
        queue.wake_on_commit()


def add_step(job: TranscriptionJob, kind: StepKind, *, owner_id: int) -> None:
    left_ms = 0
    if kind == StepKind.PREPARE and not job.interactive:
        left_ms = UNKNOWN_LEFT_MS if job.duration_ms is None else job.duration_ms
    JobStep.objects.create(kind=kind, left_ms=left_ms, **work_columns(job, owner_id))


def work_columns(job: TranscriptionJob, owner_id: int) -> dict[str, object]:
    return {"job": job, "owner_id": owner_id, "rank": rank_of(job), "queued_at": job.created_at}


@transaction.atomic
def note_start(work: LeasedWork) -> None:
    """Note in the job that one of its units has been claimed, if this run still holds the unit."""
    job = lock_job(work.job_id)
    if job is None or not held(work).exists():
        return
    stage = JobStage.TRANSCRIBING
    if isinstance(work, JobStep):
        if work.kind == StepKind.CORRECT:
            return
        again = work.kind in (StepKind.SPEAKERS, StepKind.TRANSLATE)
        if again and (job.status not in JOB_ACTIVE or not job.planned):
            # It hears the voices of a recording that goes on, or does its work anew.
            return
        stage = STAGES.get(StepKind(work.kind), JobStage.FINISHING)
    TranscriptionJob.objects.filter(pk=job.pk).update(
        status=JobStatus.PROCESSING, stage=stage, started_at=Coalesce(F("started_at"), Now())
    )
