"""The body of a request that its view reads while it arrives.

Django writes a whole body to disk before a view runs, and drops it when the client leaves. The bytes of a
resumable upload must be stored even if the client leaves, so its view gets the body block by block.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import copy_context
from http import HTTPStatus
from typing import Any

from django.conf import settings

# ASGI defines these: the description of a connection, and the messages between server and application. They
# are mappings with agreed keys.
Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LINGER_S = 10
"""After the answer, a client may go on sending for this long before it is cut off."""

LINGER_AFTER_CONFLICT_S = 2
"""The same time after 409. It is short, because such a client asks for the offset and sends again, whether it
got the answer or not.
"""

STOP_S = 1
"""A body that is stopped may bring bytes that its client has sent already for this long."""

LOOK_S = 0.2
"""This often it is checked whether one of these times is over."""

FLUSH_S = 2
"""The view gets the block of a slow client after this time, even if it is small."""


class StreamedBody:
    """The body of Django's request. It must be made in the event loop of the server.

    A body that breaks off just ends. Django never learns of the disconnect, because it would cancel the view.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._unread = bytearray()
        self._ended = False
        self._coming: asyncio.Future[Message] | None = None
        self._stop_at = math.inf
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._status = 0
        self._began = time.monotonic()
        self._came = 0

    # --- For the view, in its thread ---------------------------------------------------------------

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, fewer from a slow client; none if the body has ended or broken off."""
        try:
            # This does not run in the context of the view. The server keeps reading in the context of the
            # call, and that of the view has asgiref's executor for this thread. The executor ends with the
            # view, but the next requests of the connection would get it, too.
            gathered = self._context.run(asyncio.run_coroutine_threadsafe, self._gather(size), self._loop)
            return gathered.result()
        except CancelledError:
            # The server is stopping, and does not wait for the view.
            return b""

    def close(self) -> None:
        """Do nothing. Files have this method, but a body has nothing to free."""

    # --- For the server, in its loop ---------------------------------------------------------------

    async def _gather(self, size: int) -> bytes:
        # A client that sends nothing for STALLED_AFTER_S is gone, even if its connection was never closed.
        flush_at, silent_at = time.monotonic() + FLUSH_S, time.monotonic() + settings.STALLED_AFTER_S
        while len(self._unread) < size and not self._ended:
            late_at = self._began + settings.STALLED_AFTER_S + self._came / settings.BODY_LEAST_BYTES_S
            if time.monotonic() >= min(self._stop_at, late_at, flush_at if self._unread else silent_at):
                break
            # This is kept from one check to the next, so that no message is lost that comes in between.
            self._coming = self._coming or asyncio.ensure_future(self._receive())
            await asyncio.wait({self._coming}, timeout=LOOK_S)
            if not self._coming.done():
                continue
            message, self._coming = self._coming.result(), None
            self._unread += message.get("body", b"")
            self._came += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
        block = bytes(self._unread[:size])
        del self._unread[:size]
        return block

    async def __call__(self) -> Message:
        """Wait for ever. Django calls this to listen for a disconnect, and must never learn of one."""
        never: asyncio.Future[Message] = self._loop.create_future()
        return await never

    async def stop(self) -> None:
        """End the body soon, after the bytes that are on their way, and wait until the view has answered."""
        self._stop_at = min(self._stop_at, time.monotonic() + STOP_S)
        await asyncio.wait({self._answered})

    def finish(self) -> None:
        """Note that the view has ended."""
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
        if not self._answered.done():
            self._answered.set_result(None)

    async def answer(self, message: Message) -> None:
        """Send an answer to the client, which may still be sending."""
        self.finish()
        if not self._ended and message["type"] == "http.response.start":
            lines = [*message.get("headers", []), (b"connection", b"close")]
            message = {**message, "headers": lines}
            self._status = message["status"]
        if self._ended or message["type"] != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await discard(self._receive, self._status)
        await self._send({"type": "http.response.body"})


async def discard(receive: Receive, status: int) -> None:
    """Read for a while what a client still sends after it was answered with `status`.

    If the connection were closed while the client sends, it would be reset, and the answer would be lost.
    """
    linger_s = LINGER_AFTER_CONFLICT_S if status == HTTPStatus.CONFLICT else LINGER_S
    with suppress(TimeoutError):
        await asyncio.wait_for(_read_on(receive), linger_s)


async def _read_on(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        continue
