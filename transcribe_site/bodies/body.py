"""The body of one request while it comes. Its size and its speed are limited."""

from __future__ import annotations

import asyncio
import tempfile
import time
from typing import IO

from django.conf import settings
from django.core.exceptions import RequestAborted

from rest.disk import DISK_CHECK_BYTES, check_disk, refuse_when_full
from rest.refusals import FileTooLarge, Refusal
from rest.scope import CLIENT_GONE
from transcribe_site.bodies.charsets import check_charset
from transcribe_site.bodies.refusals import BodyTooLarge, SignInFirst, Stalled
from transcribe_site.bodies.senders import Arriving, header, sender
from transcribe_site.bodies.streaming import Message, Receive, Scope

STRANGERS_BYTES = 64 * 1024
"""People without an account may send at most this much. The forms to log in and to sign up need less."""

IN_MEMORY_BYTES = 256 * 1024
"""A body up to this size stays in memory; a larger one is written to disk."""


class Body:
    def __init__(self, scope: Scope, receive: Receive, arriving: Arriving) -> None:
        self._scope = scope
        self._receive = receive
        self._arriving = arriving
        self._account: int | None = None
        self._read = 0
        self._complete = False
        self._began = time.monotonic()
        self._next_disk_check = DISK_CHECK_BYTES
        is_form = (header(scope, b"content-type") or b"").lower().startswith(b"multipart/form-data")
        # Any other body than a form with files is read into memory.
        small = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        self._limit = settings.MAX_UPLOAD_BYTES + small if is_form else small
        self._too_large: Refusal = FileTooLarge() if is_form else BodyTooLarge(small)

    async def check_headers(self) -> None:
        """Check the headers before the body is read.

        Raises:
            Refusal: the headers alone show that the body cannot be taken.
        """
        kinds = [value for name, value in self._scope["headers"] if name == b"content-type"]
        check_charset(b",".join(kinds).decode("latin-1"))
        length = header(self._scope, b"content-length")
        if length is None or not length.isdigit():
            return
        await self._check(int(length))
        # The disk needs room for the body, and then for the files in it.
        if int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            check_disk(2 * int(length))

    async def read(self) -> IO[bytes]:
        """Read the whole body into a file, and return it.

        The file is beside the uploads, because /tmp may be in memory.

        Raises:
            Refusal: the body cannot be taken.
            RequestAborted: the client left before the end.
        """
        file = tempfile.SpooledTemporaryFile(  # noqa: SIM115  Django closes it after the request
            max_size=IN_MEMORY_BYTES, dir=str(settings.FILE_UPLOAD_TEMP_DIR)
        )
        unwritten = bytearray()
        try:
            with refuse_when_full():
                while True:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise RequestAborted
                    unwritten += message.get("body", b"")
                    if not message.get("more_body", False):
                        file.write(unwritten)
                        file.seek(0)
                        return file
                    if len(unwritten) >= IN_MEMORY_BYTES:
                        # A slow disk must not stop the event loop, which serves all requests.
                        await asyncio.to_thread(file.write, unwritten)
                        unwritten = bytearray()
        except BaseException:
            file.close()
            raise
        finally:
            self.close()

    async def receive(self) -> Message:
        """Return the next message of the server. The one after the body says that the client has left."""
        if self._complete:
            message = await self._receive()
        else:
            message = await self._receive_in_time()
            self._complete = not message.get("more_body", False)
        if message["type"] == "http.disconnect":
            self._scope[CLIENT_GONE] = True
        self._read += len(message.get("body", b""))
        await self._check(self._read)
        if self._read >= self._next_disk_check:
            self._next_disk_check = self._read + DISK_CHECK_BYTES
            check_disk()
        return message

    def close(self) -> None:
        """Note that no more of the body will come."""
        if self._account is not None:
            self._arriving.end(self._account)
            self._account = None

    async def _receive_in_time(self) -> Message:
        silent_s = settings.STALLED_AFTER_S
        late_at = self._began + silent_s + self._read / settings.BODY_LEAST_BYTES_S
        try:
            return await asyncio.wait_for(self._receive(), min(silent_s, late_at - time.monotonic()))
        except TimeoutError:
            raise Stalled from None

    async def _check(self, length: int) -> None:
        if length > self._limit:
            raise self._too_large
        if length > STRANGERS_BYTES and self._account is None:
            # People without an account must not be able to fill the disk or the memory.
            account = await sender(self._scope)
            if account is None:
                raise SignInFirst
            self._arriving.begin(account)
            self._account = account
