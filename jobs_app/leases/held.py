"""A run holds the lease of its work. Every write after the claim has this as its condition.

A run is one try at a unit of work. The claim writes its token into the row, and each of these filters
contains the token. So a run whose work was cancelled or given to another worker can write nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, QuerySet, Value, When
from django.db.models.functions import Now

from jobs_app.models import ChunkTranscription, JobStep, LeasedWork, WorkStatus

WORK_MODELS: tuple[type[LeasedWork], ...] = (JobStep, ChunkTranscription)


def held(work: LeasedWork) -> QuerySet[LeasedWork]:
    """Return the row of `work` if this run still holds its lease. Every write of a run uses this query."""
    return type(work)._default_manager.filter(
        pk=work.pk, status=WorkStatus.RUNNING, lease_token=work.lease_token
    )


def release(
    work: LeasedWork, status: WorkStatus, *, still: Mapping[str, object] | None = None, **columns: object
) -> bool:
    """End this run of `work`. Return False if it no longer holds the lease, and so must write nothing.

    `still` has further conditions on the row.
    """
    ended = {"finished_at": Now()} if status != WorkStatus.WAITING else {}
    row = held(work).filter(**still or {})
    return bool(row.update(status=status, lease_token="", lease_until=None, **ended, **columns))


@dataclass(frozen=True, slots=True)
class Renewal:
    """The tokens of leases that were renewed, and of those that were lost to another run, a cancel or a
    deletion.

    If another transaction has locked the row of a lease, its token is in neither set, and the next call asks
    again.
    """

    renewed: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)


def renew_leases(runs: Iterable[tuple[LeasedWork, int]], *, lease_s: float | None = None) -> Renewal:
    """Renew the leases of these runs, and store how many milliseconds of audio each has done.

    The leases last for `lease_s` from now, or as long as those of workers.

    This is one UPDATE for each table, however many runs there are. It waits for no lock, because a cancel
    locks the windows of a job in another order. If both waited, each could wait for the other.
    """
    runs = list(runs)
    lease = timedelta(seconds=settings.LEASE_S if lease_s is None else lease_s)
    renewal = Renewal()
    for model in WORK_MODELS:
        done_ms = {work.lease_token: done for work, done in runs if isinstance(work, model)}
        if not done_ms:
            continue
        rows = model._default_manager.order_by().filter(
            pk__in={work.pk for work, _ in runs if isinstance(work, model)}, status=WorkStatus.RUNNING
        )
        with transaction.atomic():
            free = rows.filter(lease_token__in=done_ms).select_for_update(skip_locked=True, no_key=True)
            renewed = set(free.values_list("lease_token", flat=True))
            rows.filter(lease_token__in=renewed).update(
                lease_until=Now() + lease,
                progress_ms=Case(*(When(lease_token=token, then=Value(done_ms[token])) for token in renewed)),
            )
        renewal.renewed.update(renewed)
        if locked := done_ms.keys() - renewed:
            mine = rows.filter(lease_token__in=locked).values_list("lease_token", flat=True)
            renewal.lost.update(locked - set(mine))
    return renewal
