"""A whole site for live words: a web process, workers and live hosts."""

from __future__ import annotations

import sys

import pytest

from jobs_app.models import LiveHost
from people_app.models import ApiToken
from tests.acceptance.conftest import RunnerProcess, wait_for
from tests.acceptance.live.talk import Api
from tests.acceptance.recordings.client import WebProcess


class Site:
    def __init__(self, web: WebProcess, runner: RunnerProcess, api: Api) -> None:
        self.web = web
        self.runner = runner
        self.api = api

    def start(self) -> Site:
        """Start all of it, and wait until a live host is there."""
        self.runner.start()
        self.web.start()
        self.wait_for_live_host()
        return self

    def wait_for_live_host(self) -> None:
        def there() -> bool:
            names = set(LiveHost.objects.alive().values_list("name", flat=True))
            return any(name.endswith(f":{host.pid}") for host in self.runner.live_hosts() for name in names)

        wait_for(there, within_s=60, what="a live host reports")


@pytest.fixture
def site(child_environment, runner, tmp_path, alice):
    """It is not started yet, so that a test can change the environment of its processes."""
    child_environment |= {
        "LIVE_HOSTS": "1",
        "LIVE_LEASE_S": "3",
        # What live hosts heard is what is looked at here.
        "LIVE_REFINE": "False",
        "MIN_FREE_DISK_MB": "0",
        # Workers give way to live hosts, so that they are slow to start on a machine that does other things.
        "STALL_AFTER_S": "60",
        "WORKERS": "1",
    }
    runner.environment = child_environment
    web = WebProcess(child_environment, tmp_path / "web.log")
    web.environment = child_environment
    api = Api(web.port, ApiToken.objects.issue(alice).key)
    yield Site(web, runner, api)
    web.kill()
    # Shown by pytest when the test failed.
    sys.stdout.write(web.log[-6000:])
