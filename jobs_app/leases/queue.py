"""The only module that uses Django-Q2, which serves as a pool of processes that can be woken up.

A message is an anonymous token that means: there is work. `jobs_app.leases.claims` decides which work. So a
token that comes twice finds nothing, and `jobs_app.workers.lost_work` replaces a token that is lost.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.brokers import Broker, get_broker
from django_q.models import Failure, OrmQ
from django_q.tasks import async_task
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs_app.models import Runner

logger = logging.getLogger(__name__)

# This name is stored in queued messages, so the function must never be renamed.
TOKEN = "jobs_app.tasks.work_once"  # noqa: S105  a message, not a secret


def wake_on_commit(n: int = 1) -> None:
    """Wake up to `n` workers once the rows that they will find are committed."""
    transaction.on_commit(lambda: wake(n), robust=True)


def wake(n: int = 1) -> int:
    """Send up to `n` tokens, but no more than there are workers without one. Return how many were sent.

    An error of the queue is logged and otherwise ignored, because the rows are stored and the sweeper sends
    tokens again.
    """
    try:
        # Outside of a transaction, the broker that uses the database would close the connection each time.
        with transaction.atomic():
            # Without this limit, each token of a busy cluster would lead to another one at every sweep.
            n = min(n, max(settings.WORKERS, Runner.objects.alive_workers()) - waiting_tokens())
            broker = _broker()
            for _ in range(n):
                async_task(TOKEN, ack_failure=True, broker=broker)
    except Exception:
        logger.warning("The queue could not be reached; the sweeper will wake the workers.", exc_info=True)
        return 0
    return max(n, 0)


def waiting_tokens() -> int:
    """Return how many tokens no worker has fetched yet."""
    return int(_broker().queue_size())


def _broker() -> Broker:
    broker = get_broker()
    if settings.QUEUE == "redis":
        # The client would try again for seconds, but a person who has sent a recording must not wait for
        # that.
        broker.connection.set_retry(Retry(NoBackoff(), 0))
    return broker


def prune(*, keep: timedelta = timedelta(days=30)) -> None:
    """Delete rows that Django-Q2 would keep for ever: old failures, and messages of clusters that are
    gone.
    """
    Failure.objects.filter(stopped__lt=timezone.now() - keep).delete()
    OrmQ.objects.filter(lock__lt=timezone.now() - timedelta(days=1)).delete()
