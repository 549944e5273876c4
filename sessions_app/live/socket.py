"""One socket: a task reads what the client says, and another one writes what it is told."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings

from jobs_app.api.errors import refusal_of
from jobs_app.lifecycle.live import LiveUnavailable
from rest.refusals import Refusal
from sessions_app.arrival.pieces import Reach, reach_of
from sessions_app.arrival.refusals import SessionFinished
from sessions_app.live import looking, storing, threads
from sessions_app.live.hub import COUNTS, Hub
from sessions_app.live.looking import JobNow
from sessions_app.live.protocol import (
    CLOSE_NORMAL,
    BadFrame,
    BadMessage,
    Idle,
    KeepAlive,
    NotRead,
    Shown,
    Start,
    Stop,
    Unexpected,
    Watch,
    error,
    message_of,
)
from sessions_app.live.sending import Sender
from sessions_app.live.storing import Store
from sessions_app.live.telling import Line, Message, Send, Told
from sessions_app.live.visitors import Visitor

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
"""ASGI defines this."""

ALIVE: Message = {"type": "alive"}
LAST_STORE_S = 5
"""After a client has left, what came last is stored within this time, or not at all; the client has it."""


class Socket:
    """A socket that was let in. `job` is the last news of a job, mostly of the one with the id `job_id`."""

    def __init__(
        self, hub: Hub, store: Store, visitor: Visitor, session_id: uuid.UUID, receive: Receive, send: Send
    ) -> None:
        self._hub = hub
        self._store = store
        self.visitor = visitor
        self.session_id = session_id
        self.job_id: uuid.UUID | None = None
        self.job: JobNow | None = None
        self._receive = receive
        self._line = Line(send)
        self._begun = False
        self._shown = Shown(-1, None)
        self._told: Told | None = None
        self._sender: Sender | None = None
        self._stopped = False
        self._reopen = False
        self._life_at = self._frame_at = time.monotonic()
        self._out: deque[Message] = deque()
        self._saved: Message | None = None
        self._ending: Refusal | None = None
        self._wake = asyncio.Event()

    @property
    def is_sender(self) -> bool:
        return self._sender is not None

    @property
    def sender_id(self) -> uuid.UUID | None:
        return self._sender.id if self._sender is not None and not self._stopped else None

    async def serve(self) -> None:
        """Serve the client until it leaves or is closed."""
        await self._line.open()
        try:
            self._hub.enter(self)
        except Refusal as refused:
            self.end(refused)
        reading = asyncio.create_task(self._read())
        writing = asyncio.create_task(self._write())
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            if self._ending is not None:
                await writing
        finally:
            self._hub.leave(self)
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
            if self._sender is not None:
                self._sender.log_end(self._ending)

    # --- For the hub -------------------------------------------------------------------------------

    def follow(self, job_id: uuid.UUID | None) -> None:
        """From now on the client is told of this job, since the one before was deleted."""
        self.job_id = job_id
        self._wake.set()

    def news(self, job: JobNow) -> None:
        if self._told is None:
            self._told = Told(job.id, self._shown.of(job.id))
        elif self._told.job_id != job.id:
            # Another run has other numbers, and nobody hears it yet.
            self._told = Told(job.id, -1)
            self._reopen = self._reopen or self.sender_id is not None
        self.job = job
        self._wake.set()

    def end(self, refusal: Refusal) -> None:
        """Tell the client why, and close the socket. The first reason counts."""
        if self._ending is None:
            self._ending = refusal
            COUNTS.refused[refusal.code] += 1
            self._wake.set()

    # --- What the client says ----------------------------------------------------------------------

    async def _read(self) -> None:
        """Do what the client says, until it leaves or says what cannot be done."""
        try:
            await self._listen()
        except Exception as problem:  # noqa: BLE001  the client is told, and bugs are logged
            self.end(self._refusal_of(problem))

    def _refusal_of(self, problem: Exception) -> Refusal:
        refused = refusal_of(problem, {})
        if refused is None:
            logger.exception("recording %s: its socket failed", self.session_id)
        return refused or Unexpected()

    async def _listen(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._patience_s()):
                    said = await self._receive()
            except TimeoutError:
                await self._nothing_came()
                continue
            if said["type"] == "websocket.disconnect":
                await self._client_left()
                return
            self._life_at = time.monotonic()
            if said.get("bytes") is not None:
                await self._take(said["bytes"])
            elif said.get("text") is not None:
                await self._do(message_of(said["text"]))

    def _patience_s(self) -> float | None:
        """Return how long to wait for the client; None if it need not say anything."""
        if self._stopped or (self._sender is None and self._begun):
            return None
        at = self._life_at + settings.LIVE_IDLE_S
        if self._sender is not None:
            at = min(at, self._sender.flush_at)
        return max(at - time.monotonic(), 0)

    async def _nothing_came(self) -> None:
        if self._sender is not None and time.monotonic() >= self._sender.flush_at:
            if await self._sender.flush():
                await self._stored(self._sender)
        elif time.monotonic() >= self._life_at + settings.LIVE_IDLE_S:
            raise Idle

    async def _client_left(self) -> None:
        if self._sender is not None and not self._stopped:
            with suppress(Refusal, TimeoutError):
                async with asyncio.timeout(LAST_STORE_S):
                    await self._sender.flush()

    async def _take(self, frame: bytes) -> None:
        if self._stopped:
            raise SessionFinished
        if self._sender is None:
            raise BadFrame
        if time.monotonic() - self._frame_at > settings.LIVE_IDLE_S / 2:
            # After a pause, live hosts may no longer hear this recording.
            self._reopen = await self._open_live()
        self._frame_at = time.monotonic()
        if await self._sender.add(frame):
            await self._stored(self._sender)

    async def _stored(self, sender: Sender) -> None:
        self._say_saved(sender)
        if self._reopen:
            self._reopen = False
            await self._open_live()

    async def _do(self, message: Start | Watch | Stop | KeepAlive) -> None:
        match message:
            case Start() if not self._begun:
                await self._start(message)
            case Watch() if not self._begun:
                await self._begin(await threads.run(lambda: reach_of(self.session_id)), message.shown)
            case Stop() if self._sender is not None and not self._stopped:
                await self._sender.finish()
                self._stopped = True
                self._say_saved(self._sender)
                self._hub.look(self)
            case KeepAlive():
                if ALIVE not in self._out:
                    self._out.append(ALIVE)
                    self._wake.set()
                if self._sender is not None and not self._stopped and await self._sender.keep_alive():
                    await self._stored(self._sender)
            case _:
                raise BadMessage("This comes at the wrong time: first `start` or `watch`, once; then `stop`.")

    async def _start(self, start: Start) -> None:
        self.visitor.check_may_send()
        sender = Sender(self.session_id, start, self._store)
        await sender.begin()
        self._sender = sender
        await self._begin(sender.reach, start.shown)
        # A live host that gives this recording up at this moment does so before it sees what comes now.
        self._reopen = await self._open_live()

    async def _open_live(self) -> bool:
        """Have the recording heard live. Return whether that can be; it is stored all the same."""
        self._frame_at = time.monotonic()
        try:
            await threads.run(lambda: storing.begin_hearing(self.session_id))
        except LiveUnavailable as unavailable:
            self._out.append(error(unavailable))
            self._wake.set()
            return False
        return True

    async def _begin(self, reach: Reach, shown: Shown) -> None:
        """Tell the client how far the recording is, and from now on what is heard of it."""
        here = {"received_ms": reach.received_ms, "saved_ms": reach.saved_ms}
        self._out.append({"type": "ready", **here, "cuts_ms": reach.cuts_ms()})
        self._begun, self._shown = True, shown
        self._wake.set()
        self.job_id = await threads.run(lambda: looking.current_job(self.session_id, seen=shown.seen))
        self._hub.look(self)

    def _say_saved(self, sender: Sender) -> None:
        saved_ms = sender.reach.saved_ms
        self._saved = {"type": "saved", "received_ms": sender.received_ms, "saved_ms": saved_ms}
        self._wake.set()

    # --- What the client is told -------------------------------------------------------------------

    async def _write(self) -> None:
        """Tell the client what there is to tell, until the socket is closed."""
        try:
            while not await self._tell():
                await self._wake.wait()
                self._wake.clear()
        except OSError:
            # The client has left. The reader learns it, too.
            return
        except Exception as problem:  # noqa: BLE001  the same
            self.end(self._refusal_of(problem))
            with suppress(NotRead, OSError):
                await self._line.end(self._ending or Unexpected())

    async def _tell(self) -> bool:
        """Tell what is new. Return whether that was the last."""
        while self._out:
            await self._line.say(self._out.popleft())
        if self._saved is not None:
            saved, self._saved = self._saved, None
            await self._line.say(saved)
        if self._ending is not None:
            await self._line.end(self._ending)
            return True
        # If the job was deleted, there may be no other one, or no news of it yet.
        job = self.job if self.job is not None and self.job.id == self.job_id else None
        if job is not None and self._told is not None:
            await self._told.tell(job, self._line.say)
        return await self._is_done(job)

    async def _is_done(self, job: JobNow | None) -> bool:
        """If nothing more will come, say so."""
        if job is not None:
            done = job.has_ended and (self._sender is None or not job.is_recording)
        else:
            done = self._stopped and self.job_id is None
        if done:
            await self._line.say({"type": "done", "job": job and str(job.id), "status": job and job.status})
            await self._line.close(CLOSE_NORMAL)
        return done
