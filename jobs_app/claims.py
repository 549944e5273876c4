"""Which unit of work a worker gets, and the one UPDATE that gives it.

Order: interactive before batch and high priority before low (both in `rank`), then the owner who has the
fewest units of the kind running, then the oldest job. One person's 500 uploads do not hold up everyone else.

Windows of providers are `remote`. They wait for other slots than everything else, so each kind is ordered by
itself; those of a provider that has no slot free are left out.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections import Counter
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Min, QuerySet
from django.db.models.functions import Now

from jobs_app import providers
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


def claimable_work(*, remote: bool = False, within_s: float = 0) -> list[QuerySet[LeasedWork]]:
    """What could be claimed now; `remote`: what its provider has a slot for, or will before `within_s`."""
    windows = claimable(ChunkTranscription)
    if remote:
        names = providers.admitting(within_s=within_s)
        return [windows.filter(engine__in=names)] if names else []
    # One of a provider that was removed from the settings needs no slot to fail.
    return [claimable(JobStep), windows.exclude(engine__in=list(settings.PROVIDERS))]


def anything_claimable(*, remote: bool = False, within_s: float = 0) -> bool:
    return any(work.exists() for work in claimable_work(remote=remote, within_s=within_s))


def claim(*, remote: bool = False) -> LeasedWork | None:
    """Take the best unit of work there is. None: there is none."""
    for _ in range(TRIES):
        for model, pk in _candidates(claimable_work(remote=remote), remote=remote):
            if work := _take_slot(pk) if remote else _take(model, pk):
                return work
        # Others took them all. There may be more.
        if not anything_claimable(remote=remote):
            return None
    return None


def _running(*, remote: bool) -> list[QuerySet[LeasedWork]]:
    """What takes the places that work of this kind waits for."""
    windows = ChunkTranscription._default_manager.filter(status=WorkStatus.RUNNING)
    far = list(settings.PROVIDERS)
    if remote:
        return [windows.filter(engine__in=far)]
    return [JobStep._default_manager.filter(status=WorkStatus.RUNNING), windows.exclude(engine__in=far)]


def _candidates(claimable: list[QuerySet[LeasedWork]], *, remote: bool) -> list[tuple[type[LeasedWork], int]]:
    """The next rows to try, best first."""
    best = [work.aggregate(best=Min("rank"))["best"] for work in claimable]
    if all(b is None for b in best):
        return []
    best_rank = min(b for b in best if b is not None)

    running: Counter[int] = Counter()
    for work in _running(remote=remote):
        for row in work.values("owner").annotate(n=Count("pk")).order_by():
            running[row["owner"]] += row["n"]
    waiting: set[int] = set()
    for work in claimable:
        waiting.update(work.filter(rank=best_rank).order_by().values_list("owner", flat=True).distinct())
    if not waiting:
        return []
    fewest = min(running[owner] for owner in waiting)
    owners = [owner for owner in waiting if running[owner] == fewest]

    rows = []
    for work in claimable:
        # Age first, so that an older job's windows come before a younger job's preparation.
        oldest = (
            work.filter(rank=best_rank, owner__in=owners)
            .order_by("queued_at", "job_id", "pk")
            .values_list("queued_at", "job_id", "pk")[:CANDIDATES]
        )
        rows += [(queued_at, job_id, work.model, pk) for queued_at, job_id, pk in oldest]
    rows.sort(key=lambda row: (row[0], row[1]))
    return [(model, pk) for _, _, model, pk in rows[:CANDIDATES]]


def _take_slot(pk: int) -> LeasedWork | None:
    """Claim a window together with a slot of its provider. None: one of the two is gone."""
    with transaction.atomic():
        engine = ChunkTranscription.objects.filter(pk=pk).values_list("engine", flat=True).first()
        if engine is None or not providers.admit(engine):
            return None
        work = _take(ChunkTranscription, pk, engine=engine)
        if work is None:
            # With the place in the provider's rate that it would have had.
            transaction.set_rollback(True)
        return work


def _take(model: type[LeasedWork], pk: int, **still: str) -> LeasedWork | None:
    """Claim one row. None: another worker was faster, or it was cancelled meanwhile.

    `still`: what else must be true of the row.
    Only columns of this table may stand in the filter. With a join Django tests the condition in a
    subquery, which PostgreSQL does not test again after waiting for the row, and several workers get it.
    """
    token = uuid.uuid4().hex
    taken = (
        claimable(model)
        .filter(pk=pk, **still)
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
