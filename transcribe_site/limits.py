"""What a request's body may cost, decided before it is read and while it is.

Django keeps the whole body on disk before any view runs, whoever sent it, and its upload handlers then write
the files out of it once more. Limits in a view or an upload handler are therefore too late.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from html import escape
from io import BytesIO
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.db import InterfaceError, OperationalError, close_old_connections
from rest_framework.authtoken.models import Token

from jobs_app.api_errors import TRY_AGAIN_AFTER_S, TryAgain
from sessions_app.session_store import SessionStore
from sessions_app.upload_handler import (
    DISK_CHECK_BYTES,
    FileTooLarge,
    UploadRefused,
    check_disk,
    refuse_when_full,
)

logger = logging.getLogger(__name__)

WRITE_BYTES = 1024 * 1024

LINGER_S = 10
"""How long a client that was refused may go on sending before it is cut off."""

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class BodyTooLarge(UploadRefused):
    status = 413
    code = "body_too_large"


class SignInFirst(UploadRefused):
    status = 401
    code = "not_authenticated"
    message = "Only people with an account may upload. Log in, or send a valid token, and try again."


class DatabaseAway(UploadRefused):
    status = 503
    code = "try_again"
    message = str(TryAgain().detail)


class LimitedHandler(ASGIHandler):
    """Django, with limits on bodies. A body that is refused is answered, never a 500."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        try:
            body = _Body(scope, receive)
            await body.check_length()
            await super().__call__(scope, body.receive, send)
        except UploadRefused as refused:
            # Only `read_body` lets it out, so nothing has been answered yet.
            await _answer(refused, scope, receive, send)

    async def read_body(self, receive: Receive) -> IO[bytes]:
        """As Django's, but beside the uploads (/tmp may be memory), and with an answer for a full disk."""
        body = tempfile.SpooledTemporaryFile(  # noqa: SIM115  Django closes it after the request
            max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, dir=settings.FILE_UPLOAD_TEMP_DIR
        )
        unwritten = bytearray()
        try:
            with refuse_when_full():
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestAborted
                    unwritten += message.get("body", b"")
                    if not message.get("more_body", False):
                        body.write(unwritten)
                        body.seek(0)
                        return body
                    if len(unwritten) >= WRITE_BYTES:
                        # A disk that is behind must not stop the event loop, which serves everyone.
                        await asyncio.to_thread(body.write, unwritten)
                        unwritten = bytearray()
        except BaseException:
            body.close()
            raise

    def create_request(self, scope: Scope, body_file: IO[bytes]) -> Any:
        # Django takes a body without a length (chunked) for an empty one. Now its length is known.
        if _header(scope, b"content-length") is None:
            length = body_file.seek(0, 2)
            body_file.seek(0)
            scope["headers"] = [*scope["headers"], (b"content-length", str(length).encode())]
        return super().create_request(scope, body_file)


class _Body:
    """The body of one request: how long it may be, and how much of it has come."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._read = 0
        self._next_disk_check = DISK_CHECK_BYTES
        self._signed_in = False
        is_form = (_header(scope, b"content-type") or b"").lower().startswith(b"multipart/form-data")
        # Whatever is not a form with files is read into memory.
        small = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        self._limit = settings.MAX_UPLOAD_BYTES + small if is_form else small
        self._too_large = (
            FileTooLarge()
            if is_form
            else BodyTooLarge(f"This request is larger than {small // settings.MIB} MB. Send less at once.")
        )

    async def check_length(self) -> None:
        """Raises UploadRefused where the announced length alone is enough to say no."""
        length = _header(self._scope, b"content-length")
        if length is None or not length.isdigit():
            return
        await self._check(int(length))
        # The body, and then the files in it.
        if int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            check_disk(2 * int(length))

    async def receive(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        await self._check(self._read)
        if self._read >= self._next_disk_check:
            self._next_disk_check = self._read + DISK_CHECK_BYTES
            check_disk()
        return message

    async def _check(self, length: int) -> None:
        if length > self._limit:
            raise self._too_large
        if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE and not self._signed_in:
            # Strangers must not be able to fill the disk.
            if not await sync_to_async(_signed_in)(self._scope):
                raise SignInFirst
            self._signed_in = True


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)


def _signed_in(scope: Scope) -> bool:
    """Whether the request carries a valid token or session, as the views will find it.

    Raises DatabaseAway where nobody can tell.
    """
    try:
        scheme, _, key = (_header(scope, b"authorization") or b"").decode("latin-1").partition(" ")
        if scheme.lower() in ("token", "bearer"):
            return Token.objects.filter(key=key.strip(), user__is_active=True).exists()
        request = ASGIRequest(scope, BytesIO())
        request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        return bool(get_user(request).is_authenticated)
    except (OperationalError, InterfaceError) as error:
        logger.error("The database refused: %s", error)
        raise DatabaseAway from error
    finally:
        close_old_connections()


async def _answer(refused: UploadRefused, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"].startswith(("/api/", "/v1/")):
        kind, text = b"application/json", json.dumps({"detail": str(refused), "code": refused.code})
    else:
        kind, text = b"text/html; charset=utf-8", _PAGE.format(escape(str(refused)))
    body = text.encode()
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Token"))
    if refused.status == 503:
        headers.append((b"retry-after", str(TRY_AGAIN_AFTER_S).encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    # A connection that is closed while the client still sends is reset, and the answer with it.
    with suppress(TimeoutError):
        await asyncio.wait_for(_discard(receive), LINGER_S)
    await send({"type": "http.response.body"})


async def _discard(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        continue


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Upload refused</title></head>
<body><p>{}</p><p><a href="/">Back</a></p></body></html>
"""
