"""Whole servers, which begin with what the first of them has prepared: a plugin of pytest.

To migrate a database and to collect static files costs ten seconds of a processor. That is done once for all
processes of a test run, and goes as the run ends.

PYTEST_DONT_REWRITE, for the same reason as `tests.plugins.processes`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from benchmarks.server import Server
from tests.plugins.processes import LOCKS, locked


@pytest.fixture(scope="session")
def prepared(pytestconfig: pytest.Config) -> Path:
    """A data folder with a migrated SQLite database and the collected static files. Copy it."""
    shared = Path(pytestconfig.stash[LOCKS])
    folder = shared / "prepared"
    with locked(pytestconfig, "prepared"):
        if not folder.exists():
            making = shared / "preparing"
            Server.prepare(making)
            # Nobody writes to them, and they are large.
            (making / "static").rename(shared / "static")
            (making / "static").symlink_to(shared / "static")
            making.rename(folder)
    return folder


@pytest.fixture(scope="session")
def new_server(prepared: Path) -> Callable[..., Server]:
    """Make a server, to be used with `with`."""
    return partial(Server, data=prepared)
