"""Decide what follows when work fails: it is tried again later, or its job ends.

Each function is one short transaction, which locks the job before its work.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from jobs_app.engines import providers, usage
from jobs_app.engines.offered import engine_names
from jobs_app.leases import queue
from jobs_app.leases.held import WORK_MODELS, release
from jobs_app.leases.locks import lock_job, lock_sound
from jobs_app.lifecycle.ending import end_job
from jobs_app.lifecycle.finishing import close_if_complete
from jobs_app.lifecycle.live import hand_over
from jobs_app.lifecycle.speakers import give_up_speakers
from jobs_app.lifecycle.translation import note_translation
from jobs_app.models import (
    JOB_ACTIVE,
    ChunkTranscription,
    JobStatus,
    JobStep,
    LeasedWork,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from speech.errors import SpeechError

logger = logging.getLogger(__name__)


def backoff(attempt: int) -> timedelta:
    """Return how long to wait after the given attempt.

    The time grows exponentially, with jitter, so that not all try again at once.
    """
    longest = min(settings.RETRY_BACKOFF_MAX_S, settings.RETRY_BACKOFF_S * 2 ** (attempt - 1))
    return timedelta(seconds=longest * random.uniform(0.5, 1.5))  # noqa: S311  not a secret


@transaction.atomic
def settle_failure(work: LeasedWork, error: SpeechError, **still: object) -> bool:
    """End a run that failed: try again later, or give up.

    Return False if the work no longer belongs to this run.

    `still` has further conditions on the row.
    """
    if isinstance(work, JobStep) and work.sound_id is not None:
        return lock_sound(work.sound_id) is not None and _settle(None, work, error, still)
    job = lock_job(work.job_id)
    return job is not None and _settle(job, work, error, still)


def _settle(
    job: TranscriptionJob | None, work: LeasedWork, error: SpeechError, still: Mapping[str, object]
) -> bool:
    columns: dict[str, Any] = {"error_code": error.code, "error": str(error)}
    window = work if isinstance(work, ChunkTranscription) else None
    fallback = job is not None and window is not None and _may_fall_back(job, window)
    if not fallback and providers.excuses(work, error):
        columns |= {"attempt": F("attempt") - 1, "outage_since": Coalesce(F("outage_since"), Now())}
        released = release(
            work, WorkStatus.WAITING, still=still, not_before=Now() + _wait(work, error), **columns
        )
    elif not error.permanent and work.attempt < settings.MAX_ATTEMPTS:
        released = release(
            work, WorkStatus.WAITING, still=still, not_before=Now() + _wait(work, error), **columns
        )
    elif job is not None and window is not None and fallback:
        columns |= {"not_before": Now(), **_fallen_back(job, f"{window.engine}: {error.why}")}
        released = release(work, WorkStatus.WAITING, still=still, **columns)
        if released:
            logger.warning("%s goes to its fallback %s: %s", work, columns["engine"], error)
            queue.wake_on_commit()
    else:
        columns["error"] = _last_word(error, window)
        released = release(work, WorkStatus.FAILED, still=still, **columns)
        if released and job is not None:
            _give_up(job, work, error, columns["error"])
    if window is not None and released:
        usage.add(window, error.requests)
    elif job is not None and providers.is_translation(work):
        usage.add_tokens(job.pk, error.requests)
    return released


def _wait(work: LeasedWork, error: SpeechError) -> timedelta:
    if isinstance(work, JobStep) and work.kind == StepKind.LIVE:
        # Somebody speaks. Another host goes on at once.
        return timedelta(0)
    asked_s = min(error.retry_after_s or 0, providers.LONGEST_RETRY_AFTER_S)
    return max(backoff(work.attempt), timedelta(seconds=asked_s))


def _last_word(error: SpeechError, window: ChunkTranscription | None) -> str:
    """Return the error text of work that is not tried again.

    For a window it also says why the first engine failed.
    """
    said = error.why
    if said != str(error):
        said += " Press Retry, or choose another engine."
    if window is not None and window.fallback_reason:
        said += f" Before that, {window.fallback_reason}"
    return said


def _give_up(job: TranscriptionJob, work: LeasedWork, error: SpeechError, said: str) -> None:
    """End what depends on `work`, which has failed for good. If it is a step, its job fails at once.

    If it is a window, the job's other windows are done first, unless they would fail in the same way. What
    live hosts cannot hear is left to windows, and a job without speakers or a translation goes on.
    """
    if isinstance(work, JobStep) and work.kind == StepKind.LIVE:
        if job.status in JOB_ACTIVE:
            hand_over(job, owner_id=work.owner_id)
    elif isinstance(work, JobStep) and work.kind == StepKind.SPEAKERS:
        give_up_speakers(job, owner_id=work.owner_id)
    elif providers.is_translation(work):
        note_translation(job, owner_id=work.owner_id)
        close_if_complete(job, owner_id=work.owner_id)
    elif not error.permanent and not isinstance(work, JobStep):
        close_if_complete(job, owner_id=work.owner_id)
    elif job.status in JOB_ACTIVE:
        end_job(job, JobStatus.FAILED, error_code=error.code, error=said)


def _may_fall_back(job: TranscriptionJob, window: ChunkTranscription) -> bool:
    options = job.short_options
    fallback = (options.fallback_engine, options.fallback_model)
    return options.fallback_engine in engine_names() and (window.engine, window.model) != fallback


def _fallen_back(job: TranscriptionJob, why: str) -> dict[str, Any]:
    """Return the columns of a window that starts again with the fallback of its job."""
    return {
        "engine": job.short_options.fallback_engine,
        "model": job.short_options.fallback_model,
        "fallback_reason": why,
        "attempt": 0,
        "outage_since": None,
    }


def avoid_what_is_down() -> int:
    """Move windows that wait for a provider that is down to the fallback of their job. Return how many.

    Otherwise each of them would first have to fail by itself, one by one and after longer and longer pauses.
    """
    moved = 0
    away = providers.down()
    waiting = ChunkTranscription.objects.filter(status=WorkStatus.WAITING, engine__in=away)
    usable = [name for name in engine_names() if name not in away]
    jobs = TranscriptionJob.objects.filter(stored_options__fallback_engine__in=usable)
    for job in jobs.filter(pk__in=waiting.values("job")):
        for engine, error in away.items():
            why = f"{engine}: {error}"
            windows = ChunkTranscription.objects.filter(status=WorkStatus.WAITING, engine=engine, job=job)
            n = windows.update(not_before=Now(), **_fallen_back(job, why))
            if n:
                logger.warning("%s windows of %s go to its fallback", n, job)
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


class Unexpected(SpeechError):
    code = "internal_error"
    message = "Something went wrong inside the server while working on this recording. Press Retry."


class DeadlineExceeded(SpeechError):
    code = "timed_out"
    message = "The engine did not finish in time. Press Retry, or transcribe it again with a smaller model."


def expire_lease(work: LeasedWork) -> bool:
    """Take work from a worker that has not renewed its lease.

    Return False if it has renewed it, or ended, meanwhile.
    """
    # The UPDATE tests the lease again, because the guard renews it without the job's lock.
    return settle_failure(work, WorkerLost(), lease_until__lt=Now())


def lose_work_of(worker: str) -> int:
    """Take the work of a process that has ended, instead of waiting for the end of its leases.

    Return how many units it had.
    """
    lost = JobStep.objects.filter(status=WorkStatus.RUNNING, worker=worker)
    return sum(settle_failure(step, WorkerLost()) for step in lost)


def give_back(workers: Iterable[str]) -> int:
    """Release the work of workers that were stopped on purpose.

    It does not count as an attempt, because the work caused no failure. Return how many units were released.
    """
    names = list(workers)
    # From now on a recording waits for another live host.
    live = JobStep.objects.filter(kind=StepKind.LIVE, status=WorkStatus.RUNNING, worker__in=names)
    live.update(not_before=Now())
    return sum(
        model._default_manager.filter(status=WorkStatus.RUNNING, worker__in=names).update(
            status=WorkStatus.WAITING,
            attempt=F("attempt") - 1,
            not_before=Now(),
            lease_token="",
            lease_until=None,
        )
        for model in WORK_MODELS
    )
