"""The order of work, among the work of one person and among the work of all people.

The rank of a unit of work is a small number. It is stored with the unit, because the claim may read no other
table. `RANKS` orders the work of one person. Between people only the class of a rank counts, so that one
person's wish for high priority delays nobody else.
"""

from __future__ import annotations

from enum import IntEnum

from django.db.models import F, Sum

from jobs_app.leases.held import WORK_MODELS
from jobs_app.models import WORK_OPEN, JobKind, JobPriority, TranscriptionJob, WorkStatus


class Precedence(IntEnum):
    """The class of a rank, lowest first."""

    INTERACTIVE = 0
    BEFORE_OTHERS = 1
    BATCH = 2
    BEHIND_OTHERS = 3
    REFINEMENT = 4
    """Nobody waits for it. It leaves a worker free for those who are heard live."""


# The numbers are stored in the database: never give one a new meaning.
RANKS: dict[int, Precedence] = {
    0: Precedence.INTERACTIVE,
    1: Precedence.INTERACTIVE,
    2: Precedence.INTERACTIVE,
    6: Precedence.BEFORE_OTHERS,
    3: Precedence.BATCH,
    4: Precedence.BATCH,
    5: Precedence.BATCH,
    7: Precedence.BEHIND_OTHERS,
    8: Precedence.REFINEMENT,
}
REFINEMENT_RANK = 8
_OF_PRIORITY = {JobPriority.HIGH: 0, JobPriority.NORMAL: 1, JobPriority.LOW: 2}
_AMONG_ALL = {JobPriority.HIGH: 6, JobPriority.NORMAL: 4, JobPriority.LOW: 7}


def rank(*, interactive: bool, priority: str, among_all: bool = False) -> int:
    """Return the rank.

    With `among_all`, the priority counts among the work of all people, not only of the owner.
    """
    if interactive:
        return _OF_PRIORITY[JobPriority(priority)]
    if among_all:
        return _AMONG_ALL[JobPriority(priority)]
    return 3 + _OF_PRIORITY[JobPriority(priority)]


def rank_of(job: TranscriptionJob) -> int:
    if job.kind == JobKind.REFINE and job.priority == JobPriority.LOW:
        return REFINEMENT_RANK  # unless staff have raised it
    return rank(
        interactive=job.interactive and not job.yields,
        priority=job.priority,
        among_all=job.priority_among_all,
    )


def set_rank(job: TranscriptionJob) -> None:
    """Give the job's open work the rank of the job. The caller holds the lock on `job`."""
    for model in WORK_MODELS:
        model._default_manager.filter(job=job, status__in=WORK_OPEN).update(rank=rank_of(job))


def note_left(job: TranscriptionJob) -> None:
    """Store with the waiting windows how much audio their job has left.

    The caller holds the lock on `job`.
    """
    length = Sum(F("end_ms") - F("start_ms"))
    left_ms = job.windows.filter(status__in=WORK_OPEN).aggregate(left=length)["left"] or 0
    job.windows.filter(status=WorkStatus.WAITING).update(left_ms=left_ms)
