"""Give units of work to workers with one UPDATE, and note whose turn it was.

The module `next_work` decides which unit is next.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest, Now

from jobs_app.engines import providers
from jobs_app.leases.next_work import Candidate, candidates, lines_of
from jobs_app.leases.waiting import steps_for_workers, translations
from jobs_app.models import ChunkTranscription, JobStep, LeasedWork, StepKind, Turn, WorkStatus
from speech.engines.providers import TRANSLATOR

Work = TypeVar("Work", bound=LeasedWork)
TRIES = 8
SHORTEST_COST_MS = 30_000
"""A window counts as at least this much audio, because an engine takes as long for one second as for half a
minute.
"""


def worker_name(pid: int | None = None) -> str:
    """Return the name under which a process of this machine claims work.

    Without `pid`, it is this process.
    """
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def claimable(model: type[Work]) -> QuerySet[Work]:
    return _due(model._default_manager.all())


def _due(work: QuerySet[Work]) -> QuerySet[Work]:
    return work.filter(status=WorkStatus.WAITING, not_before__lte=Now())


def claimable_live() -> QuerySet[JobStep]:
    """Return the recordings that wait for a live host."""
    return claimable(JobStep).filter(kind=StepKind.LIVE)


def claimable_work(
    *, remote: bool = False, within_s: float = 0
) -> list[QuerySet[JobStep] | QuerySet[ChunkTranscription]]:
    """Return the work that could be claimed now.

    With `remote`, this is the work for which its provider has a free slot, or will have one within
    `within_s`.
    """
    windows = claimable(ChunkTranscription)
    if remote:
        names = providers.admitting(within_s=within_s)
        steps = [_due(translations())] if TRANSLATOR in names else []
        return [windows.filter(engine__in=names), *steps] if names else []
    # A window of a provider that was removed from the settings is here, too, because it needs no slot to
    # fail.
    return [
        _due(steps_for_workers()),
        windows.exclude(engine__in=list(settings.PROVIDERS)),
    ]


def anything_claimable(*, remote: bool = False, within_s: float = 0) -> bool:
    return bool(lines_of(remote=remote, within_s=within_s))


def claim(*, remote: bool = False) -> LeasedWork | None:
    """Claim the best unit of work there is, and return it; None if there is none."""
    for _ in range(TRIES):
        lines = lines_of(remote=remote)
        if not lines:
            return None
        for one in candidates(lines):
            if work := _take_turn(one):
                return work
        # Other workers took all of these rows. There may be more work.
    return None


def _take_turn(candidate: Candidate) -> LeasedWork | None:
    """Claim a row, with a slot of its provider, and note that its owner was served.

    Return None if it is gone.

    This locks the provider's row, then the unit's, then the turn's. No other code that locks a unit locks a
    turn.
    """
    line = candidate.line
    model: type[LeasedWork] = JobStep if line.engine is None else ChunkTranscription
    with transaction.atomic():
        if line.provider and not providers.admit(line.provider):
            return None
        still = {"engine": line.engine} if line.engine is not None else {}
        work = take(model, candidate.pk, still=still)
        if work is None:
            # The rollback also gives back the place in the provider's rate.
            transaction.set_rollback(True)
            return None
        _note_turn(candidate, work)
        return work


def _note_turn(candidate: Candidate, work: LeasedWork) -> None:
    line = candidate.line
    changes: dict[str, object] = {"passed": F("passed") + 1 if candidate.passes else Value(0)}
    if isinstance(work, JobStep) and not line.begun:
        # A preparation does not count as a turn. If it did, the first window of a person would wait after it
        # for one window of each other person.
        changes["begun"] = True
    else:
        changes |= {"begun": False, "served_at": Now()}
    if line.interactive and isinstance(work, ChunkTranscription):
        cost = timedelta(
            milliseconds=max(work.duration_ms, SHORTEST_COST_MS) / settings.INTERACTIVE_SPEED,
        )
        # This is the generic cell rate algorithm, which also limits requests to providers.
        ahead = timedelta(seconds=settings.INTERACTIVE_AHEAD_S / settings.INTERACTIVE_SPEED)
        changes["spent_until"] = Greatest(Coalesce(F("spent_until"), Now() - ahead), Now() - ahead) + cost
    lane = {"owner_id": line.owner_id, "engine": line.provider, "interactive": line.interactive}
    turns = Turn._default_manager.filter(**lane)
    if not turns.update(**changes):
        # Another worker may create the same row at this moment.
        Turn._default_manager.bulk_create([Turn(**lane)], ignore_conflicts=True)
        turns.update(**changes)


def claim_live(*, waited_s: float = 0) -> JobStep | None:
    """Claim the recording that waits longest for a live host, and return it.

    Return None if none has waited for `waited_s`.
    """
    waiting = claimable_live().filter(not_before__lte=Now() - timedelta(seconds=waited_s))
    for pk in waiting.order_by("not_before", "pk").values_list("pk", flat=True)[:TRIES]:
        taken = take(JobStep, pk, lease_s=settings.LIVE_LEASE_S)
        if isinstance(taken, JobStep):
            return taken
    return None


def take(
    model: type[LeasedWork], pk: int, *, still: Mapping[str, str] | None = None, lease_s: float | None = None
) -> LeasedWork | None:
    """Claim one row. Return None if another worker was faster, or if it was cancelled meanwhile.

    The lease lasts for `lease_s`, or as long as that of a worker.

    `still` has further conditions on the row. The filter may contain only columns of this table. With a join,
    Django puts the condition into a subquery. PostgreSQL does not test a subquery again after it has waited
    for the row, so several workers would get it.
    """
    token = uuid.uuid4().hex
    taken = (
        claimable(model)
        .filter(pk=pk, **still or {})
        .update(
            status=WorkStatus.RUNNING,
            lease_token=token,
            lease_until=Now() + timedelta(seconds=settings.LEASE_S if lease_s is None else lease_s),
            attempt=F("attempt") + 1,
            worker=worker_name(),
            progress_ms=0,
            started_at=Now(),
            finished_at=None,
        )
    )
    if not taken:
        return None
    # The row is read by its token, because a cancel may have ended the lease since the UPDATE.
    of: tuple[str, ...] = ("job__long_options", "job__sound")
    if model is JobStep:
        of = (*of, "sound")
    return model._default_manager.filter(pk=pk, lease_token=token).select_related(*of).first()
