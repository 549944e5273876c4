"""End jobs. Each function is part of a transaction that holds the lock on the job."""

from __future__ import annotations

import logging

from django.db.models.functions import Now

from jobs_app.leases.held import WORK_MODELS
from jobs_app.lifecycle.finals import write_batch
from jobs_app.models import WORK_OPEN, JobStage, JobStatus, LiveText, TranscriptionJob, WorkStatus
from jobs_app.recordings import Recording

logger = logging.getLogger(__name__)


def end_job(job: TranscriptionJob, status: JobStatus, **columns: object) -> None:
    """Make the last change of a job's run. The caller holds the lock on `job`.

    What was heard live stays, however the job ends.
    """
    TranscriptionJob.objects.filter(pk=job.pk).update(
        status=status, stage=JobStage.ENDED, ended_at=Now(), **columns
    )
    _cancel_work(job)
    # After its step, which a live host locks before this.
    write_batch(job)
    LiveText.objects.filter(job=job).delete()
    logger.info("%s %s %s", job, status, columns.get("error_code", ""))


def cancel_refinement(session: Recording) -> None:
    """Cancel the refinement of a recording, if one is active, because somebody wants another run.

    The caller holds no lock on a job.
    """
    refinements = TranscriptionJob.objects.refinements().active().filter(session=session.pk)
    # The session is locked before the job, as everywhere. A refinement that is just completing is waited for.
    if refinements.exists() and session.lock() is not None:
        for job in refinements.select_for_update():
            end_job(job, JobStatus.CANCELLED)


def _cancel_work(job: TranscriptionJob) -> None:
    for model in WORK_MODELS:
        model._default_manager.filter(job=job, status__in=WORK_OPEN).update(
            status=WorkStatus.CANCELLED, lease_token="", lease_until=None, finished_at=Now()
        )
