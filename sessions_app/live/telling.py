"""What one socket is told: of a job its progress, its segments and its end; and why the socket ends."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from django.conf import settings

from rest.refusals import Refusal
from sessions_app.live import threads
from sessions_app.live.looking import ROWS_AT_ONCE, JobNow, LiveNow, segments_between
from sessions_app.live.protocol import NotRead, close_code, error

LAG_CHANGES_MS = 1000

Message = dict[str, object]
Say = Callable[[Message], Awaitable[None]]
# ASGI defines this.
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Line:
    """The way to one client.

    Everything here raises NotRead if the client does not read, and OSError if it has left.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    async def open(self) -> None:
        await self._deliver({"type": "websocket.accept"})

    async def say(self, message: Message) -> None:
        await self._deliver({"type": "websocket.send", "text": json.dumps(message, ensure_ascii=False)})

    async def end(self, refusal: Refusal) -> None:
        """Say why the socket ends, and close it."""
        if not isinstance(refusal, NotRead):
            await self.say(error(refusal))
        await self.close(close_code(refusal))

    async def close(self, code: int) -> None:
        await self._deliver({"type": "websocket.close", "code": code})

    async def _deliver(self, event: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(settings.LIVE_UNREAD_S):
                await self._send(event)
        except TimeoutError:
            raise NotRead from None


class Told:
    """What the client has been told already of a job.

    `seen` is the number of the last final segment: all before it were told, or do not exist.
    """

    def __init__(self, job_id: uuid.UUID, seen: int) -> None:
        self.job_id = job_id
        self.seen = seen
        self._said_which = False
        self._progress: Message = {}
        self._interim: Message = {}
        self._lag = (0, True)

    async def tell(self, job: JobNow, say: Say) -> None:
        """Say what is new in `job`."""
        if not self._said_which:
            self._said_which = True
            await say({"type": "job", "job": str(job.id)})
        progress: Message = {
            "type": "progress",
            "status": job.status,
            "stage": job.stage,
            "percent": job.progress,
        }
        if progress != self._progress:
            self._progress = progress
            await say(progress)
        finals = {final["number"]: final for final in job.live.finals} if job.live else {}
        end = max([job.next_number, *(number + 1 for number in finals)])
        await self._tell_finals(job, finals, end, say)
        if job.live is not None:
            await self._tell_interim(job.live, end, say)
            await self._tell_lag(job.live, say)

    async def _tell_finals(
        self, job: JobNow, finals: Mapping[int, Mapping[str, Any]], end: int, say: Say
    ) -> None:
        while self.seen + 1 < end:
            new = {number: final for number, final in finals.items() if number > self.seen}
            stored: list[dict[str, Any]] = []
            if len(new) < end - 1 - self.seen:
                # The others are segments by now. This is asked after the live text was read, so that a final
                # is here or there, also if it becomes a segment just now.
                between = partial(segments_between, job.id, self.seen, end)
                stored = await threads.run(between, threads.looking)
            upto = stored[-1]["number"] if len(stored) == ROWS_AT_ONCE else end - 1
            new |= {segment["number"]: segment for segment in stored}
            for number in sorted(number for number in new if number <= upto):
                await say(_segment(number, "final", new[number]))
                self.seen = number
            self.seen = upto

    async def _tell_interim(self, live: LiveNow, number: int, say: Say) -> None:
        if live.interim is not None:
            interim = _segment(number, "interim", live.interim)
        elif self._interim.get("id") == f"u{number}" and self._interim["text"]:
            # What was said is nothing after all. If it became a final, the final has its id.
            interim = {**self._interim, "text": "", "firm": 0}
        else:
            return
        if interim != self._interim:
            self._interim = interim
            await say(interim)

    async def _tell_lag(self, live: LiveNow, say: Say) -> None:
        before_ms, interims = self._lag
        if live.interims != interims or abs(live.lag_ms - before_ms) > LAG_CHANGES_MS:
            self._lag = (live.lag_ms, live.interims)
            await say({"type": "lag", "ms": live.lag_ms, "interims": live.interims})


def _segment(number: int, kind: str, heard: Mapping[str, Any]) -> Message:
    message: Message = {
        "type": "segment",
        "id": f"u{number}",
        "kind": kind,
        "start_ms": heard["start_ms"],
        "end_ms": heard["end_ms"],
        "text": heard["text"],
    }
    if kind == "interim":
        message["firm"] = heard["firm"]
    message["confidence"] = heard.get("confidence")
    return message
