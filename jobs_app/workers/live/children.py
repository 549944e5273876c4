"""The live hosts of a job runner: child processes that are started again when they end."""

from __future__ import annotations

import logging
import subprocess
import sys
import time

from django.conf import settings

from jobs_app.leases import claims
from jobs_app.lifecycle.failing import lose_work_of
from jobs_app.workers.end_with_parent import die_with_parent

logger = logging.getLogger(__name__)

STEADY_S = 30
"""A host that ran for so long is started again at once."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30
DRAIN_S = 5
"""A host that is stopped writes what it has heard, and gives its recordings back."""


class LiveHosts:
    """`LIVE_HOSTS` processes `manage.py livehost`."""

    def __init__(self) -> None:
        self._children = [_Child() for _ in range(settings.LIVE_HOSTS)]

    def watch(self) -> None:
        """Start those that do not run."""
        for child in self._children:
            child.watch()

    def release_lost(self) -> None:
        """Let other hosts go on with the recordings of those that have died."""
        for child in self._children:
            while child.dead:
                lose_work_of(child.dead[0])
                child.dead.pop(0)

    def begin_to_stop(self) -> None:
        for child in self._children:
            child.terminate()

    def stop(self) -> list[int]:
        """Wait until all have ended. Return the processes that had to be killed."""
        deadline = time.monotonic() + DRAIN_S
        return [pid for child in self._children if (pid := child.end(deadline - time.monotonic()))]


class _Child:
    def __init__(self) -> None:
        self.dead: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = self._start_at = 0.0
        self._pause_s = 0.0

    def watch(self) -> None:
        if self._process is not None and (code := self._process.poll()) is not None:
            self._ended(self._process.pid, code)
        if self._process is None and time.monotonic() >= self._start_at:
            self._start()

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def end(self, within_s: float) -> int | None:
        if self._process is None:
            return None
        try:
            self._process.wait(max(0, within_s))
        except subprocess.TimeoutExpired:
            logger.warning("Live host %s did not end in time and is killed", self._process.pid)
            self._process.kill()
            self._process.wait()
            return self._process.pid
        return None

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "livehost"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform.startswith("linux") else None,
        )
        self._started_at = time.monotonic()

    def _ended(self, pid: int, code: int) -> None:
        self._process = None
        steady = time.monotonic() - self._started_at > STEADY_S
        self._pause_s = 0 if steady else min(2 * self._pause_s + FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._start_at = time.monotonic() + self._pause_s
        if code:
            logger.error("Live host %s ended with exit code %s and is started again", pid, code)
            self.dead.append(claims.worker_name(pid))
