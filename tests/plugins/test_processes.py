"""The plugin `tests.plugins.processes`, in runs of its own: with three processes, and with one."""

from __future__ import annotations

import os

import pytest

from tests.services import ROOT

pytest_plugins = ["pytester"]

# Each notes when it began and ended, and one marked `alone` is not the first that is collected.
TIMED = """
import time
from pathlib import Path

import pytest

from tests.plugins.processes import locked

@pytest.fixture
def noted(request):
    with Path("noted.txt").open("a") as file:
        began = time.monotonic()
        yield
        process = getattr(request.config, "workerinput", {"workerid": "only"})["workerid"]
        file.write(f"{process} {request.node.name} {began} {time.monotonic()}\\n")

@pytest.fixture
def turn(pytestconfig):
    with locked(pytestconfig, "turn"):
        yield

@pytest.mark.parametrize("n", range(6))
def test_beside_others(n, noted):
    time.sleep(0.1)

@pytest.mark.alone
@pytest.mark.parametrize("n", range(2))
def test_by_itself(n, noted):
    time.sleep(0.1)

@pytest.mark.parametrize("n", range(3))
def test_in_turn(n, turn, noted):
    time.sleep(0.1)
"""
LACKING = """
import pytest

from tests.plugins.processes import left_out

@pytest.mark.parametrize("n", range(7))
def test_something(n):
    left_out["The moon does not answer"] += 1
    pytest.skip("no moon")
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run the tests in a file; `processes` is 0 for a single one."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("TMPDIR", str(pytester.mkdir("tmp")))

    def go(tests: str, *, processes: int) -> pytest.RunResult:
        pytester.makepyfile(tests)
        result = pytester.runpytest_subprocess(
            *("-p", "tests.plugins.processes", "-p", "no:django", "--strict-markers"),
            *("--numprocesses", str(processes), "--dist", "worksteal"),
        )
        assert os.listdir(pytester.path / "tmp") == [], "locks are left behind"
        return result

    return go


@pytest.mark.parametrize("processes", [0, 3])
def test_what_must_be_alone_is_alone_and_comes_first(run, pytester, processes):
    run(TIMED, processes=processes).assert_outcomes(passed=11)
    lines = [line.split() for line in (pytester.path / "noted.txt").read_text().splitlines()]
    times = {name: (float(began), float(ended)) for _, name, began, ended in lines}
    together = {
        frozenset((one, other))
        for one, (began, ended) in times.items()
        for other, (its_began, its_ended) in times.items()
        if one != other and began < its_ended and its_began < ended
    }
    assert bool(together) == (processes > 1), "with three processes, some run together"
    assert not [pair for pair in together if any("by_itself" in name for name in pair)]
    assert not [pair for pair in together if all("in_turn" in name for name in pair)]
    for process in {process for process, *_ in lines} if processes else ():
        its_own = ["by_itself" in name for its_process, name, *_ in lines if its_process == process]
        assert its_own == sorted(its_own, reverse=True)


@pytest.mark.parametrize("processes", [0, 3])
def test_what_was_left_out_is_counted_over_all_processes(run, processes):
    result = run(LACKING, processes=processes)
    result.stdout.fnmatch_lines(["*not on this machine*", "The moon does not answer: 7 tests left out"])
