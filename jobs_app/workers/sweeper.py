"""Run the sweeps in a thread beside the heartbeat.

So a slow disk only delays sweeps, and the runner does not seem dead.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from jobs_app.models import SweepTurn

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5


class Sweeper(threading.Thread):
    """Call each of `settings.SWEEPERS` in its period, until the thread is stopped.

    In each period, one of all machines does the sweeps in `settings.SWEPT_ONCE`. The other sweeps are about
    things that only this machine has, so each machine does them.
    """

    def __init__(self) -> None:
        # A sweep that hangs must not keep the process from ending. Every sweep can be interrupted without
        # harm.
        super().__init__(name="sweeper", daemon=True)
        self._stopped = threading.Event()
        self._due_at = dict.fromkeys(settings.SWEEPERS, 0.0)

    def run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            self.sweep_what_is_due()
        connection.close()

    def stop(self, *, within_s: float = 5) -> None:
        self._stopped.set()
        self.join(within_s)

    def sweep_what_is_due(self) -> None:
        for dotted, every_s in settings.SWEEPERS.items():
            if time.monotonic() < self._due_at[dotted] or self._stopped.is_set():
                continue
            self._due_at[dotted] = time.monotonic() + every_s
            try:
                if dotted not in settings.SWEPT_ONCE or take_turn(dotted, every_s):
                    import_string(dotted)()
            except DatabaseError:
                logger.warning("The database does not answer; trying again", exc_info=True)
                connection.close()
            except Exception:
                # A bug in one sweep must end neither the other sweeps nor this thread.
                logger.exception("%s failed", dotted)


def take_turn(name: str, every_s: float) -> bool:
    """Return whether this process must do the sweep now. The next turn is `every_s` later, on any machine."""
    # The turn is free a little before the period ends. Otherwise a single runner would sometimes miss its own
    # turn.
    next_at = Now() + timedelta(seconds=0.9 * every_s)
    taken = SweepTurn.objects.filter(name=name, free_at__lte=Now()).update(free_at=next_at)
    return bool(taken) or SweepTurn.objects.get_or_create(name=name, defaults={"free_at": next_at})[1]
