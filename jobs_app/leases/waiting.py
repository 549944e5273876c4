"""Find out whose work waits for what, without reading all rows that wait.

A person may have ten thousand windows waiting. So the query does not read the index from end to end, but
jumps from the first entry of one person to that of the next. This costs a few blocks for each person who has
work, and none for work that is done.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobs_app.leases.ranks import RANKS, Precedence
from jobs_app.models import ChunkTranscription, JobStep, LeasedWork, StepKind, Turn, WorkStatus
from speech.engines.providers import TRANSLATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The work of one person and rank that could be claimed now, with the person's `Turn` in its lane.

    `engine` is that of the windows; None means steps. `provider` is the one for whose slots the work waits;
    it is empty if the work waits for workers. `served_at` is in the database's own form and can only be
    compared; None means that the person was never served.
    """

    engine: str | None
    provider: str
    rank: int
    owner_id: int
    served_at: object
    spent: bool
    begun: bool
    passed: int

    @property
    def interactive(self) -> bool:
        return RANKS[self.rank] == Precedence.INTERACTIVE

    @property
    def precedence(self) -> Precedence:
        """Return the class of this work.

        A person's interactive work comes with all uploads while the person has used up the interactive share.
        """
        return Precedence.BATCH if self.interactive and self.spent else RANKS[self.rank]

    def units(self) -> QuerySet[LeasedWork]:
        work: QuerySet[LeasedWork] = (
            (translations() if self.provider else steps_for_workers())
            if self.engine is None
            else ChunkTranscription._default_manager.filter(engine=self.engine)
        )
        return work.filter(
            status=WorkStatus.WAITING, rank=self.rank, owner=self.owner_id, not_before__lte=Now()
        )


def translations() -> QuerySet[JobStep]:
    """Return the steps that wait for the translator."""
    return JobStep._default_manager.filter(kind=StepKind.TRANSLATE)


def steps_for_workers() -> QuerySet[JobStep]:
    """Return the steps that workers do, which are not those of live hosts and of the translator."""
    return JobStep._default_manager.exclude(kind__in=_not_for_workers())


def _not_for_workers() -> list[StepKind]:
    # If the translator was removed from the settings, its work needs no slot to fail.
    return [StepKind.LIVE, *([StepKind.TRANSLATE] if settings.TRANSLATOR else [])]


def lines(*, providers: Collection[str] | None = None) -> list[Line]:
    """Return the work that waits for slots of these providers; without `providers`, for workers.

    This is one statement.
    """
    far = list(settings.PROVIDERS if providers is None else providers)
    if providers is not None and not far:
        return []
    with connection.cursor() as cursor:
        # What is written into the statement are names of this program.
        if providers is None:
            steps = " AND ".join(f"w.kind <> '{kind.value}'" for kind in _not_for_workers())
        else:
            steps = f"w.kind = '{StepKind.TRANSLATE.value}'" if TRANSLATOR in far else ""
        cursor.execute(_sql(remote=providers is not None, n_engines=len(far), steps_are=steps), far)
        rows = cursor.fetchall()
    return [
        Line(
            engine=None if engine == TRANSLATOR else engine,
            provider="" if providers is None else engine,
            rank=rank,
            owner_id=owner_id,
            served_at=served_at,
            spent=bool(spent),
            begun=bool(begun),
            passed=passed or 0,
        )
        for engine, rank, owner_id, served_at, spent, begun, passed in rows
    ]


@cache
def _sql(*, remote: bool, n_engines: int, steps_are: str) -> str:
    """Return the statement. Each `SELECT … LIMIT 1` in it is one look into an index of the work that waits.

    `steps_are` is the condition on steps; if it is empty, there are none.

    Its order is that of the index and has more columns than the answer needs. With fewer columns, PostgreSQL
    may use the index of owners; with EXISTS, it may read all waiting rows at once.

    A window of a provider that was removed from the settings is for workers, because it needs no slot to
    fail. Steps that wait for the translator have its name as their engine.
    """
    windows, steps, turns = (model._meta.db_table for model in (ChunkTranscription, JobStep, Turn))
    compiler = Turn._default_manager.all().query.get_compiler(connection=connection)
    now, _ = compiler.compile(Now())
    ranks = ", ".join(f"({rank})" for rank in RANKS)
    interactive = ", ".join(str(rank) for rank in RANKS if RANKS[rank] == Precedence.INTERACTIVE)
    engines = ", ".join(["%s"] * n_engines)
    choice = f"AND e.engine {'' if remote else 'NOT '}IN ({engines})" if n_engines else ""
    lane = "due.engine" if remote else "''"
    window = f"FROM {windows} w WHERE w.status = 'waiting'"
    step = f"FROM {steps} w WHERE w.status = 'waiting' AND {steps_are or '1 = 0'}"
    step_engine = f"'{TRANSLATOR}'" if remote else "NULL"
    next_owner = "ORDER BY w.owner_id, w.left_ms, w.queued_at LIMIT 1"
    next_unit = "ORDER BY w.left_ms, w.queued_at LIMIT 1"
    # The statement contains only names of tables and numbers. Values from the settings are parameters.
    of_steps = f"""
        UNION ALL
        SELECT {step_engine}, s.rank, s.owner_id FROM steps s WHERE s.owner_id IS NOT NULL AND (
            SELECT w.id {step} AND w.rank = s.rank AND w.owner_id = s.owner_id AND w.not_before <= {now}
            {next_unit}) IS NOT NULL"""  # noqa: S608
    return f"""
    WITH RECURSIVE ranks(rank) AS (VALUES {ranks}),
    engines(engine) AS (
        SELECT (SELECT w.engine {window} ORDER BY w.engine LIMIT 1)
        UNION ALL
        SELECT (SELECT w.engine {window} AND w.engine > e.engine ORDER BY w.engine LIMIT 1)
        FROM engines e WHERE e.engine IS NOT NULL
    ),
    windows(engine, rank, owner_id) AS (
        SELECT e.engine, r.rank, (
            SELECT w.owner_id {window} AND w.engine = e.engine AND w.rank = r.rank
            {next_owner})
        FROM engines e, ranks r WHERE e.engine IS NOT NULL {choice}
        UNION ALL
        SELECT l.engine, l.rank, (
            SELECT w.owner_id {window} AND w.engine = l.engine AND w.rank = l.rank
            AND w.owner_id > l.owner_id {next_owner})
        FROM windows l WHERE l.owner_id IS NOT NULL
    ),
    steps(rank, owner_id) AS (
        SELECT r.rank, (SELECT w.owner_id {step} AND w.rank = r.rank {next_owner})
        FROM ranks r
        UNION ALL
        SELECT s.rank, (
            SELECT w.owner_id {step} AND w.rank = s.rank AND w.owner_id > s.owner_id
            {next_owner})
        FROM steps s WHERE s.owner_id IS NOT NULL
    ),
    due(engine, rank, owner_id) AS (
        SELECT l.engine, l.rank, l.owner_id FROM windows l WHERE l.owner_id IS NOT NULL AND (
            SELECT w.id {window} AND w.engine = l.engine AND w.rank = l.rank AND w.owner_id = l.owner_id
            AND w.not_before <= {now} {next_unit}) IS NOT NULL
        {of_steps if steps_are else ""}
    )
    SELECT due.engine, due.rank, due.owner_id, t.served_at, t.spent_until > {now}, t.begun, t.passed
    FROM due LEFT JOIN {turns} t ON t.owner_id = due.owner_id AND t.engine = {lane}
        AND t.interactive = (due.rank IN ({interactive}))
    """  # noqa: S608
