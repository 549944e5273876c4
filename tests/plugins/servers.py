"""Whole servers, which begin with what the first of them has prepared: a plugin of pytest.

To migrate a database and to collect static files costs ten seconds of a processor. That is done once for all
processes of a test run, and goes as the run ends.

PYTEST_DONT_REWRITE, for the same reason as `tests.plugins.processes`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.server import Server
from tests.plugins.processes import LOCKS, locked


@pytest.fixture(scope="session")
def new_server(pytestconfig: pytest.Config) -> Callable[..., Server]:
    """Make a server, to be used with `with`."""
    shared = Path(pytestconfig.stash[LOCKS])
    prepared = shared / "prepared"

    def make(**settings: object) -> Server:
        with locked(pytestconfig, "prepared"):
            if not prepared.exists():
                making = shared / "preparing"
                Server.prepare(making)
                # Nobody writes to them, and they are large.
                (making / "static").rename(shared / "static")
                (making / "static").symlink_to(shared / "static")
                making.rename(prepared)
        return Server(data=prepared, **settings)

    return make
