"""Wait for providers in separate threads, so that waiting occupies no worker.

One worker of each machine is the host. One of its threads takes windows of providers, and gives each window a
thread of its own, as long as the providers have slots. The host's main thread goes on with other work, as all
other workers do.
"""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import TextIO

from django.db import DatabaseError, connection

from jobs_app.leases import claims, queue
from jobs_app.leases.run_folder import is_stopping, take_lock
from jobs_app.models import LeasedWork
from jobs_app.work.unit import do_unit

logger = logging.getLogger(__name__)

HOST_FOR_S = 600
"""After this time a host takes no new windows, so that its token ends.

The queue replaces processes from time to time.
"""
MOST_AT_ONCE = 32
"""A host does at most this many windows at once.

Each holds its audio and its request in memory, about 10 MB.
"""
WORTH_WAITING_S = 10
"""A host waits at most this long for a provider's next slot or the end of its pause.

After longer times, the sweeper wakes a worker.
"""
LOOK_EVERY_S = 0.25
"""A host looks this often for new windows and free slots, because nothing wakes a host that is busy."""


class Host:
    """Make this process the host while one is needed and no other process is.

    Leaving the `with` block waits for its end.
    """

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
        """Begin to take windows of providers, if there are any and no other process of this machine takes
        them.
        """
        if self.active or not self._taking() or not claims.anything_claimable(remote=True):
            return
        if (lock := take_lock("host")) is not None:
            self._thread = threading.Thread(target=self._run, args=(lock,), name="host", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until a window has ended or it is time to look for other work."""
        self._news.wait(LOOK_EVERY_S)
        self._news.clear()

    def _taking(self) -> bool:
        return time.monotonic() < self._until and not is_stopping()

    def _run(self, lock: TextIO) -> None:
        try:
            with lock:
                while self._look():
                    pass
            # Windows may have come since the last look. A worker that was woken for them could not become the
            # host.
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
        """Take a window, or wait for one. Return False if none is to be expected, or if no time is left."""
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
            do_unit(taken)
        except Exception:
            # The lease of this window will end, and then the window is done again.
            logger.exception("%s", taken)
        finally:
            connection.close()
            self._ended.set()
            self._news.set()


def anybody_hosts() -> bool:
    """Return whether a process of this machine takes windows of providers."""
    lock = take_lock("host")
    if lock is not None:
        lock.close()
    return lock is None
