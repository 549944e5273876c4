"""Decide which unit of work is next.

First comes the choice of a person. Interactive work comes before all other work (`jobs_app.leases.ranks`).
Then comes the person with the fewest running units of this kind, then the one who was served longest ago. A
person who was never served comes before those who were. So one person's 500 uploads do not delay anybody
else, with one worker and with a hundred.

Then comes the choice among that person's units: by rank, then the job with the least audio left, then the
oldest. After MOST_PASSED units of shorter jobs have gone before the oldest job, the oldest is next, so that
it always moves on.

Windows of providers are `remote`. They wait for other slots than all other work, so each kind has its own
order. Windows of a provider that has no free slot are left out, and so are refinements where somebody who is
heard live may soon need the worker.
"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db.models import Count, Q

from jobs_app.engines import providers
from jobs_app.leases import waiting
from jobs_app.leases.held import WORK_MODELS
from jobs_app.leases.ranks import REFINEMENT_RANK, Precedence
from jobs_app.leases.waiting import Line
from jobs_app.models import WORK_OPEN, ChunkTranscription, JobStep, Runner, StepKind, WorkStatus
from speech.engines.providers import TRANSLATOR

# A claim tries this many of the best rows before it looks again, because workers compete for the same rows.
CANDIDATES = 8
MOST_PASSED = 3
"""A short job has three units: it is prepared, transcribed and finished. So one short job may pass."""


def lines_of(*, remote: bool, within_s: float = 0) -> list[Line]:
    lines = waiting.lines(providers=providers.admitting(within_s=within_s) if remote else None)
    others = [line for line in lines if line.precedence != Precedence.REFINEMENT]
    return lines if len(lines) == len(others) or _is_worker_to_spare() else others


def _is_worker_to_spare() -> bool:
    """Return whether a refinement may have a worker.

    Whoever stops to speak wants the text at once, and no worker lays a window aside. So while somebody is
    heard live, refinements leave a worker free.
    """
    if not JobStep.objects.filter(kind=StepKind.LIVE, status__in=WORK_OPEN).exists():
        return True
    busy = sum(
        model._default_manager.filter(status=WorkStatus.RUNNING, rank=REFINEMENT_RANK).count()
        for model in WORK_MODELS
    )
    return busy < Runner.objects.alive_workers() - 1


def _running(lines: list[Line]) -> Counter[tuple[str, int]]:
    """Return how many units run in the places for which these lines wait, by provider and person."""
    windows = ChunkTranscription._default_manager.filter(status=WorkStatus.RUNNING).order_by()
    running: Counter[tuple[str, int]] = Counter()
    translates = Q(kind=StepKind.TRANSLATE) if settings.TRANSLATOR else Q(pk=None)
    for engine, owner, n in windows.values_list("engine", "owner").annotate(n=Count("pk")):
        running[engine if engine in settings.PROVIDERS else "", owner] += n
    # What live hosts do takes no worker from anybody.
    steps = JobStep._default_manager.filter(status=WorkStatus.RUNNING).exclude(kind=StepKind.LIVE).order_by()
    if not lines[0].provider:
        for owner, n in steps.exclude(translates).values_list("owner").annotate(n=Count("pk")):
            running["", owner] += n
    elif settings.TRANSLATOR:
        for owner, n in steps.filter(translates).values_list("owner").annotate(n=Count("pk")):
            running[TRANSLATOR, owner] += n
    return running


class Candidate(NamedTuple):
    """A row to try. With `passes`, claiming it lets a shorter job go before the oldest one."""

    line: Line
    pk: int
    passes: bool


def candidates(lines: list[Line]) -> list[Candidate]:
    """Return the next rows to try, best first. They belong to the person whose turn it is."""
    running = _running(lines)

    def turn(line: Line) -> tuple[object, ...]:
        never = line.served_at is None
        return line.precedence, running[line.provider, line.owner_id], not never, never or line.served_at

    first = min(lines, key=lambda line: (*turn(line), line.owner_id, line.rank))
    # Among this person's work of the same class, the rank alone decides, for steps and windows alike. Turns
    # do not count here.
    own = [
        line
        for line in lines
        if (line.owner_id, line.provider, line.precedence)
        == (first.owner_id, first.provider, first.precedence)
    ]
    best_rank = min(line.rank for line in own)
    same = [line for line in own if line.rank == best_rank]
    shortest, oldest = [], []
    for line in same:
        rows = line.units().values_list("left_ms", "queued_at", "job_id", "pk")
        shortest += [(_key(row), line) for row in rows.order_by("left_ms", "queued_at", "pk")[:CANDIDATES]]
        oldest += [(_key(row)[1:], line) for row in rows.order_by("queued_at", "pk")[:1]]
    if not shortest or not oldest:
        return []
    shortest.sort(key=lambda found: found[0])
    (_, oldest_job, pk), line = min(oldest, key=lambda found: found[0])
    best = [Candidate(of, row[3], row[2] != oldest_job) for row, of in shortest[:CANDIDATES]]
    if line.passed >= MOST_PASSED:
        best.insert(0, Candidate(line, pk, passes=False))
    return best


def _key(row: tuple[int, datetime, uuid.UUID | None, int]) -> tuple[int, datetime, str, int]:
    """Return a key to sort by.

    The id becomes text, because work of a sound has no job, and None cannot be compared.
    """
    left_ms, queued_at, job_id, pk = row
    return left_ms, queued_at, str(job_id), pk
