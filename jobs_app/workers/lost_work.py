"""Repair what no other code would notice: expired leases, lost tokens and unclosed jobs.

These functions do no harm if they run twice.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from jobs_app.leases import claims, queue
from jobs_app.leases.held import WORK_MODELS
from jobs_app.lifecycle.failing import avoid_what_is_down, expire_lease
from jobs_app.lifecycle.live import hand_over_unheard
from jobs_app.lifecycle.repairs import close_job, unclosed_jobs
from jobs_app.models import RUNNER_SILENT_AFTER, LiveHost, Runner, TranscriptionJob, WorkStatus
from jobs_app.storage import working_copies

logger = logging.getLogger(__name__)

# A token needs a moment to get from the commit to a worker. Work that waits longer than this has lost its
# token.
LOST_AFTER = timedelta(seconds=3)
EXPIRED_AT_ONCE = 500
KEEP_WORKING_COPIES_S = 24 * 3600


def recover() -> None:
    """Repair lost work. One of all job runners calls this every SWEEP_EVERY_S."""
    expire_leases()
    hand_over_unheard()
    for job_id in unclosed_jobs():
        close_job(job_id)
    avoid_what_is_down()
    wake_for_forgotten_work()


def expire_leases() -> int:
    """Take work back from workers that have not renewed their leases. Return how many units."""
    expired = 0
    for model in WORK_MODELS:
        # The order is removed, because SQLite would sort the windows by their default order and so read all
        # of them.
        lost = model._default_manager.filter(status=WorkStatus.RUNNING, lease_until__lt=Now()).order_by()
        for work in lost[:EXPIRED_AT_ONCE]:
            if expire_lease(work):
                logger.warning("%s: its worker %s is gone", work, work.worker)
                expired += 1
    return expired


def wake_for_forgotten_work() -> int:
    """Send tokens for work that waits although a worker could have taken it. Return how many."""
    long_ago = Now() - LOST_AFTER
    # No more than the number of workers need to be counted.
    forgotten = sum(
        work.filter(not_before__lt=long_ago).order_by()[: settings.WORKERS].count()
        for work in claims.claimable_work()
    )
    # One token is enough, because one worker of a machine takes all of these windows.
    forgotten += any(
        work.filter(not_before__lt=long_ago).exists() for work in claims.claimable_work(remote=True)
    )
    return queue.wake(forgotten) if forgotten else 0


def prune() -> None:
    """Delete rows that are of no use any more: messages of dead clusters, and runners that are long gone."""
    queue.prune()
    long_ago = Now() - 10 * RUNNER_SILENT_AFTER
    Runner.objects.filter(beat_at__lt=long_ago).delete()
    LiveHost.objects.filter(beat_at__lt=long_ago).delete()


def prune_working_copies() -> None:
    """Delete the working copies of this machine that no active job needs."""
    active = TranscriptionJob.objects.active().order_by().values_list("session__chunks", flat=True)
    working_copies.forget_unused(
        in_use={chunk_id for chunk_id in active if chunk_id}, older_than_s=KEEP_WORKING_COPIES_S
    )
