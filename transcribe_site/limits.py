"""What a request's body may cost, decided before it is read and while it is.

Django keeps the whole body on disk before any view runs, whoever sent it, and its upload handlers then write
the files out of it once more. Limits in a view or an upload handler are therefore too late.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections import defaultdict
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
from sessions_app import openai_wait
from sessions_app.openai_errors import openai_error
from sessions_app.session_store import SessionStore
from sessions_app.tus_protocol import PART_TYPE, TUS_PATH, TUS_VERSION
from sessions_app.upload_handler import (
    DISK_CHECK_BYTES,
    FileTooLarge,
    UploadRefused,
    check_disk,
    refuse_when_full,
)
from transcribe_site.streaming import Message, Receive, Scope, Send, StreamedBody, discard

logger = logging.getLogger(__name__)

WRITE_BYTES = 1024 * 1024


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

    def __init__(self) -> None:
        super().__init__()
        self._streamed: defaultdict[str, set[StreamedBody]] = defaultdict(set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if scope["path"].startswith(TUS_PATH):
            # The view of this request shall find all that an earlier one has brought, though it was cut off.
            for earlier in list(self._streamed.get(scope["path"], ())):
                await earlier.stop()
        if _is_streamed(scope):
            await self._stream(scope, StreamedBody(receive, send))
            return
        try:
            body = _Body(scope, receive)
            await body.check_length()
            await super().__call__(scope, body.receive, send)
        except UploadRefused as refused:
            # Only `read_body` lets it out, so nothing has been answered yet.
            await _answer(refused, scope, receive, send)

    async def get_response_async(self, request: Any) -> Any:
        # Outside of all middleware: one that is synchronous would hold a thread for as long as a job takes.
        return await openai_wait.answered(request, super().get_response_async(request))

    async def _stream(self, scope: Scope, body: StreamedBody) -> None:
        """The view looks who sends, and how much, before it reads."""
        path = scope["path"]
        # The address to begin uploads at is the same for all of them.
        together = self._streamed[path] if path != TUS_PATH else set()
        together.add(body)
        try:
            await super().__call__(scope, body, body.answer)
        finally:
            body.finish()
            together.remove(body)
            if not together:
                self._streamed.pop(path, None)

    async def read_body(self, receive: Receive | StreamedBody) -> IO[bytes] | StreamedBody:
        """As Django's, but beside the uploads (/tmp may be memory), and with an answer for a full disk."""
        if isinstance(receive, StreamedBody):
            return receive
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

    def create_request(self, scope: Scope, body_file: IO[bytes] | StreamedBody) -> Any:
        # Django takes a body without a length (chunked) for an empty one. Now its length is known.
        if _header(scope, b"content-length") is None and not isinstance(body_file, StreamedBody):
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
        if message["type"] == "http.disconnect":
            self._scope[openai_wait.CLIENT_GONE] = True
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


def _is_streamed(scope: Scope) -> bool:
    """Whether this is a part of a resumable upload."""
    kind = (_header(scope, b"content-type") or b"").partition(b";")[0].strip().lower()
    return (
        kind == PART_TYPE.encode()
        and scope["path"].startswith(TUS_PATH)
        and _header(scope, b"content-length") != b"0"
    )


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
    if scope["path"].startswith("/v1/"):
        error = openai_error(refused.status, refused.code, str(refused))
        kind, text = b"application/json", json.dumps(error)
    elif scope["path"].startswith("/api/"):
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
    if scope["path"].startswith(TUS_PATH):
        headers.append((b"tus-resumable", TUS_VERSION.encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await discard(receive, refused.status)
    await send({"type": "http.response.body"})


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Upload refused</title></head>
<body><p>{}</p><p><a href="/">Back</a></p></body></html>
"""
