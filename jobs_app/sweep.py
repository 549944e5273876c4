"""What nobody else would notice: expired leases, lost tokens, unclosed jobs. Harmless to run twice."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.db.models.functions import Now

from jobs_app import claims, failures, lifecycle, queue, timeline
from jobs_app.models import RUNNER_SILENT_AFTER, Runner, TranscriptionJob, WorkStatus

logger = logging.getLogger(__name__)

# A token needs a moment from the commit to the worker; what waits longer has lost its token.
LOST_AFTER = timedelta(seconds=3)
PRUNE_EVERY_S = 600
KEEP_WORKING_COPIES_S = 24 * 3600

_last_prune = 0.0


def sweep() -> None:
    """Called every SWEEP_EVERY_S by each job runner."""
    expire_leases()
    for job_id in lifecycle.unclosed():
        lifecycle.close(job_id)
    failures.avoid_what_is_down()
    wake_for_forgotten_work()
    _prune_now_and_then()


def expire_leases() -> int:
    """Give work back whose worker has not renewed its lease; how many units."""
    expired = 0
    for model in claims.WORK_MODELS:
        for work in model._default_manager.filter(status=WorkStatus.RUNNING, lease_until__lt=Now()):
            if failures.expire(work):
                logger.warning("%s: its worker %s is gone", work, work.worker)
                expired += 1
    return expired


def wake_for_forgotten_work() -> int:
    """Send tokens for work that waits although it could have been taken; how many."""
    long_ago = Now() - LOST_AFTER
    forgotten = sum(work.filter(not_before__lt=long_ago).count() for work in claims.claimable_work())
    # One worker of a machine takes them all.
    forgotten += any(
        work.filter(not_before__lt=long_ago).exists() for work in claims.claimable_work(remote=True)
    )
    return queue.wake(forgotten) if forgotten else 0


def _prune_now_and_then() -> None:
    global _last_prune
    if time.monotonic() - _last_prune < PRUNE_EVERY_S and _last_prune:
        return
    _last_prune = time.monotonic()
    queue.prune()
    Runner.objects.filter(beat_at__lt=Now() - 10 * RUNNER_SILENT_AFTER).delete()
    active = TranscriptionJob.objects.active().values_list("session__chunks", flat=True)
    timeline.forget_unused(
        in_use={chunk_id for chunk_id in active if chunk_id}, older_than_s=KEEP_WORKING_COPIES_S
    )
