"""The things that people do with jobs: cancel, delete, retry, and change the priority.

Each function is one short transaction, which locks the job before its work.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from jobs_app.leases import queue
from jobs_app.leases.held import WORK_MODELS
from jobs_app.leases.locks import lock_job
from jobs_app.leases.ranks import set_rank
from jobs_app.lifecycle.ending import cancel_refinement, end_job
from jobs_app.lifecycle.finals import wait_for_places
from jobs_app.lifecycle.starting import may_prioritise, prepare_again
from jobs_app.models import (
    JOB_ACTIVE,
    ChunkTranscription,
    JobPriority,
    JobStage,
    JobStatus,
    SoundTrack,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.recordings import Recording
from jobs_app.storage.spare_room import may_use_spare_room
from rest.refusals import WrongState

if TYPE_CHECKING:
    from people_app.models import User


@transaction.atomic
def cancel_job(job_id: uuid.UUID) -> bool:
    """Cancel a job. Return False if it had already ended.

    A worker in the middle of it notices within seconds.
    """
    job = lock_job(job_id)
    if job is None or job.status not in JOB_ACTIVE:
        return False
    end_job(job, JobStatus.CANCELLED)
    return True


@may_use_spare_room
@transaction.atomic
def delete_job(job_id: uuid.UUID) -> None:
    """Delete a job in any state. A worker in the middle of it notices within seconds."""
    job = TranscriptionJob.objects.select_related("session").filter(pk=job_id).first()
    session = None if job is None else job.session.lock()
    if session is not None and lock_job(job_id) is not None:
        cancel_job(job_id)
        TranscriptionJob.objects.filter(pk=job_id).delete()
        session.job_deleted()


def end_jobs_of(session: Recording) -> None:
    """Cancel the session's jobs and keep their locks, so that this transaction can delete the session."""
    # All jobs are locked, and before their windows, because all code that changes a window locks its job
    # first.
    for job in TranscriptionJob.objects.select_for_update().filter(session=session.pk).order_by("pk"):
        cancel_job(job.pk)
    list(SoundTrack.objects.select_for_update().filter(session=session.pk).order_by("pk"))


@transaction.atomic
def retry_job(job_id: uuid.UUID) -> bool:
    """Run a failed job again with its options. Work that is done is kept.

    Return False if the job has not failed.

    Raises:
        WrongState: the session has another job that has not ended.
    """
    found = TranscriptionJob.objects.runs().select_related("session").filter(pk=job_id).first()
    if found is not None and found.status == JobStatus.FAILED:
        cancel_refinement(found.session)
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
                ended_at=None,
            )
    except IntegrityError as e:
        raise WrongState(
            "Another job of this recording has not ended. Wait for it, or cancel it first."
        ) from e
    # Failed windows start again with the first engine, because the reason for its failure may be gone.
    windows = {"engine": job.engine, "model": job.model, "fallback_reason": ""}
    again = (WorkStatus.FAILED, WorkStatus.CANCELLED)
    if job.session.finished_at is not None:
        # Nobody speaks any more, so workers do the rest.
        job.steps.filter(kind=StepKind.LIVE, status__in=again).update(status=WorkStatus.DONE)
    for model in WORK_MODELS:
        model._default_manager.filter(job=job, status__in=again).update(
            status=WorkStatus.WAITING,
            attempt=0,
            not_before=Now(),
            outage_since=None,
            error_code="",
            error="",
            **(windows if model is ChunkTranscription else {}),
        )
    set_rank(job)
    if not job.planned:
        wait_for_places(job)
        # More audio of the recording may have come since the job failed.
        prepare_again(job, owner_id=job.session.owner_id)
    queue.wake_on_commit(settings.WORKERS)
    return True


@transaction.atomic
def change_priority(job_id: uuid.UUID, priority: str, *, by: User | None = None) -> bool:
    """Change the priority of a job. Return False if the job has ended.

    The priority counts among the jobs of all people if `by` has the permission for that, else among the jobs
    of its owner.
    """
    job = lock_job(job_id)
    if job is None or job.status not in JOB_ACTIVE:
        return False
    job.priority = JobPriority(priority)
    job.priority_among_all = by is not None and may_prioritise(by, priority)
    job.save(update_fields=["priority", "priority_among_all"])
    set_rank(job)
    return True
