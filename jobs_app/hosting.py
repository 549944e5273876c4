"""Waiting for providers at the side, so that it occupies no worker.

One worker of each machine is the host: a thread of it takes windows of providers, and gives each one a thread
of its own with a guard and a database connection, as long as the providers have slots. Its main thread goes
on with other work, as all other workers do.
"""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from django.conf import settings
from django.db import DatabaseError, connection

from jobs_app import claims, queue, work
from jobs_app.guard import stopping_file
from jobs_app.models import LeasedWork

logger = logging.getLogger(__name__)

HOST_FOR_S = 600
"""Then it takes nothing new, so that its token ends: the queue replaces processes from time to time."""
MOST_AT_ONCE = 32
"""Each holds a window of audio, and what was sent of it, in memory: about 10 MB."""
WORTH_WAITING_S = 10
"""For a provider's next slot or the end of its pause. After a longer one the sweeper wakes a worker."""
LOOK_EVERY_S = 0.25
"""For new windows and free slots: nobody wakes a host that has its hands full."""


class Host:
    """Makes this process the host while one is needed and nobody else is. Leaving it waits for its end."""

    def __init__(self) -> None:
        self._until = time.monotonic() + HOST_FOR_S
        self._thread: threading.Thread | None = None
        self._windows: set[threading.Thread] = set()
        self._ended = threading.Event()
        self._news = threading.Event()

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._until = 0.0
        if self._thread is not None:
            self._thread.join()

    @property
    def active(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to take windows of providers, if there are any and no other process of the machine does."""
        if self.active or not self._taking() or not claims.anything_claimable(remote=True):
            return
        if (lock := _lock()) is not None:
            self._thread = threading.Thread(target=self._run, args=(lock,), name="host", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Until a window has ended or it is time to look for other work."""
        self._news.wait(LOOK_EVERY_S)
        self._news.clear()

    def _taking(self) -> bool:
        return time.monotonic() < self._until and not stopping_file().exists()

    def _run(self, lock: IO[str]) -> None:
        try:
            with lock:
                while self._look():
                    pass
            # What came since the last look, and whoever was told of it could not become the host.
            if claims.anything_claimable(remote=True):
                queue.wake()
        except Exception:
            logger.exception("This worker stops asking providers")
        finally:
            connection.close()
            for thread in self._windows:
                thread.join()
            self._news.set()

    def _look(self) -> bool:
        """Take a window, or wait for one. False: there is none in sight, or no time left."""
        if not self._taking():
            return False
        self._windows = {thread for thread in self._windows if thread.is_alive()}
        try:
            taken = claims.claim(remote=True) if len(self._windows) < MOST_AT_ONCE else None
            if taken is not None:
                self._start(taken)
                return True
            if not self._windows and not claims.anything_claimable(remote=True, within_s=WORTH_WAITING_S):
                return False
        except DatabaseError:
            logger.warning("The database did not answer; looking again", exc_info=True)
            connection.close()
        self._ended.wait(LOOK_EVERY_S)
        self._ended.clear()
        return True

    def _start(self, taken: LeasedWork) -> None:
        thread = threading.Thread(target=self._do, args=(taken,), name=str(taken), daemon=True)
        self._windows.add(thread)
        thread.start()

    def _do(self, taken: LeasedWork) -> None:
        try:
            work.do(taken)
        except Exception:
            # Its lease ends, and it is done again.
            logger.exception("%s", taken)
        finally:
            connection.close()
            self._ended.set()
            self._news.set()


def anybody_hosts() -> bool:
    """Whether a process of this machine takes windows of providers."""
    lock = _lock()
    if lock is not None:
        lock.close()
    return lock is None


def _lock() -> IO[str] | None:
    """The right to be this machine's host, until the file is closed; None: another process is."""
    file = (Path(settings.RUN_DIR) / "host.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
