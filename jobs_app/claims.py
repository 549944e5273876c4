"""Which unit of work a worker gets, and the one UPDATE that gives it.

Order: interactive before batch and high priority before low (both in `rank`), then the owner who has the
fewest units running, then the oldest job. One person's 500 uploads do not hold up everyone else.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections import Counter
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, F, Min, QuerySet
from django.db.models.functions import Now

from jobs_app.models import ChunkTranscription, JobPriority, JobStep, LeasedWork, WorkStatus

WORK_MODELS: tuple[type[LeasedWork], ...] = (JobStep, ChunkTranscription)
# How many of the best rows to try before looking again: workers that race want the same ones.
CANDIDATES = 8
TRIES = 4

_PRIORITY_RANK = {JobPriority.HIGH: 0, JobPriority.NORMAL: 1, JobPriority.LOW: 2}


def rank(*, interactive: bool, priority: str) -> int:
    """The place of a job's work among all work: lowest first."""
    return (0 if interactive else len(_PRIORITY_RANK)) + _PRIORITY_RANK[JobPriority(priority)]


def worker_name(pid: int | None = None) -> str:
    """How a process of this machine signs its work; this process without `pid`."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def claimable(model: type[LeasedWork]) -> QuerySet[LeasedWork]:
    return model._default_manager.filter(status=WorkStatus.WAITING, not_before__lte=Now())


def anything_claimable() -> bool:
    return any(claimable(model).exists() for model in WORK_MODELS)


def claim() -> LeasedWork | None:
    """Take the best unit of work there is. None: there is none."""
    for _ in range(TRIES):
        for model, pk in _candidates():
            if work := _take(model, pk):
                return work
        # Others took them all. There may be more.
        if not anything_claimable():
            return None
    return None


def _candidates() -> list[tuple[type[LeasedWork], int]]:
    """The next rows to try, best first."""
    best = [claimable(model).aggregate(best=Min("rank"))["best"] for model in WORK_MODELS]
    if all(b is None for b in best):
        return []
    best_rank = min(b for b in best if b is not None)

    running: Counter[int] = Counter()
    waiting: set[int] = set()
    for model in WORK_MODELS:
        counts = (
            model._default_manager.filter(status=WorkStatus.RUNNING).values("owner").annotate(n=Count("pk"))
        )
        for row in counts.order_by():
            running[row["owner"]] += row["n"]
        waiting.update(
            claimable(model).filter(rank=best_rank).order_by().values_list("owner", flat=True).distinct()
        )
    if not waiting:
        return []
    fewest = min(running[owner] for owner in waiting)
    owners = [owner for owner in waiting if running[owner] == fewest]

    rows = []
    for model in WORK_MODELS:
        # Age first, so that an older job's windows come before a younger job's preparation.
        oldest = (
            claimable(model)
            .filter(rank=best_rank, owner__in=owners)
            .order_by("queued_at", "job_id", "pk")
            .values_list("queued_at", "job_id", "pk")[:CANDIDATES]
        )
        rows += [(queued_at, job_id, model, pk) for queued_at, job_id, pk in oldest]
    rows.sort(key=lambda row: (row[0], row[1]))
    return [(model, pk) for _, _, model, pk in rows[:CANDIDATES]]


def _take(model: type[LeasedWork], pk: int) -> LeasedWork | None:
    """Claim one row. None: another worker was faster, or it was cancelled meanwhile.

    Only columns of this table may stand in the filter. With a join Django tests the condition in a
    subquery, which PostgreSQL does not test again after waiting for the row, and several workers get it.
    """
    token = uuid.uuid4().hex
    taken = (
        claimable(model)
        .filter(pk=pk)
        .update(
            status=WorkStatus.RUNNING,
            lease_token=token,
            lease_until=Now() + timedelta(seconds=settings.LEASE_S),
            attempt=F("attempt") + 1,
            worker=worker_name(),
            progress_ms=0,
            started_at=Now(),
            finished_at=None,
        )
    )
    if not taken:
        return None
    # By token: between the UPDATE and here the lease may have been lost to a cancel.
    return model._default_manager.filter(pk=pk, lease_token=token).select_related("job").first()


def held(work: LeasedWork) -> QuerySet[LeasedWork]:
    """The row of `work`, as long as this run still holds its lease. Every write of a run goes through it."""
    return type(work)._default_manager.filter(
        pk=work.pk, status=WorkStatus.RUNNING, lease_token=work.lease_token
    )
