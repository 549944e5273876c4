"""Watches over one unit of work while the engine is busy in C and cannot be interrupted."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models.functions import Now

from jobs_app import claims, failures, lifecycle, progress
from jobs_app.models import LeasedWork

logger = logging.getLogger(__name__)

# How soon a cancel is noticed and progress shown, while the lease is much longer than that.
TICK_S = 1.0
BUSY_OOM_SCORE = 800

_busy = 0
_busy_lock = threading.Lock()


class LeaseLost(Exception):
    """This run's work was cancelled, deleted or given to another worker: stop, and store nothing."""


def beat() -> None:
    """Show the job runner of this machine that a worker takes work."""
    (Path(settings.RUN_DIR) / "beat").touch()


def stopping_file() -> Path:
    """Exists while the job runner of this machine stops: its workers then take nothing new."""
    return Path(settings.RUN_DIR) / "stopping"


def last_beat() -> float | None:
    """When a worker of this machine last beat, in seconds since the epoch."""
    try:
        return (Path(settings.RUN_DIR) / "beat").stat().st_mtime
    except FileNotFoundError:
        return None


class Guard:
    """Renews the lease of `work` from a thread, shows its progress, and enforces its deadline.

    `advance` is called by the work itself, with how much audio is done; it raises LeaseLost when the work
    should stop. At the deadline the whole process ends: an inference that hangs in C hears no exception.
    """

    def __init__(
        self, work: LeasedWork, *, deadline_s: float, end_process: Callable[[int], object] = os._exit
    ) -> None:
        self._work = work
        self._deadline = time.monotonic() + deadline_s
        self._leased_until = time.monotonic() + settings.LEASE_S
        self._end_process = end_process
        self._done_ms = 0
        self._lost = threading.Event()
        self._lost_at: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"guard of {work}", daemon=True)

    def __enter__(self) -> Guard:
        _note_busy(1)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        _note_busy(-1)

    def advance(self, done_ms: int) -> None:
        """Note that `done_ms` of the unit's audio are done.

        Raises:
            LeaseLost: the work is no longer this run's.
        """
        self._done_ms = max(self._done_ms, done_ms)
        if self._lost.is_set():
            raise LeaseLost(str(self._work))

    def _watch(self) -> None:
        try:
            while not self._over.wait(TICK_S):
                try:
                    self._tick()
                except Exception:
                    # Without the guard the work would have neither lease nor deadline.
                    logger.exception("Guarding %s", self._work)
        finally:
            connection.close()

    def _tick(self) -> None:
        now = time.monotonic()
        if self._lost_at is None:
            self._renew()
            if now > self._deadline:
                self._end_at_deadline()
        elif now - self._lost_at > settings.LEASE_S:
            logger.error("%s was taken away, but the engine does not hear it: this worker ends", self._work)
            self._end_process(75)
        beat()

    def _lose(self) -> None:
        self._lost.set()
        self._lost_at = time.monotonic()

    def _renew(self) -> None:
        asked = time.monotonic()
        try:
            renewed = claims.held(self._work).update(
                lease_until=Now() + timedelta(seconds=settings.LEASE_S), progress_ms=self._done_ms
            )
            if renewed:
                self._leased_until = asked + settings.LEASE_S
                lifecycle.note_progress(self._work, progress.percent(self._work.job_id))
            else:
                self._lose()
        except DatabaseError:
            # The database may be restarting. The lease holds until its end; after it, others may work.
            logger.warning("The lease of %s could not be renewed", self._work, exc_info=True)
            connection.close()
            if time.monotonic() > self._leased_until:
                self._lose()

    def _end_at_deadline(self) -> None:
        logger.error("%s did not finish in time: this worker ends", self._work)
        try:
            failures.settle(self._work, failures.DeadlineExceeded())
        except DatabaseError:
            logger.warning("%s is left to the sweeper", self._work, exc_info=True)
        self._end_process(75)


def _note_busy(change: int) -> None:
    """One unit more or less is worked on in this process.

    When memory runs out the kernel should take a busy worker, whose work is done again: with an idle one
    Django-Q2 stops for ever.
    """
    global _busy
    with _busy_lock:
        _busy += change
        _set_oom_score(BUSY_OOM_SCORE if _busy else 0)


def _set_oom_score(score: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    try:
        Path("/proc/self/oom_score_adj").write_text(str(score))
    except OSError:
        logger.debug("This system does not let a process change its out-of-memory score")
