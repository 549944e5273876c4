"""The one door to Django-Q2, which is used as a pool of processes that can be woken up.

A message is an anonymous token: "there is work". Which work is decided by `jobs_app.claims`, so a token
that comes twice finds nothing, and one that is lost is sent again by `jobs_app.sweep`.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import Failure, OrmQ
from django_q.tasks import async_task

from jobs_app.models import Runner

logger = logging.getLogger(__name__)

# Stored in queued messages: never rename the function.
TOKEN = "jobs_app.tasks.work_once"  # noqa: S105  a message, not a secret


def wake_on_commit(n: int = 1) -> None:
    """Wake up to `n` workers once the rows that they will find are committed."""
    transaction.on_commit(lambda: wake(n), robust=True)


def wake(n: int = 1) -> int:
    """Send up to `n` tokens, but never more than there are workers waiting for one; how many were sent.

    A dead queue is logged and otherwise ignored: the rows are there, and the sweeper sends again.
    """
    try:
        # In a transaction, because outside of one the database's broker closes the connection each time.
        with transaction.atomic():
            # Without this limit each token of a busy cluster would beget another one at every sweep.
            n = min(n, max(settings.WORKERS, Runner.objects.alive_workers()) - waiting_tokens())
            for _ in range(n):
                async_task(TOKEN, ack_failure=True)
    except Exception:
        logger.warning("The queue could not be reached; the sweeper will wake the workers.", exc_info=True)
        return 0
    return max(n, 0)


def waiting_tokens() -> int:
    """How many tokens no worker has fetched yet."""
    return int(get_broker().queue_size())


def prune(*, keep: timedelta = timedelta(days=30)) -> None:
    """Delete what Django-Q2 keeps for ever: old failures, and messages of clusters that are gone."""
    Failure.objects.filter(stopped__lt=timezone.now() - keep).delete()
    OrmQ.objects.filter(lock__lt=timezone.now() - timedelta(days=1)).delete()
