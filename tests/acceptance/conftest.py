"""Real processes on the test database."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from django.conf import settings as django_settings
from django.db import connection
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parent.parent.parent
# Several browsers at once are slow at times.
expect.set_options(timeout=15_000)


def wait_for(condition: Callable[[], object], *, within_s: float, what: str, every_s: float = 0.1) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(every_s)


def database_url() -> str:
    """The test database, for child processes."""
    s = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{s['NAME']}"
    return f"postgres://{s['USER']}:{s['PASSWORD']}@{s['HOST']}:{s['PORT']}/{s['NAME']}"


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class RunnerProcess:
    """`manage.py jobrunner` with short times, and ways to hurt it."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "jobrunner"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def _cluster(self) -> psutil.Process | None:
        return next((child for child in self.process.children() if "workers" in child.cmdline()), None)

    def live_hosts(self) -> list[psutil.Process]:
        return [child for child in self.process.children() if "livehost" in child.cmdline()]

    def cluster_processes(self) -> list[int]:
        """The processes under the sentinel: workers, pusher and monitor."""
        cluster = self._cluster()
        try:
            return [p.pid for p in cluster.children(recursive=True)[1:]] if cluster else []
        except psutil.NoSuchProcess:
            return []

    def kill_busy_worker(self) -> bool:
        from jobs_app.leases.held import WORK_MODELS
        from jobs_app.models import WorkStatus

        for model in WORK_MODELS:
            for worker in model.objects.filter(status=WorkStatus.RUNNING).values_list("worker", flat=True):
                kill(int(worker.rsplit(":", 1)[1]))
                return True
        return False

    def kill_idle_process(self) -> bool:
        from jobs_app.leases.held import WORK_MODELS
        from jobs_app.models import WorkStatus

        busy = {
            int(worker.rsplit(":", 1)[1])
            for model in WORK_MODELS
            for worker in model.objects.filter(status=WorkStatus.RUNNING).values_list("worker", flat=True)
        }
        idle = [pid for pid in self.cluster_processes() if pid not in busy]
        if idle:
            kill(random.choice(idle))
        return bool(idle)

    def kill_cluster_child(self) -> bool:
        cluster = self._cluster()
        if cluster:
            kill(cluster.pid)
        return bool(cluster)

    def kill_cluster_group(self) -> bool:
        cluster = self._cluster()
        if cluster:
            os.killpg(cluster.pid, signal.SIGKILL)
        return bool(cluster)

    def kill_and_start_again(self) -> bool:
        kill(self.process.pid)
        assert self._process is not None
        self._process.wait()
        self.start()
        return True

    def stop(self, *, within_s: float = 30) -> int:
        """SIGTERM, as a service manager does; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(within_s)

    def clean_up(self) -> None:
        """Kill all of it: to let it end takes seconds, and the tests of that look at how it does."""
        if self._process is None or self._process.poll() is not None:
            return
        # First of all who would start others.
        family = [self.process, *self.process.children(recursive=True)]
        for process in family:
            kill(process.pid)
        self._process.wait()
        # What still ran could write into the next test's database.
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []


@pytest.fixture
def child_environment(transactional_db, tmp_path, settings) -> dict[str, str]:
    """For processes that share this test's database and a folder of their own."""
    from django.core.cache import cache

    cache.clear()
    data = tmp_path / "data"
    for name in ("MEDIA_ROOT", "WORK_DIR", "RUN_DIR", "FILE_UPLOAD_TEMP_DIR"):
        folder = data / Path(getattr(django_settings, name)).name
        folder.mkdir(parents=True, exist_ok=True)
        setattr(settings, name, folder)
    return {
        **os.environ,
        "DATA_DIR": str(data),
        "DATABASE_URL": database_url(),
        "SECRET_KEY": django_settings.SECRET_KEY,
        "ENGINES": "fake,local",
        "WORKERS": "2",
        "LEASE_S": "4",
        # Workers are slow to start on a busy machine, and would be started again before they have.
        "STALL_AFTER_S": "60",
        "SWEEP_EVERY_S": "1",
        "RETRY_BACKOFF_S": "0",
        # Kills are not the fault of the work here: it must end completed.
        "MAX_ATTEMPTS": "50",
        "STOP_GRACE_S": "5",
    }


@pytest.fixture
def runner(child_environment, tmp_path):
    process = RunnerProcess(child_environment, tmp_path / "runner.log")
    yield process
    process.clean_up()
    # Shown by pytest when the test failed.
    sys.stdout.write(process.log[-6000:])
