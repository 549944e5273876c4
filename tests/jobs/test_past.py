"""What is done all the time must not read what was done long ago: told by plans and rows, not by clocks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.urls import reverse, reverse_lazy

from jobs_app.leases import claims
from jobs_app.models import ChunkTranscription, JobStep, SoundTrack, TranscriptionJob
from jobs_app.workers import lost_work
from sessions_app.models import RecordingSession
from sessions_app.sweeping import abandoned
from tests.jobs.past import BIG, make_past
from tests.samples import completed_job

# PostgreSQL chooses by how much there is; SQLite's plans are the same for little.
MUCH = 20_000 if connection.vendor == "postgresql" else 5_000
JOBS, WINDOWS_EACH, OWNERS = MUCH, 10, 100
# Of the tables of the history, by one thing that is done. What is open, and one person's page, are far below.
ROWS_AT_MOST = 2_000
# Of SQLite's machine, by a statement that has a limit: to look at each row of the history takes more.
STEPS_AT_MOST = 2 * JOBS

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


class Reading:
    """What the statements of a block read of the big tables."""

    def __init__(self) -> None:
        self.rows = self.blocks = 0
        self.whole: list[str] = []
        self.statements = 0
        self.looks = False

    def look(self, sql: str, params: object) -> None:
        if not any(table in sql for table in BIG) or not sql.startswith(
            ("SELECT", "UPDATE", "WITH", "DELETE")
        ):
            return
        self.statements += 1
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                # What changes rows is only planned here: it is to be done once.
                analyse = "ANALYZE, BUFFERS, " if sql.startswith(("SELECT", "WITH")) else ""
                cursor.execute(f"EXPLAIN ({analyse}FORMAT JSON) {sql}", params)
                (plan,) = cursor.fetchone()
                self._add(plan if isinstance(plan, list) else json.loads(plan), sql)
            else:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                plan = [row[3] for row in cursor.fetchall()]
                if "LIMIT" not in sql or _steps(sql, params) > STEPS_AT_MOST:
                    self._find_scans(plan, sql)

    def _add(self, plan: list, sql: str) -> None:
        nodes = [plan[0]["Plan"]]
        self.blocks += nodes[0].get("Shared Hit Blocks", 0) + nodes[0].get("Shared Read Blocks", 0)
        for node in nodes:
            nodes += node.get("Plans", [])
            if node.get("Relation Name") not in BIG:
                continue
            if node["Node Type"] == "Seq Scan":
                self.whole.append(sql)
            read = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
            self.rows += int(read * node.get("Actual Loops", 1))

    def _find_scans(self, lines: list[str], sql: str) -> None:
        """A walk through an index of what is open alone is none through the table."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'")
            partial = {name for (name,) in cursor.fetchall()}
        self.whole += [
            f"{line}: {sql}"
            for line in lines
            if line.startswith("SCAN ") and _names_big(line, sql) and partial.isdisjoint(line.split())
        ]


def _steps(sql: str, params: object) -> int:
    """How much SQLite has to do for the statement. A walk through an index may end at its limit."""
    n = 0

    def count() -> None:
        nonlocal n
        n += 100

    with connection.cursor() as cursor:
        connection.connection.set_progress_handler(count, 100)
        try:
            cursor.execute(sql, params)
            cursor.fetchall()
        finally:
            connection.connection.set_progress_handler(None, 0)
    return n


def _names_big(line: str, sql: str) -> bool:
    """SQLite names a table by its alias."""
    name = line.split()[1]
    return name in BIG or any(re.search(rf'"?{table}"? "?{name}"?\b', sql) for table in BIG)


@contextmanager
def reading() -> Iterator[Reading]:
    found = Reading()

    def look(execute, sql, params, many, context):
        if not found.looks:
            found.looks = True
            try:
                found.look(sql, params)
            finally:
                found.looks = False
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        yield found


@pytest.fixture
def past(alice, django_user_model, new_job):
    """Years of it, Alice's among others, and one job of hers that waits."""
    users = django_user_model.objects
    owners = [alice, *(users.create_user(f"person-{n}") for n in range(OWNERS - 1))]
    make_past(completed_job(alice), jobs=JOBS, windows_each=WINDOWS_EACH, owners=owners)
    job = new_job(alice)
    JobStep.objects.update(not_before=Now() - timedelta(seconds=10))
    return job


def test_what_is_done_all_the_time_does_not_read_the_past(past, client, alice):
    client.force_login(alice)
    actions = {
        "claim": lambda: claims.claim(),
        "sweep": lost_work.recover,
        "forgotten work": lost_work.wake_for_forgotten_work,
        "abandoned recordings": abandoned.sweep,
        "home page": lambda: client.get(reverse("home")),
        "rows of the home page": lambda: client.get(reverse("home-rows")),
        "status": lambda: client.get(f"/api/jobs/{past.pk}/status/"),
    }
    looked_at = 0
    for name, act in actions.items():
        with reading() as read:
            act()
        looked_at += read.statements
        assert read.whole == [], name
        assert read.rows <= ROWS_AT_MOST, name
    assert looked_at > 10
    # It would be seen.
    with reading() as read:
        list(type(past).objects.order_by().filter(transcript__texts__raw_text="nowhere").values_list("pk"))
    assert read.whole


# --- One person's ------------------------------------------------------------------------------------

MANY = MUCH
# What counting so many takes; to read what is counted would be ten times that.
BLOCKS_FOR_MANY = 1_500
PERSONS_LISTS = [
    "/",
    reverse_lazy("home-rows"),
    *(f"/?status={status}" for status in ("active", "completed", "failed", "cancelled")),
    "/api/jobs/",
    "/api/job-history/",
    *(f"/api/jobs/?status={status}" for status in ("pending", "completed", "failed")),
    "/api/sessions/",
    *(
        f"/api/sessions/?state={state}"
        for state in ("recording", "processing", "completed", "failed", "cancelled")
    ),
]


@pytest.fixture
def new_files(transactional_db) -> None:
    """Tables of which no dead rows of other tests are to be read."""
    call_command("flush", verbosity=0, interactive=False)


@pytest.mark.django_db(transaction=True)
def test_a_persons_lists_cost_the_same_with_few_and_with_many_recordings(
    new_files, client, alice, bob, new_job, django_user_model
):
    template = completed_job(alice)
    others = [django_user_model.objects.create_user(f"person-{n}") for n in range(2)]
    make_past(template, jobs=MANY * 3, windows_each=1, owners=[alice, *others])
    for _ in range(20):
        completed_job(bob)
    new_job(alice)
    if connection.vendor == "postgresql":
        # As autovacuum does sooner or later: before it, counting by an index looks at the rows, too.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")
    looked_at = 0
    for url in PERSONS_LISTS:
        cost = {}
        for person in (bob, alice):
            client.force_login(person)
            with reading() as read:
                assert client.get(url).status_code == 200
            looked_at += read.statements
            # Of as much as hers is PostgreSQL may count the whole table, which the blocks tell.
            assert read.whole == [] or connection.vendor == "postgresql", url
            cost[person] = read.blocks
        assert cost[alice] <= cost[bob] + BLOCKS_FOR_MANY, (url, cost)
    assert looked_at > 2 * len(PERSONS_LISTS)


# --- Of everybody, for staff ---------------------------------------------------------------------


# By a column that has no index, each of them would be read whole.
WITHOUT_INDEX = {RecordingSession: "4", TranscriptionJob: "4", ChunkTranscription: "4", SoundTrack: "3"}


def test_the_lists_of_the_admin_do_not_read_the_past(alice, bob, admin_client):
    make_past(completed_job(alice), jobs=JOBS, windows_each=2, owners=[alice, bob])
    for model, column in WITHOUT_INDEX.items():
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        with reading() as read:
            answer = admin_client.get(url)
        assert "more than 1,000" in answer.content.decode(), model
        assert read.statements, model
        assert read.whole == [], model
        assert read.rows <= ROWS_AT_MOST, model
        # It would be seen.
        with reading() as read:
            admin_client.get(url, {"o": column})
        assert read.whole, model
