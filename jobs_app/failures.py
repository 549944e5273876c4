"""What becomes of work that failed: it is tried again later, or its job ends.

As in `jobs_app.lifecycle`, each function is one short transaction that locks the job before its work.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from jobs_app import claims
from jobs_app.lifecycle import close_if_complete, end_job, lock_job, release
from jobs_app.models import JOB_ACTIVE, JobStatus, JobStep, LeasedWork, TranscriptionJob, WorkStatus
from speech.errors import SpeechError


def backoff(attempt: int) -> timedelta:
    """How long to wait after the given attempt: exponential, with jitter against herds."""
    longest = min(settings.RETRY_BACKOFF_MAX_S, settings.RETRY_BACKOFF_S * 2 ** (attempt - 1))
    return timedelta(seconds=longest * random.uniform(0.5, 1.5))  # noqa: S311  not a secret


@transaction.atomic
def settle(work: LeasedWork, error: SpeechError) -> bool:
    """End a run that failed: try again later, or give up. False: it is no longer this run's."""
    job = lock_job(work.job_id)
    return job is not None and _settle(job, work, error)


def _settle(job: TranscriptionJob, work: LeasedWork, error: SpeechError, **still: Any) -> bool:
    columns = {"error_code": error.code, "error": str(error)}
    if error.permanent:
        # Every other window would fail in the same way.
        released = release(work, WorkStatus.FAILED, still=still, **columns)
        if released and job.status in JOB_ACTIVE:
            end_job(job, JobStatus.FAILED, **columns)
        return released
    if work.attempt < settings.MAX_ATTEMPTS:
        wait = backoff(work.attempt)
        if error.retry_after_s is not None:
            wait = max(wait, timedelta(seconds=error.retry_after_s))
        return release(work, WorkStatus.WAITING, still=still, not_before=Now() + wait, **columns)
    released = release(work, WorkStatus.FAILED, still=still, **columns)
    if released:
        _give_up(job, work, **columns)
    return released


def _give_up(job: TranscriptionJob, work: LeasedWork, **columns: str) -> None:
    """`work` has failed for good. A step takes its job with it; other windows are done first."""
    if isinstance(work, JobStep) and job.status in JOB_ACTIVE:
        end_job(job, JobStatus.FAILED, **columns)
    else:
        close_if_complete(job, owner_id=work.owner_id)


class WorkerLost(SpeechError):
    code = "crashed"
    message = (
        "The worker stopped in the middle of this recording each time it was tried. Most often memory ran "
        "out: transcribe it again with a smaller model, or press Retry when the server has more memory."
    )


class DeadlineExceeded(SpeechError):
    code = "timed_out"
    message = "The engine did not finish in time. Press Retry, or transcribe it again with a smaller model."


@transaction.atomic
def expire(work: LeasedWork) -> bool:
    """Take work from a worker that has not renewed its lease. False: it renewed or ended meanwhile."""
    job = lock_job(work.job_id)
    # In the UPDATE too: the guard renews without the job's lock.
    return job is not None and _settle(job, work, WorkerLost(), lease_until__lt=Now())


def give_back(workers: Iterable[str]) -> int:
    """Release what was running in workers that were stopped on purpose: it was not the work's fault."""
    names = list(workers)
    return sum(
        model._default_manager.filter(status=WorkStatus.RUNNING, worker__in=names).update(
            status=WorkStatus.WAITING, attempt=F("attempt") - 1, lease_token="", lease_until=None
        )
        for model in claims.WORK_MODELS
    )
