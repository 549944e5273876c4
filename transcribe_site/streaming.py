"""The body of a request, read by its view while it arrives.

Django keeps a whole body on disk before a view runs and forgets it when the client leaves. What a resumable
upload sends must be stored although the client leaves, so its view gets the body block by block.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import copy_context
from http import HTTPStatus
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LINGER_S = 10
"""How long a client that was answered may go on sending before it is cut off."""

LINGER_AFTER_CONFLICT_S = 2
"""As LINGER_S, after 409: whether the client hears it or not, it asks for the offset and sends again."""

SILENT_S = 60
"""A client that sends nothing for so long is gone, although its connection was never closed."""

STOP_S = 1
"""How long a body that is stopped may still bring what its client sent before."""

LOOK_S = 0.2
"""How often it is looked whether one of these times is over."""

FLUSH_S = 2
"""A slow client's block is given to the view after this time, however small it is."""


class StreamedBody:
    """Stands for the body in Django's request; to be made in the event loop that the server runs in.

    A body that breaks off just ends. Nobody is told of the disconnect: Django would cancel the view.
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

    # --- For the view, in its thread ---------------------------------------------------------------

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer from a slow client; none: the body has ended or broken off."""
        try:
            # Not in the view's context: the server goes on reading in the one it was asked in, and asgiref's
            # executor of this thread, which ends with the view, would be that of the next requests.
            gathered = self._context.run(asyncio.run_coroutine_threadsafe, self._gather(size), self._loop)
            return gathered.result()
        except CancelledError:
            # The server is stopping, and does not wait.
            return b""

    def close(self) -> None:
        """As a file has it. There is nothing to free."""

    # --- For the server, in its loop ---------------------------------------------------------------

    async def _gather(self, size: int) -> bytes:
        flush_at, silent_at = time.monotonic() + FLUSH_S, time.monotonic() + SILENT_S
        while len(self._unread) < size and not self._ended:
            if time.monotonic() >= min(self._stop_at, flush_at if self._unread else silent_at):
                break
            # Kept from one look to the next: a message that comes in between must not be lost.
            self._coming = self._coming or asyncio.ensure_future(self._receive())
            await asyncio.wait({self._coming}, timeout=LOOK_S)
            if not self._coming.done():
                continue
            message, self._coming = self._coming.result(), None
            self._unread += message.get("body", b"")
            self._ended = not message.get("more_body", False)
        block = bytes(self._unread[:size])
        del self._unread[:size]
        return block

    async def __call__(self) -> Message:
        """Django's `receive`, where it listens for a disconnect: there is never one."""
        return await self._loop.create_future()

    async def stop(self) -> None:
        """Let the body end soon, with what is on its way, and wait until the view has answered."""
        self._stop_at = min(self._stop_at, time.monotonic() + STOP_S)
        await asyncio.wait({self._answered})

    def finish(self) -> None:
        """The view has come to its end."""
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
        if not self._answered.done():
            self._answered.set_result(None)

    async def answer(self, message: Message) -> None:
        """Send to the client, which may not have sent everything."""
        self.finish()
        if not self._ended and message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            self._status = message["status"]
        if self._ended or message["type"] != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await discard(self._receive, self._status)
        await self._send({"type": "http.response.body"})


async def discard(receive: Receive, status: int) -> None:
    """Read for a while what a client still sends that was answered with `status`.

    A connection that is closed while it does so is reset, and the answer with it.
    """
    linger_s = LINGER_AFTER_CONFLICT_S if status == HTTPStatus.CONFLICT else LINGER_S
    with suppress(TimeoutError):
        await asyncio.wait_for(_read_on(receive), linger_s)


async def _read_on(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        continue
