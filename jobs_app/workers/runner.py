"""Keep a Django-Q2 cluster running, and check that it works.

If one of its idle processes is killed, Django-Q2 stops for ever while it reports "Working". So the cluster is
a child process, and it must show that it is alive by running something. If it does not, its whole process
group is killed and started again. Leases make the kill harmless.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import psutil
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from jobs_app.engines import devices
from jobs_app.leases import claims, queue, run_folder
from jobs_app.leases.run_folder import last_beat
from jobs_app.lifecycle.failing import give_back
from jobs_app.models import Runner
from jobs_app.workers import lost_work
from jobs_app.workers.end_with_parent import die_with_parent
from jobs_app.workers.live.children import LiveHosts
from jobs_app.workers.sweeper import Sweeper

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 2
LONGEST_RESTART_PAUSE_S = 30


class Cluster:
    """The child process `manage.py workers`, in a process group of its own."""

    def __init__(self) -> None:
        self._group_file = run_folder.cluster_file()
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "workers"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform.startswith("linux") else None,
        )
        self._group_file.write_text(str(self._process.pid))
        self.started_at = time.time()
        logger.info("Started the workers (process group %s)", self._process.pid)

    def ended(self) -> int | None:
        """Return the exit code of the child; None while it runs."""
        assert self._process is not None  # noqa: S101
        return self._process.poll()

    def kill(self) -> None:
        """Kill the whole group and wait until it is gone."""
        if self._process is not None:
            _kill_group(self._process.pid)
            self._process.wait()

    def stop(self, *, grace_s: float) -> list[int]:
        """Let running work end within `grace_s`, then kill the rest.

        Return the processes that had to be killed.
        """
        if self._process is None or self._process.poll() is not None:
            return []
        members = [p.pid for p in psutil.Process(self._process.pid).children(recursive=True)]
        # The signal goes to the main process only, because Django-Q2 hangs if the whole group gets it.
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
        """Kill the workers of a job runner that was itself killed. They live on without a master."""
        try:
            group = int(self._group_file.read_text())
        except (FileNotFoundError, ValueError):
            return
        for process in psutil.process_iter(["pid", "cmdline"]):
            try:
                if os.getpgid(process.pid) == group and "workers" in (process.info["cmdline"] or []):
                    logger.warning("Killing worker %s, left by an earlier job runner", process.pid)
                    process.kill()
            except (psutil.NoSuchProcess, ProcessLookupError):
                continue


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


class AlreadyRunning(Exception):
    pass


class JobRunner:
    """The code of `manage.py jobrunner`: the cluster, its watchdog and the sweeper, until it must stop."""

    def __init__(self) -> None:
        self._cluster = Cluster()
        self._live_hosts = LiveHosts()
        self._stop = False
        self._restarts = 0
        self._pause_s = 0.0
        self._start_at: float | None = None
        self._started_at = timezone.now()
        self._reported = 0.0
        self._pinged = 0.0

    def stop(self, *_: object) -> None:
        self._stop = True

    def run(self) -> None:
        """Run until `stop` is called.

        Raises:
            AlreadyRunning: another job runner uses this data folder. The two would kill each other's workers
                as leftovers.
        """
        lock = run_folder.take_lock("jobrunner")
        if lock is None:
            raise AlreadyRunning(
                f"A job runner (process {run_folder.holder('jobrunner')}) is already running on "
                f"{settings.DATA_DIR}. Stop it first, or choose another folder with DATA_DIR."
            )
        with lock:
            self._run()

    def _run(self) -> None:
        run_folder.take_work_again()
        self._cluster.kill_leftovers()
        self._cluster.start()
        sweeper = Sweeper()
        sweeper.start()
        try:
            while not self._stop:
                self._watch()
                self._live_hosts.watch()
                self._do_if_database_answers()
                time.sleep(0.5)
        finally:
            sweeper.stop()
            logger.info("Stopping: running work may end, for %s s at most", settings.STOP_GRACE_S)
            run_folder.stop_taking_work()
            self._live_hosts.begin_to_stop()
            killed = self._cluster.stop(grace_s=settings.STOP_GRACE_S)
            killed += self._live_hosts.stop()
            run_folder.take_work_again()
            self._sign_off(killed)

    def _watch(self) -> None:
        """Start the cluster again if it has ended, or if it no longer runs anything."""
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
        """Return whether the present workers, not earlier ones, have run something."""
        return (last_beat() or 0) >= self._cluster.started_at

    def _ping(self, *, every_s: float) -> None:
        """Wake an idle cluster, so that it shows that it takes work."""
        if time.monotonic() - self._pinged > every_s:
            self._pinged = time.monotonic()
            queue.wake()

    def _restart(self, why: str) -> None:
        logger.error("The workers are started again: %s", why)
        self._cluster.kill()
        self._restarts += 1
        # The runner does not sleep for this time, so that it goes on sweeping and notices a stop.
        self._start_at = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s + 0.5, LONGEST_RESTART_PAUSE_S)

    def _do_if_database_answers(self) -> None:
        now = time.monotonic()
        try:
            self._live_hosts.release_lost()
            if now - self._reported > REPORT_EVERY_S:
                self._reported = now
                self._report()
                # This runs here, because work that waits for another attempt is due between two sweeps.
                lost_work.wake_for_forgotten_work()
        except DatabaseError:
            logger.warning("The database does not answer; trying again", exc_info=True)
            connection.close()

    def _report(self) -> None:
        Runner.objects.update_or_create(
            name=claims.worker_name(),
            defaults={
                "workers": settings.WORKERS,
                "started_at": self._started_at,
                # The time is that of the database's clock, because all code that reads it compares it with
                # that clock.
                "beat_at": Now(),
                "proven_at": Now() - timedelta(seconds=time.time() - (last_beat() or 0))
                if self._proven()
                else None,
                "devices": devices.summary(),
                "restarts": self._restarts,
            },
        )

    def _sign_off(self, killed: list[int]) -> None:
        try:
            give_back(claims.worker_name(pid) for pid in killed)
            Runner.objects.filter(name=claims.worker_name()).delete()
        except DatabaseError:
            logger.warning("The database does not answer; this runner stays listed for a while")
