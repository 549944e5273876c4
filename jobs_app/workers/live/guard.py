"""The guard of a live host: it keeps the leases, and ends the process when the model hangs.

It is a thread, because the loop of the host is in the model most of the time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now
from django.utils import timezone

from jobs_app.leases import claims
from jobs_app.leases.held import renew_leases
from jobs_app.models import LiveHost

if TYPE_CHECKING:
    from jobs_app.work.live import Hearing

logger = logging.getLogger(__name__)

TICK_S = 1.0
BEAT_EVERY_S = 2.0


class Guard:
    """Renews the leases of all hearings once a second, and reports that the host is there."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._clock = clock
        self._end_process = end_process
        self._lock = threading.Lock()
        self._leased_until: dict[Hearing, float] = {}
        self._deadline: float | None = None
        self._numbers = {"sessions": 0, "finals_share": 0}
        self._started_at = timezone.now()
        self._beat_at = clock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live guard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(TICK_S + settings.LIVE_LEASE_S)

    def watch(self, hearing: Hearing) -> None:
        with self._lock:
            self._leased_until[hearing] = self._clock() + settings.LIVE_LEASE_S

    def leave(self, hearing: Hearing) -> None:
        with self._lock:
            self._leased_until.pop(hearing, None)

    def report(self, *, sessions: int, finals_share: int) -> None:
        """Note these numbers for the next report, which comes at once."""
        with self._lock:
            self._numbers = {"sessions": sessions, "finals_share": finals_share}
            self._beat_at = self._clock()

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """End the process if what the `with` block does takes longer."""
        self._deadline = self._clock() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def _run(self) -> None:
        try:
            while True:
                try:
                    self.tick()
                except Exception:
                    # Without the guard, the recordings would have neither leases nor deadlines.
                    logger.exception("The guard goes on")
                    connection.close()
                if self._stopped.wait(TICK_S):
                    return
        finally:
            connection.close()

    def tick(self) -> None:
        now = self._clock()
        if (deadline := self._deadline) is not None and now > deadline:
            logger.error("The model does not end any more: this live host ends")
            self._end_process(75)
        try:
            self._renew(now)
            if now >= self._beat_at:
                self._beat_at = now + BEAT_EVERY_S
                self._beat()
        except (OperationalError, InterfaceError):
            # A lease is valid until its end. After that, another host may have it.
            logger.warning("The leases of this live host could not be renewed", exc_info=True)
            connection.close()
            for hearing, until in self._leases():
                hearing.lost = hearing.lost or now > until

    def _leases(self) -> list[tuple[Hearing, float]]:
        with self._lock:
            return list(self._leased_until.items())

    def _renew(self, now: float) -> None:
        hearings = [hearing for hearing, _ in self._leases()]
        if not hearings:
            return
        renewal = renew_leases(
            ((hearing.step, hearing.listening.received_ms) for hearing in hearings),
            lease_s=settings.LIVE_LEASE_S,
        )
        with self._lock:
            for hearing in hearings:
                token = hearing.step.lease_token
                if token in renewal.renewed and hearing in self._leased_until:
                    self._leased_until[hearing] = now + settings.LIVE_LEASE_S
                hearing.lost = hearing.lost or token in renewal.lost

    def _beat(self) -> None:
        with self._lock:
            columns: dict[str, Any] = dict(self._numbers)
        LiveHost.objects.update_or_create(
            name=claims.worker_name(),
            defaults={**columns, "started_at": self._started_at, "beat_at": Now()},
        )
