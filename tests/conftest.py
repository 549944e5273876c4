"""Fixtures for all tests. A service that is not there skips its tests, and fails them with CI=true.

A mark of `tests.services.SERVICES` is enough to say what a test needs. A test that is marked `postgres` and
uses Django's database runs only on PostgreSQL (TEST_DATABASE=postgres); `make test` runs on both.

`make test` runs several processes, each with its own database and folders. What is one for all of them is
taken with a lock: see `redis_url`, and the marks `alone` and `restarts_postgres`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from tests import services

ON_POSTGRES = os.environ.get("TEST_DATABASE") == "postgres"
# "gw0" and so on in the processes of pytest-xdist, which run the tests. Their parent only collects reports.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
# Where the processes of a run find each other's locks: the folder of their parent, which removes it.
if not WORKER:
    os.environ["TEST_LOCKS"] = str(settings.DATA_DIR)
left_out: Counter[str] = Counter()


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


def must_be_alone(item: pytest.Item) -> bool:
    return bool(
        item.get_closest_marker("alone") or (ON_POSTGRES and item.get_closest_marker("restarts_postgres"))
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def runs_here(item: pytest.Item) -> bool:
        if ON_POSTGRES:
            # A browser and real recordings find nothing there that they do not find on SQLite.
            elsewhere = item.get_closest_marker("browser") or item.get_closest_marker("recordings")
            return uses_the_database(item) and not elsewhere
        return not (item.get_closest_marker("postgres") and uses_the_database(item))

    here, elsewhere = [], []
    for item in items:
        (here if runs_here(item) else elsewhere).append(item)
    config.hook.pytest_deselected(items=elsewhere)
    # First, and one after the other: the other processes then wait once.
    items[:] = sorted(here, key=lambda item: not must_be_alone(item)) if WORKER else here
    # A run on SQLite leaves the second run, and what runs only there, to a machine with PostgreSQL.
    for_postgres = len(elsewhere) + sum(map(uses_the_database, items))
    if not ON_POSTGRES and for_postgres and WORKER in ("", "gw0") and (why := services.lacking("postgres")):
        left_out[why] += for_postgres


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if WORKER:
        session.config.workeroutput["left_out"] = dict(left_out)
    if ON_POSTGRES and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        # `make test ARGS=tests/speech`: none of them uses the database.
        session.exitstatus = pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if left_out:
        terminalreporter.section("not on this machine", sep="-")
        for why, n in left_out.items():
            terminalreporter.line(f"{why}: {n} {'test' if n == 1 else 'tests'} left out")


def pytest_unconfigure() -> None:
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


@contextmanager
def locked(name: str, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock that all processes of this run have in common."""
    with Path(os.environ["TEST_LOCKS"], f"{name}.lock").open("w") as file:
        fcntl.flock(file, how)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """While a test runs that must be alone, nothing else is tested in any process."""
    if must_be_alone(item):
        # Who holds the door is next, however many others there are.
        with locked("door"), locked("room"):
            return (yield)
    with ExitStack() as here:
        with locked("door"):
            here.enter_context(locked("room", fcntl.LOCK_SH))
        if connection.connection is not None and not connection.is_usable():
            # The server was restarted by another process.
            connection.close()
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for service in services.SERVICES:
        if item.get_closest_marker(service):
            need(service)


@pytest.fixture(autouse=True)
def no_throttle_carried_over() -> None:
    """The throttles count in the cache; one test must not use up what the next one may do."""
    cache.clear()


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
def redis_url() -> Iterator[str]:
    """An empty Redis database."""
    need("redis")
    with locked("redis"), redis.Redis.from_url(services.REDIS_URL) as server:
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
