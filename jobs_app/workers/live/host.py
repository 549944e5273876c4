"""A live host: one loop that hears several recordings while they are spoken.

Finals come first, that which waits longest before the others; then the interim that waits longest. So
interims are left out long before finals are late.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now

from jobs_app.engines.offered import engine_for
from jobs_app.leases import claims
from jobs_app.lifecycle.failing import Unexpected, expire_lease, give_back, settle_failure
from jobs_app.lifecycle.live import LiveUnavailable, open_live
from jobs_app.lifecycle.starting import note_start
from jobs_app.models import JobStep, LiveHost, StepKind, WorkStatus
from jobs_app.recordings import Arrival, Recording
from jobs_app.work.guard import LeaseLost
from jobs_app.workers.live.guard import Guard
from speech.errors import SpeechError

if TYPE_CHECKING:
    from jobs_app.work.live import Hearing
    from speech.live.listening import LiveEngine

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
LOOK_WHEN_IDLE_S = 1.0
CLAIM_EVERY_S = 0.5
PATIENCE_S = 2.0
"""A host leaves a new recording for so long to hosts that hear fewer."""
SHARE_OF_S = 10.0
LATE_S = 3.0
"""While a final waits longer than this, there are no interims."""
LOADING_S = 600.0
HANG_S = 60.0
"""The model takes a few seconds for an utterance. A call that takes longer than this will not end."""
UNLOAD_AFTER_S = 600.0
DATABASE_PAUSE_S = 0.5


class Host:
    """The code of `manage.py livehost`. Tests call `turn` with a clock of their own."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, guard: Guard | None = None) -> None:
        self._clock = clock
        self._guard = guard or Guard()
        self._hearings: dict[int, Hearing] = {}
        self._stopped = threading.Event()
        self._look_at = self._claim_at = clock()
        self._busy_at = clock()
        self._late_at = clock() - LATE_S
        self._finals: deque[tuple[float, float]] = deque()
        self._loaded = False

    @property
    def hearings(self) -> list[Hearing]:
        return list(self._hearings.values())

    def stop(self, *_: object) -> None:
        self._stopped.set()

    def run(self) -> None:
        """Hear recordings until `stop` is called, or until nobody was live for a while.

        The second gives back the memory of the model: whoever started this process starts it again.
        """
        self._guard.start()
        try:
            while not self._stopped.is_set() and not self._may_unload():
                if not self.turn():
                    self._stopped.wait(LOOK_EVERY_S if self._hearings else LOOK_WHEN_IDLE_S)
        finally:
            self._guard.stop()
            self.sign_off(stay_listed=not self._stopped.is_set())

    def _may_unload(self) -> bool:
        return self._loaded and not self._hearings and self._clock() - self._busy_at > UNLOAD_AFTER_S

    def turn(self) -> bool:
        """Take the audio that has come, and hear one utterance. Return whether there was one to hear."""
        try:
            now = self._clock()
            if now >= self._look_at:
                self._look_at = now + LOOK_EVERY_S
                self._look(now)
            return self._hear_next()
        except (OperationalError, InterfaceError):
            logger.warning("The database does not answer; trying again", exc_info=True)
            connection.close()
            self._stopped.wait(DATABASE_PAUSE_S)
            return False

    def _look(self, now: float) -> None:
        for hearing in self.hearings:
            if hearing.lost:
                self._drop(hearing, "was taken away")
        if now >= self._claim_at:
            self._claim_at = now + CLAIM_EVERY_S
            self._expire()
            self._claim(now)
        if not self._hearings:
            return
        self._busy_at = now
        sessions = {hearing.session.pk: hearing for hearing in self.hearings}
        recording = type(self.hearings[0].session)
        arrivals = recording.arrivals(sessions)
        interims = now - self._late_at > LATE_S
        for session_id, hearing in sessions.items():
            if session_id in arrivals:
                arrival = arrivals[session_id]
                self._do(hearing, partial(self._take_in, hearing, arrival, now, interims))
            else:
                self._drop(hearing, "was deleted")

    def _take_in(self, hearing: Hearing, arrival: Arrival, now: float, interims: bool) -> None:
        with self._guard.limit(HANG_S):
            hearing.look(arrival, now)
        if hearing.has_ended:
            heard = hearing.end()
            self._drop(hearing, "")
            self._hear_what_comes_late(hearing.session, heard)
            return
        hearing.batch_if_due(now)
        hearing.note_lag(interims=interims)

    def _hear_what_comes_late(self, session: Recording, heard: Arrival) -> None:
        """Begin again if more has come while the recording was given up after a pause.

        A socket asks for a live host once more after it has stored the first piece after a pause. Here it is
        looked for after the step has ended. So one of the two notices.
        """
        now = session.arrivals([session.pk]).get(session.pk)
        if now is not None and now != heard and not now.finished:
            with suppress(LiveUnavailable):
                open_live(session)

    def _hear_next(self) -> bool:
        due = [hearing for hearing in self.hearings if hearing.due_at is not None]
        if due:
            hearing = min(due, key=lambda h: h.due_at or 0)
            began = self._clock()
            # A recording that is alone and late catches up after a drop. Its interims keep nobody waiting.
            if began - (hearing.due_at or began) > LATE_S and len(self._hearings) > 1:
                self._late_at = began
            self._do(hearing, partial(self._hear, hearing, hearing.hear_final))
            ended = self._clock()
            self._finals.append((ended, ended - began))
            return True
        if self._clock() - self._late_at <= LATE_S:
            return False
        wanting = [hearing for hearing in self.hearings if hearing.wants_interim()]
        if not wanting:
            return False
        hearing = max(wanting, key=lambda h: h.listening.undrafted_ms)
        self._do(hearing, partial(self._hear, hearing, hearing.hear_interim))
        return True

    def _do(self, hearing: Hearing, what: Callable[[], None]) -> None:
        """Call `what`. An error in it ends the hearing of this recording here, and of no other."""
        try:
            what()
        except LeaseLost:
            self._drop(hearing, "was taken away")
        except (OperationalError, InterfaceError):
            raise
        except SpeechError as e:
            logger.warning("%s, attempt %s: %s: %s", hearing.step, hearing.step.attempt, e.code, e)
            self._fail(hearing, e)
        except Exception:
            # This is a bug. It counts as an attempt, so that the recording is not tried for ever.
            logger.exception("%s, attempt %s", hearing.step, hearing.step.attempt)
            self._fail(hearing, Unexpected())

    def _fail(self, hearing: Hearing, error: SpeechError) -> None:
        self._drop(hearing, "failed")
        settle_failure(hearing.step, error)

    def _hear(self, hearing: Hearing, what: Callable[[LiveEngine], None]) -> None:
        self._loaded = True
        with self._guard.limit(LOADING_S):
            # `open_live` lets in only recordings whose engine can do this.
            engine = cast("LiveEngine", engine_for(hearing.job.engine, hearing.job.model))
        with self._guard.limit(HANG_S):
            what(engine)

    def _claim(self, now: float) -> None:
        if len(self._hearings) >= settings.LIVE_SESSIONS or self.finals_share >= settings.LIVE_FINALS_PERCENT:
            return
        freer = LiveHost.objects.alive().filter(
            sessions__lt=len(self._hearings), finals_share__lt=settings.LIVE_FINALS_PERCENT
        )
        step = claims.claim_live(waited_s=PATIENCE_S if self._hearings and freer.exists() else 0)
        if step is None:
            return
        # A host without recordings takes two thirds of the memory without what works on sound.
        from jobs_app.work.live import Hearing

        try:
            note_start(step)
            hearing = Hearing(step, now)
        except SpeechError as e:
            # Its engine was removed from the settings.
            logger.warning("%s, attempt %s: %s: %s", step, step.attempt, e.code, e)
            settle_failure(step, e)
            return
        if (before := self._hearings.get(step.pk)) is not None:
            # The job was tried again before anybody noticed that it had ended.
            self._drop(before, "was taken away")
        self._hearings[step.pk] = hearing
        self._guard.watch(hearing)
        self._report()
        # The model is loaded while the first words are spoken.
        self._do(hearing, partial(self._hear, hearing, lambda engine: None))

    def _expire(self) -> None:
        """Take recordings from live hosts whose machine is gone."""
        lost = JobStep.objects.filter(
            status=WorkStatus.RUNNING, kind=StepKind.LIVE, lease_until__lt=Now()
        ).order_by()
        for step in lost:
            if expire_lease(step):
                logger.warning("%s: its live host %s is gone", step, step.worker)

    def _drop(self, hearing: Hearing, why: str) -> None:
        if self._hearings.pop(hearing.step.pk, None) is None:
            return
        self._guard.leave(hearing)
        self._report()
        if why:
            logger.info("%s %s", hearing.step, why)

    @property
    def finals_share(self) -> int:
        """How many percent of the last seconds finals took."""
        since = self._clock() - SHARE_OF_S
        while self._finals and self._finals[0][0] < since:
            self._finals.popleft()
        return min(100, round(100 * sum(took for _, took in self._finals) / SHARE_OF_S))

    def _report(self) -> None:
        self._guard.report(sessions=len(self._hearings), finals_share=self.finals_share)

    def sign_off(self, *, stay_listed: bool = False) -> None:
        """Give all recordings back, so that another host goes on at once."""
        now = self._clock()
        try:
            for hearing in self.hearings:
                with suppress(LeaseLost):
                    hearing.batch(now)
            give_back([claims.worker_name()])
            if not stay_listed:
                LiveHost.objects.filter(name=claims.worker_name()).delete()
        except (OperationalError, InterfaceError):
            logger.warning("The database does not answer; the leases of this live host end by themselves")
        self._hearings.clear()
