"""Fixtures for all tests. A service that is not there skips its tests, and fails them with CI=true.

A mark of `tests.services.SERVICES` is enough to say what a test needs. A test that is marked `postgres` and
uses Django's database runs only on PostgreSQL (TEST_DATABASE=postgres); `make test` runs on both.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs_app.engines import local_models
from tests import services
from tests.plugins.processes import is_first, left_out, locked
from transcribe_site import start
from transcribe_site.watching.health import last_look

pytest_plugins = [
    "tests.plugins.emptied",
    "tests.plugins.migrated",
    "tests.plugins.processes",
    "tests.plugins.servers",
]

ON_POSTGRES = os.environ.get("TEST_DATABASE") == "postgres"
# Browsers and real recordings find nothing on PostgreSQL that they do not find on SQLite. Nor do tests of
# sockets, clocks, memory and the end of one process, where the database only keeps what came of it. What two
# do at the same time, how a statement counts, and what outlives a lost connection is tested on both.
ON_SQLITE_ONLY = ("browser", "recordings", "any_database")

start.prepare()


def missing(why: str) -> None:
    """Skip the test, or fail it in CI, because of something that is not on this machine."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why}; CI=true makes that a failure")
    left_out[why] += 1
    pytest.skip(why)


def need(service: str) -> None:
    """Go on only when one of `tests.services.SERVICES` can be used."""
    if why := services.lacking(service):
        missing(why)


def uses_the_database(item: pytest.Item) -> bool:
    return bool(
        item.get_closest_marker("django_db")
        or {"db", "transactional_db", "live_server"} & set(getattr(item, "fixturenames", ()))
    )


@pytest.fixture(autouse=True)
def _no_wishes_without_a_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a database, models are offered as the settings say; with one, as this test's rows say."""
    local_models.kept.forget()
    if not uses_the_database(request.node):
        monkeypatch.setattr(local_models, "_wishes", dict)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def runs_here(item: pytest.Item) -> bool:
        if ON_POSTGRES:
            return uses_the_database(item) and not any(map(item.get_closest_marker, ON_SQLITE_ONLY))
        return not (item.get_closest_marker("postgres") and uses_the_database(item))

    here, elsewhere = [], []
    for item in items:
        (here if runs_here(item) else elsewhere).append(item)
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = here
    for item in items:
        if ON_POSTGRES and item.get_closest_marker("restarts_postgres"):
            item.add_marker("alone")
    # A run on SQLite leaves the second run, and what runs only there, to a machine with PostgreSQL.
    for_postgres = len(elsewhere) + sum(map(uses_the_database, items))
    if not ON_POSTGRES and for_postgres and is_first(config) and (why := services.lacking("postgres")):
        left_out[why] += for_postgres


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if ON_POSTGRES and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        # `make test ARGS=tests/speech`: none of them uses the database.
        session.exitstatus = pytest.ExitCode.OK


def pytest_unconfigure() -> None:
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for service in services.SERVICES:
        if item.get_closest_marker(service):
            need(service)
    if connection.connection is not None and not connection.is_usable():
        # Another process has restarted the server.
        connection.close()


@pytest.fixture(autouse=True)
def nothing_carried_over() -> None:
    """The throttles count in caches, and /readyz remembers: one test must not change the next one."""
    for counters in ("default", "logins"):
        caches[counters].clear()
    last_look.forget()


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings with reference texts, which is not part of the repository."""
    need("recordings")
    return services.RECORDINGS


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A PostgreSQL server, for tests that start processes with a DATABASE_URL of their own."""
    need("postgres")
    return services.POSTGRES_URL


@pytest.fixture
def redis_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """An empty Redis database, which one test at a time has for itself."""
    need("redis")
    with locked(pytestconfig, "redis"), redis.Redis.from_url(services.REDIS_URL) as server:
        server.flushdb()
        yield services.REDIS_URL
        server.flushdb()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    need("browser")
    return services.CHROMIUM


@pytest.fixture
def alice(django_user_model):
    """Owns what the tests make."""
    return django_user_model.objects.create_user("alice", password="alices password")


@pytest.fixture
def bob(django_user_model):
    """May see nothing of Alice's."""
    return django_user_model.objects.create_user("bob", password="bobs password")


@pytest.fixture
def staff(django_user_model):
    return django_user_model.objects.create_superuser("staff", password="staffs password")


@pytest.fixture
def reads_no_texts(db):
    """A `with` in which no statement may fetch the text of a transcript."""

    from jobs_app.models.transcripts import TranscriptText

    @contextmanager
    def watch():
        with CaptureQueriesContext(connection) as asked:
            yield
        selected = [
            query["sql"].partition(" FROM ")[0] for query in asked if query["sql"].startswith("SELECT")
        ]
        assert selected
        assert not [sql for sql in selected if "longoptions" in sql]
        # On its own, not as what a snippet is cut from.
        column = rf'(^SELECT |, )"{TranscriptText._meta.db_table}"\."\w+"(,|$)'
        assert not [sql for sql in selected if re.search(column, sql)]

    return watch
