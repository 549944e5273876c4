"""All sockets of one process: how many there are, and what they are told.

One task looks for all of them, because the words come from another process: each 0.2 s it asks which live
texts have changed, and looks at their jobs; once a second it looks at all jobs. Each 10 s it checks who is
still logged in.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from django.conf import settings

from rest.refusals import NotFound, Refusal
from sessions_app.arrival.refusals import SessionGone
from sessions_app.live import looking, threads
from sessions_app.live.looking import JobNow
from sessions_app.live.protocol import LoggedOut, TakenOver, TooManySockets
from sessions_app.live.visitors import Visitor, logged_out

logger = logging.getLogger(__name__)

LOOK_LIVE_S = 0.2
LOOK_S = 1.0
CHECK_S = 10.0


@dataclass
class Counts:
    """For /metrics: the sockets of this process that are open, and those that were refused, by code."""

    open: int = 0
    refused: Counter[str] = field(default_factory=Counter)


COUNTS = Counts()


class Watcher(Protocol):
    """A socket, as the hub knows it.

    `sender_id` is set while it sends. `is_sender` is still true when it has stopped, and waits for the rest
    of its text. `job_id` is the job that it is told of.
    """

    visitor: Visitor
    session_id: uuid.UUID
    job_id: uuid.UUID | None

    @property
    def is_sender(self) -> bool: ...

    @property
    def sender_id(self) -> uuid.UUID | None: ...

    def follow(self, job_id: uuid.UUID | None) -> None: ...

    def news(self, job: JobNow) -> None: ...

    def end(self, refusal: Refusal) -> None: ...


class Hub:
    def __init__(self) -> None:
        self._sockets: set[Watcher] = set()
        self._of: Counter[int] = Counter()
        self._jobs: dict[uuid.UUID, JobNow] = {}
        self._curious: set[Watcher] = set()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def enter(self, socket: Watcher) -> None:
        """Count one more socket.

        Raises:
            TooManySockets: this process, or the person, has too many.
        """
        user_id = socket.visitor.user_id
        if len(self._sockets) >= settings.LIVE_SOCKETS or self._of[user_id] >= settings.LIVE_SOCKETS_PER_USER:
            raise TooManySockets
        self._sockets.add(socket)
        self._of[user_id] += 1
        COUNTS.open += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def leave(self, socket: Watcher) -> None:
        if socket not in self._sockets:
            return
        self._sockets.remove(socket)
        self._curious.discard(socket)
        COUNTS.open -= 1
        self._of[socket.visitor.user_id] -= 1
        if not self._of[socket.visitor.user_id]:
            del self._of[socket.visitor.user_id]
        self._hurry.set()

    def look(self, socket: Watcher) -> None:
        """Look at once what there is to tell this socket."""
        self._curious.add(socket)
        self._hurry.set()

    async def _run(self) -> None:
        look_at = 0.0
        check_at = time.monotonic() + CHECK_S
        while self._sockets:
            now = time.monotonic()
            try:
                await self._look(everything=now >= look_at)
                if now >= look_at:
                    look_at = now + LOOK_S
                if now >= check_at:
                    check_at = now + CHECK_S
                    await self._check()
            except threads.DATABASE_AWAY as error:
                logger.warning("The database does not answer live sockets: %s", error)
                await asyncio.sleep(LOOK_S)
            except Exception:
                # The next look may succeed, and without this task all sockets would be silent.
                logger.exception("Live sockets were told nothing")
                await asyncio.sleep(LOOK_S)
            try:
                async with asyncio.timeout(LOOK_LIVE_S if self._live() else LOOK_S):
                    await self._hurry.wait()
            except TimeoutError:
                continue
            finally:
                self._hurry.clear()
        self._task = None

    def _live(self) -> dict[uuid.UUID, int]:
        """Return the jobs of which words may come at any moment, with the versions of their live texts."""
        return {
            pk: job.live.version
            for pk, job in self._jobs.items()
            if job.live is not None and not job.has_ended
        }

    async def _look(self, *, everything: bool) -> None:
        curious = set(self._curious)
        asking = self._sockets if everything else curious
        ids = {socket.job_id for socket in asking if socket.job_id}
        live = {} if everything else self._live()
        known = self._jobs
        found: dict[uuid.UUID, JobNow] = {}
        if ids or live:
            ids, found = await threads.run(lambda: looking.look(ids, live), threads.looking)
        self._curious -= curious
        news = {pk for pk in ids if found.get(pk) != known.get(pk)} | (ids - found.keys())
        if everything:
            wanted = {socket.job_id for socket in self._sockets}
            known = {pk: job for pk, job in known.items() if pk in wanted}
        self._jobs = known | found
        for socket in list(self._sockets) if news or everything else curious & self._sockets:
            job = found.get(socket.job_id) if socket.job_id else None
            if job is not None and (socket.job_id in news or socket in curious):
                socket.news(job)
            elif job is None and socket.job_id in news:
                self._jobs.pop(socket.job_id, None)
                await self._look_for_another_job(socket)
            elif everything and socket.job_id is None and socket.is_sender:
                await self._look_for_another_job(socket)

    async def _look_for_another_job(self, socket: Watcher) -> None:
        """The job was deleted. Another one may stand for the recording now."""
        session_id = socket.session_id
        there = await threads.run(lambda: looking.still_there([session_id]), threads.looking)
        if not there:
            socket.end(SessionGone())
            return
        job_id = await threads.run(lambda: looking.current_job(session_id), threads.looking)
        socket.follow(job_id)
        if job_id is not None:
            self.look(socket)
        elif not socket.is_sender:
            socket.end(NotFound("The transcription of this recording was deleted. Begin another one."))

    async def _check(self) -> None:
        """End the sockets of people who were logged out, of deleted recordings, and of former senders."""
        sockets = list(self._sockets)
        visitors = {socket.visitor for socket in sockets}
        sessions = {socket.session_id for socket in sockets}
        # A socket that stops while this is asked was not taken over.
        sending = {socket: socket.sender_id for socket in sockets if socket.sender_id}
        sent = {socket.session_id for socket in sending}
        gone = await threads.run(lambda: logged_out(visitors), threads.looking)
        there = await threads.run(lambda: looking.still_there(sessions), threads.looking)
        senders = await threads.run(lambda: looking.senders_of(sent), threads.looking)
        for socket in sockets:
            if socket.visitor in gone:
                socket.end(LoggedOut())
            elif socket.session_id not in there:
                socket.end(SessionGone())
            elif socket in sending and senders.get(socket.session_id) != sending[socket]:
                socket.end(TakenOver())
