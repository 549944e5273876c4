"""Keeps a Django-Q2 cluster running and proves that it works.

Django-Q2 stops for ever, while it reports "Working", when one of its idle processes is killed. So the
cluster is a child that must show, by running something, that it is alive; when it does not, its whole
process group is killed and started again. Leases make the kill harmless.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import psutil
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from jobs_app import claims, failures, queue, sweep
from jobs_app.guard import last_beat
from jobs_app.models import Runner
from jobs_app.tasks import stopping_file

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 2
LONGEST_RESTART_PAUSE_S = 30
PR_SET_PDEATHSIG = 1


class Cluster:
    """The `manage.py qcluster` child, in a process group of its own."""

    def __init__(self) -> None:
        self._group_file = Path(settings.RUN_DIR) / "cluster.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform.startswith("linux") else None,
        )
        self._group_file.write_text(str(self._process.pid))
        self.started_at = time.time()
        logger.info("Started the workers (process group %s)", self._process.pid)

    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        assert self._process is not None  # noqa: S101
        return self._process.poll()

    def kill(self) -> None:
        """Kill the whole group and wait until it is gone."""
        if self._process is not None:
            _kill_group(self._process.pid)
            self._process.wait()

    def stop(self, *, grace_s: float) -> list[int]:
        """Let running work end, for `grace_s` at most; then kill. The processes that had to be killed."""
        if self._process is None or self._process.poll() is not None:
            return []
        members = [p.pid for p in psutil.Process(self._process.pid).children(recursive=True)]
        # To the main process alone: with the whole group signalled Django-Q2 hangs.
        self._process.terminate()
        try:
            self._process.wait(grace_s)
            members = []
        except subprocess.TimeoutExpired:
            logger.warning("The workers did not end within %s s and are killed", grace_s)
        self.kill()
        self._group_file.unlink(missing_ok=True)
        return members

    def kill_leftovers(self) -> None:
        """Kill what a runner left that was killed itself: its workers live on without a master."""
        try:
            group = int(self._group_file.read_text())
        except (FileNotFoundError, ValueError):
            return
        for process in psutil.process_iter(["pid", "cmdline"]):
            try:
                if os.getpgid(process.pid) == group and "qcluster" in (process.info["cmdline"] or []):
                    logger.warning("Killing worker %s, left by an earlier job runner", process.pid)
                    process.kill()
            except (psutil.NoSuchProcess, ProcessLookupError):
                continue


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


class AlreadyRunning(Exception):
    pass


class JobRunner:
    """What `manage.py jobrunner` is: the cluster, its watchdog and the sweeper, until it is told to stop."""

    def __init__(self) -> None:
        self._cluster = Cluster()
        self._stop = False
        self._restarts = 0
        self._pause_s = 0.0
        self._start_at: float | None = None
        self._started_at = timezone.now()
        self._swept = self._reported = 0.0
        self._pinged = 0.0

    def stop(self, *_: object) -> None:
        self._stop = True

    def run(self) -> None:
        """Until `stop` is called.

        Raises:
            AlreadyRunning: on this data folder; the two would take each other's workers for leftovers.
        """
        with (Path(settings.RUN_DIR) / "jobrunner.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as e:
                raise AlreadyRunning(f"A job runner is already running on {settings.DATA_DIR}.") from e
            self._run()

    def _run(self) -> None:
        stopping_file().unlink(missing_ok=True)
        self._cluster.kill_leftovers()
        self._cluster.start()
        try:
            while not self._stop:
                self._watch()
                self._do_if_database_answers()
                time.sleep(0.5)
        finally:
            logger.info("Stopping: running work may end, for %s s at most", settings.STOP_GRACE_S)
            stopping_file().touch()
            killed = self._cluster.stop(grace_s=settings.STOP_GRACE_S)
            stopping_file().unlink(missing_ok=True)
            self._sign_off(killed)

    def _watch(self) -> None:
        """Start the cluster again when it has ended, or when it no longer runs anything."""
        if self._start_at is not None:
            if time.monotonic() >= self._start_at:
                self._start_at = None
                self._cluster.start()
            return
        ended = self._cluster.ended()
        if ended is not None:
            self._restart(f"they ended with exit code {ended}")
            return
        silent_s = time.time() - max(last_beat() or 0, self._cluster.started_at)
        if silent_s > settings.STALL_AFTER_S:
            self._restart(f"they have run nothing for {silent_s:.0f} s")
        elif not self._proven():
            self._ping(every_s=1)
        elif silent_s > settings.STALL_AFTER_S / 3:
            self._ping(every_s=settings.STALL_AFTER_S / 6)
        else:
            self._pause_s = 0

    def _proven(self) -> bool:
        """Whether these workers, not those before them, have run something."""
        return (last_beat() or 0) >= self._cluster.started_at

    def _ping(self, *, every_s: float) -> None:
        """Ask an idle cluster for proof that it takes work."""
        if time.monotonic() - self._pinged > every_s:
            self._pinged = time.monotonic()
            queue.wake()

    def _restart(self, why: str) -> None:
        logger.error("The workers are started again: %s", why)
        self._cluster.kill()
        self._restarts += 1
        # Not slept: it goes on sweeping, and hears a stop.
        self._start_at = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s + 0.5, LONGEST_RESTART_PAUSE_S)

    def _do_if_database_answers(self) -> None:
        now = time.monotonic()
        try:
            if now - self._reported > REPORT_EVERY_S:
                self._reported = now
                self._report()
                # Here, because work that waits for another try is due between two sweeps.
                sweep.wake_for_forgotten_work()
            if now - self._swept > settings.SWEEP_EVERY_S:
                self._swept = now
                for dotted in settings.SWEEPERS:
                    _sweep(dotted)
        except DatabaseError:
            logger.warning("The database does not answer; trying again", exc_info=True)
            connection.close()

    def _report(self) -> None:
        Runner.objects.update_or_create(
            name=claims.worker_name(),
            defaults={
                "workers": settings.WORKERS,
                "started_at": self._started_at,
                # By the database's clock, which whoever reads it goes by.
                "beat_at": Now(),
                "proven_at": Now() - timedelta(seconds=time.time() - (last_beat() or 0))
                if self._proven()
                else None,
                "restarts": self._restarts,
            },
        )

    def _sign_off(self, killed: list[int]) -> None:
        try:
            failures.give_back(claims.worker_name(pid) for pid in killed)
            Runner.objects.filter(name=claims.worker_name()).delete()
        except DatabaseError:
            logger.warning("The database does not answer; this runner stays listed for a while")


def _sweep(dotted: str) -> None:
    module, function = dotted.rsplit(".", 1)
    try:
        getattr(import_module(module), function)()
    except DatabaseError:
        raise
    except Exception:
        # A bug in one sweep must end neither the others nor the process that keeps the workers alive.
        logger.exception("%s failed", dotted)
