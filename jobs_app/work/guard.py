"""The guard watches over the units of work of this process while engines run in C and cannot be interrupted.

Each process has one guard, whatever the number of its units. A process may have many units that wait for a
provider.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from jobs_app.leases import run_folder
from jobs_app.leases.held import renew_leases
from jobs_app.lifecycle.failing import DeadlineExceeded, settle_failure
from jobs_app.models import LeasedWork
from jobs_app.work.progress import percents, raise_progress

logger = logging.getLogger(__name__)

# The guard looks this often for cancelled work, and stores the progress. The lease is much longer than that.
TICK_S = 1.0
BUSY_OOM_SCORE = 800


class LeaseLost(Exception):
    """The work of this run was cancelled, deleted or given to another worker.

    The run must stop, and must store nothing.
    """


class Run:
    """One try at a unit of work, from its claim to its end."""

    def __init__(self, work: LeasedWork, *, deadline_s: float) -> None:
        self.work = work
        self.done_ms = 0
        self.deadline = time.monotonic() + deadline_s
        self.leased_until = time.monotonic() + settings.LEASE_S
        self.lost_at: float | None = None

    def advance(self, done_ms: int) -> None:
        """Note that `done_ms` of the unit's audio are done.

        The code that does the work calls this as often as it can.

        Raises:
            LeaseLost: the work no longer belongs to this run.
        """
        self.done_ms = max(self.done_ms, done_ms)
        if self.lost_at is not None:
            raise LeaseLost(str(self.work))


class Guard:
    """One thread for all runs of a process.

    It renews their leases, stores their progress and enforces deadlines.

    The thread and its connection to the database exist only while there is a run. The guard ends the whole
    process if a run does not end at its deadline, or does not stop after its work was taken away, because no
    exception can reach an inference that hangs in C. The leases of the other runs then expire too, as when a
    worker is killed.
    """

    def __init__(self, *, end_process: Callable[[int], object] = os._exit) -> None:
        self._end_process = end_process
        self._runs: set[Run] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._idle = threading.Event()

    @contextmanager
    def watch(self, work: LeasedWork, *, deadline_s: float) -> Iterator[Run]:
        """Watch over a run of `work`, which was claimed, until the `with` block ends."""
        run = Run(work, deadline_s=deadline_s)
        self._add(run)
        try:
            yield run
        finally:
            self._remove(run)

    def _add(self, run: Run) -> None:
        with self._lock:
            if self._thread is None:
                self._idle = threading.Event()
                thread = threading.Thread(target=self._watch, args=(self._idle,), name="guard", daemon=True)
                thread.start()
                self._thread = thread
                _set_oom_score(BUSY_OOM_SCORE)
            self._runs.add(run)

    def _remove(self, run: Run) -> None:
        with self._lock:
            self._runs.remove(run)
            if self._runs or self._thread is None:
                return
            thread, self._thread = self._thread, None
            self._idle.set()
            _set_oom_score(0)
        thread.join()

    def _watch(self, idle: threading.Event) -> None:
        try:
            while not idle.wait(TICK_S):
                try:
                    self._tick()
                except Exception:
                    # The guard must go on after an error, because without it the work would have neither
                    # leases nor deadlines.
                    logger.exception("The guard goes on")
                    connection.close()
        finally:
            connection.close()

    def _tick(self) -> None:
        with self._lock:
            runs = list(self._runs)
        self._renew([run for run in runs if run.lost_at is None])
        for run in runs:
            self._end_if_it_hangs(run)
        run_folder.beat()
        job_ids = {run.work.job_id for run in runs if run.lost_at is None and run.work.job_id is not None}
        raise_progress(percents(job_ids))

    def _renew(self, runs: list[Run]) -> None:
        asked = time.monotonic()
        try:
            renewal = renew_leases((run.work, run.done_ms) for run in runs)
        except DatabaseError:
            # The database may be restarting. A lease is valid until its end; after that, other workers may
            # take the work.
            logger.warning("The leases of %s units could not be renewed", len(runs), exc_info=True)
            connection.close()
            for run in runs:
                if time.monotonic() > run.leased_until:
                    run.lost_at = time.monotonic()
            return
        for run in runs:
            if run.work.lease_token in renewal.renewed:
                run.leased_until = asked + settings.LEASE_S
            elif run.work.lease_token in renewal.lost:
                run.lost_at = time.monotonic()

    def _end_if_it_hangs(self, run: Run) -> None:
        now = time.monotonic()
        if run.lost_at is None and now > run.deadline:
            logger.error("%s did not finish in time: this worker ends", run.work)
            try:
                settle_failure(run.work, DeadlineExceeded())
            except DatabaseError:
                logger.warning("%s is left to the sweeper", run.work, exc_info=True)
        elif run.lost_at is not None and now - run.lost_at > settings.LEASE_S:
            logger.error("%s was taken away, but the engine does not hear it: this worker ends", run.work)
        else:
            return
        with self._lock:
            # The run may have ended at the last moment. Then it is not in this set any more.
            if run in self._runs:
                self._end_process(75)


GUARD = Guard()
"""The guard of this process."""


def _set_oom_score(score: int) -> None:
    """Set which process the kernel should kill first when memory runs out.

    It should kill a busy worker, because its work is repeated. If it kills an idle one, Django-Q2 stops for
    ever.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        Path("/proc/self/oom_score_adj").write_text(str(score))
    except OSError:
        logger.debug("This system does not let a process change its out-of-memory score")
