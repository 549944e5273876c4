"""Django's ASGI handler, with limits for bodies and threads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import IO, cast

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from rest.refusals import Refusal
from rest.scope import LET_GO
from transcribe_site.bodies.body import Body
from transcribe_site.bodies.charsets import check_charset
from transcribe_site.bodies.refusals import answer
from transcribe_site.bodies.senders import Arriving, header, sender
from transcribe_site.bodies.streaming import Message, Receive, Scope, Send, StreamedBody
from transcribe_site.bodies.turns import Turn, Turns
from transcribe_site.edge import headers
from transcribe_site.edge.front import PROBES, below_prefix

PROBE_THREADS = 2

SENT_AT_ONCE_BYTES = 64 * 1024
"""A larger answer may have to wait for its client, so its thread is given back before it is sent."""

_turn: ContextVar[Turn] = ContextVar("turn")


Answered = Callable[[ASGIRequest, Awaitable[HttpResponseBase]], Awaitable[HttpResponseBase]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Parts:
    """The parts of files whose views read them while they come: where they are sent, and of what type.

    `headers` are on every answer there.
    """

    path: str
    content_type: str
    headers: Mapping[str, str]

    def is_one(self, scope: Scope) -> bool:
        kind = (header(scope, b"content-type") or b"").partition(b";")[0].strip().lower()
        return kind == self.content_type.encode() and header(scope, b"content-length") != b"0"


class LimitedHandler(ASGIHandler):
    """Django's handler, except for two things.

    A refused body gets a proper answer, and never 500. A request that waits for a thread holds none.
    """

    def __init__(self, parts: Parts, answered: Answered, sockets: Application) -> None:
        """`answered` returns a response, once it has what the response waits for. `sockets` serves the
        WebSockets.
        """
        super().__init__()
        self._parts = parts
        self._answered = answered
        self._sockets = sockets
        self._arriving = Arriving()
        self._streamed: defaultdict[str, set[StreamedBody]] = defaultdict(set)
        self._turns = Turns(settings.WEB_THREADS, settings.WEB_WAITING)
        self._stream_turns = Turns(settings.WEB_STREAMS, settings.WEB_WAITING)
        # Programs that watch the server need an answer most of all when it is busy. So they have threads of
        # their own.
        self._probe_turns = Turns(PROBE_THREADS, settings.WEB_WAITING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await super().__call__(scope, receive, send)
            return
        scope = {**scope, "path": below_prefix(scope["path"])}
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
            return
        parts = scope["path"].startswith(self._parts.path)
        if parts:
            # An earlier request of this upload may have broken off. It must store what it has brought first,
            # so that the view of this one finds all of it.
            for earlier in list(self._streamed.get(scope["path"], ())):
                await earlier.stop()
        try:
            if parts and self._parts.is_one(scope):
                await self._stream(scope, StreamedBody(receive, send))
            else:
                await self._serve(scope, receive, send)
        except Refusal as refused:
            # A Refusal gets here only before Django begins its work, so nothing has been answered yet.
            await answer(refused, scope, receive, send, self._parts.headers if parts else {})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(scope, receive, self._arriving)
        try:
            await body.check_headers()
            file = await body.read()
        except RequestAborted:
            return
        finally:
            body.close()
        turns = self._probe_turns if scope["path"] in PROBES else self._turns
        try:
            await self._in_turn(turns, scope, _Read(file, body.receive), send)
        finally:
            file.close()

    async def _stream(self, scope: Scope, body: StreamedBody) -> None:
        """Serve a request whose view reads the body while it comes.

        The view itself checks the sender and the size before it reads.
        """
        check_charset((header(scope, b"content-type") or b"").decode("latin-1"))
        path = scope["path"]
        # All uploads begin at this address, so requests to it need not belong together.
        together = self._streamed[path] if path != self._parts.path else set()
        together.add(body)
        try:
            with self._one_of(await sender(scope)):
                await self._in_turn(self._stream_turns, scope, body, body.answer)
        finally:
            body.finish()
            together.remove(body)
            if not together:
                self._streamed.pop(path, None)

    @contextmanager
    def _one_of(self, account: int | None) -> Iterator[None]:
        """Count this body among those of the account that are on their way.

        A request without an account is not counted, because the view refuses it.
        """
        if account is None:
            yield
            return
        self._arriving.begin(account)
        try:
            yield
        finally:
            self._arriving.end(account)

    async def _in_turn(self, turns: Turns, scope: Scope, body: _Read | StreamedBody, send: Send) -> None:
        async with turns.turn() as turn, ThreadSensitiveContext(executor=turn):
            scope[LET_GO] = turn.let_go
            token = _turn.set(turn)
            try:
                await self.handle(scope, body, send)
            finally:
                _turn.reset(token)

    async def read_body(self, receive: Receive) -> IO[bytes]:
        # `receive` is the body that _in_turn has passed on. Django only reads and closes it.
        return receive.file if isinstance(receive, _Read) else cast("IO[bytes]", receive)

    def create_request(
        self,
        scope: Scope,  # type: ignore[override]  # ASGI says that it is a dict
        body_file: IO[bytes] | StreamedBody,
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        # Django takes a body without a length (chunked) for an empty one. Here the length is known.
        if header(scope, b"content-length") is None and not isinstance(body_file, StreamedBody):
            length = body_file.seek(0, 2)
            body_file.seek(0)
            scope["headers"] = [*scope["headers"], (b"content-length", str(length).encode())]
        made = super().create_request(scope, cast("IO[bytes]", body_file))
        if made[1] is not None:
            headers.add_to(HttpRequest(), made[1])
        return made

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        # This is outside of all middleware, because synchronous middleware would hold a thread until the job
        # ends.
        return await self._answered(cast("ASGIRequest", request), super().get_response_async(request))

    async def send_response(self, response: HttpResponseBase, send: Send) -> None:
        turn = _turn.get()
        if isinstance(response, StreamingHttpResponse) and not response.is_async:
            # Django would collect the parts in the middle of the answer.
            parts = cast("Iterator[bytes]", response.streaming_content)
            response.streaming_content = _each(await sync_to_async(lambda: list(parts))())
        if not isinstance(response, HttpResponse) or len(response.content) > SENT_AT_ONCE_BYTES:
            await turn.let_go()
        await super().send_response(response, send)
        # Django needs a thread to close the answer and to note that the request is over.
        await turn.again()


class _Read:
    """A body that has been read, and the `receive` with which Django gets the messages after it."""

    def __init__(self, file: IO[bytes], receive: Receive) -> None:
        self.file = file
        self._receive = receive

    async def __call__(self) -> Message:
        return await self._receive()


async def _each(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
