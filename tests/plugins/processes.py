"""What the processes of one test run tell each other: a plugin of pytest.

`make test` starts several processes. Each collects all tests and runs some of them, with a database and
folders of its own; their parent runs none and prints what they report. They share three things:

- the folder of the locks, which the parent makes and names to each process as it starts;
- locks in that folder: see `locked`, and the mark `alone`;
- what was left out and why, which each process counts and gives to the parent as it ends.

A run in a single process is its own parent, and does the same.

PYTEST_DONT_REWRITE, since conftest.py imports this before pytest would rewrite its asserts, and it has none.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

LOCKS = pytest.StashKey[Path]()
# Sentences without their end, and how many tests each of them keeps from being run.
left_out: Counter[str] = Counter()


def is_parent(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")


def is_first(config: pytest.Config) -> bool:
    """Whether this process says what all of them would say."""
    return is_parent(config) or config.workerinput["workerid"] == "gw0"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "alone: needs the whole machine; where several processes test, the others wait for it"
    )
    config.stash[LOCKS] = Path(
        tempfile.mkdtemp(prefix="transcribe-locks-") if is_parent(config) else config.workerinput["locks"]
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Called in the parent, before each process starts."""
    node.workerinput["locks"] = str(node.config.stash[LOCKS])


@contextmanager
def locked(config: pytest.Config, name: str, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock that all processes of this run have in common."""
    with Path(config.stash[LOCKS], f"{name}.lock").open("w") as file:
        fcntl.flock(file, how)
        yield


def must_be_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not is_parent(config):
        # First, and one after the other: the other processes then wait once.
        items.sort(key=lambda item: not must_be_alone(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """While a test runs that must be alone, nothing else is tested in any process."""
    if must_be_alone(item):
        # Who holds the door is next, however many others there are.
        with locked(item.config, "door"), locked(item.config, "room"):
            return (yield)
    with ExitStack() as here:
        with locked(item.config, "door"):
            here.enter_context(locked(item.config, "room", fcntl.LOCK_SH))
        return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not is_parent(session.config):
        session.config.workeroutput["left_out"] = dict(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Called in the parent, when a process has ended. One that crashed said nothing."""
    left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if left_out:
        terminalreporter.section("not on this machine", sep="-")
        for why, n in left_out.items():
            terminalreporter.line(f"{why}: {n} {'test' if n == 1 else 'tests'} left out")


def pytest_unconfigure(config: pytest.Config) -> None:
    if is_parent(config):
        shutil.rmtree(config.stash[LOCKS], ignore_errors=True)
