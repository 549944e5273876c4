"""What becomes of work that failed: it is tried again later, or its job ends.

As in `jobs_app.lifecycle`, each function is one short transaction that locks the job before its work.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from jobs_app import claims, providers, queue, usage
from jobs_app.lifecycle import close_if_complete, end_job, lock_job, release
from jobs_app.models import (
    JOB_ACTIVE,
    ChunkTranscription,
    JobStatus,
    JobStep,
    LeasedWork,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.options import engine_names
from speech.errors import SpeechError

logger = logging.getLogger(__name__)


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
    columns: dict[str, Any] = {"error_code": error.code, "error": str(error)}
    window = work if isinstance(work, ChunkTranscription) else None
    fallback = window is not None and _may_fall_back(job, window)
    if window is not None and not fallback and providers.excuses(window, error):
        columns |= {"attempt": F("attempt") - 1, "outage_since": Coalesce(F("outage_since"), Now())}
        released = release(
            work, WorkStatus.WAITING, still=still, not_before=Now() + _wait(work, error), **columns
        )
    elif not error.permanent and work.attempt < settings.MAX_ATTEMPTS:
        released = release(
            work, WorkStatus.WAITING, still=still, not_before=Now() + _wait(work, error), **columns
        )
    elif window is not None and fallback:
        columns |= {"not_before": Now(), **_fallen_back(job, f"{window.engine}: {error.why}")}
        released = release(work, WorkStatus.WAITING, still=still, **columns)
        if released:
            logger.warning("%s goes to its fallback %s: %s", work, job.fallback_engine, error)
            queue.wake_on_commit()
    else:
        columns["error"] = _last_word(error, window)
        released = release(work, WorkStatus.FAILED, still=still, **columns)
        if released:
            _give_up(job, work, error, columns["error"])
    if window is not None and released:
        usage.add(window, error.requests)
    return released


def _wait(work: LeasedWork, error: SpeechError) -> timedelta:
    asked_s = min(error.retry_after_s or 0, providers.LONGEST_RETRY_AFTER_S)
    return max(backoff(work.attempt), timedelta(seconds=asked_s))


def _last_word(error: SpeechError, window: ChunkTranscription | None) -> str:
    """What is said of work that is not tried again; of a window, why its first engine did not do it, too."""
    said = error.why
    if said != str(error):
        said += " Press Retry, or choose another engine."
    if window is not None and window.fallback_reason:
        said += f" Before that, {window.fallback_reason}"
    return said


def _give_up(job: TranscriptionJob, work: LeasedWork, error: SpeechError, said: str) -> None:
    """`work` has failed for good. A step takes its job with it; other windows are done first.

    Unless they would fail in the same way.
    """
    if not error.permanent and not isinstance(work, JobStep):
        close_if_complete(job, owner_id=work.owner_id)
    elif job.status in JOB_ACTIVE:
        end_job(job, JobStatus.FAILED, error_code=error.code, error=said)


def _may_fall_back(job: TranscriptionJob, window: ChunkTranscription) -> bool:
    fallback = (job.fallback_engine, job.fallback_model)
    return job.fallback_engine in engine_names() and (window.engine, window.model) != fallback


def _fallen_back(job: TranscriptionJob, why: str) -> dict[str, Any]:
    """The columns of a window that begins anew with the fallback of its job."""
    return {
        "engine": job.fallback_engine,
        "model": job.fallback_model,
        "fallback_reason": why,
        "attempt": 0,
        "outage_since": None,
    }


def avoid_what_is_down() -> int:
    """Give windows that wait for a provider that is down to the fallback of their job; how many.

    Without waiting until each of them has failed by itself, one by one behind ever longer pauses.
    """
    moved = 0
    away = providers.down()
    waiting = ChunkTranscription.objects.filter(status=WorkStatus.WAITING, engine__in=away)
    usable = [name for name in engine_names() if name not in away]
    jobs = TranscriptionJob.objects.filter(fallback_engine__in=usable)
    for job in jobs.filter(pk__in=waiting.values("job")):
        for engine, error in away.items():
            why = f"{engine}: {error}"
            windows = ChunkTranscription.objects.filter(status=WorkStatus.WAITING, engine=engine, job=job)
            n = windows.update(not_before=Now(), **_fallen_back(job, why))
            if n:
                logger.warning("%s windows of %s go to its fallback %s", n, job, job.fallback_engine)
            moved += n
    if moved:
        queue.wake(moved)
    return moved


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
