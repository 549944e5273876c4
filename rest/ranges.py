"""Answer with a stored file, or with a range of it, block by block."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response

BLOCK_BYTES = 256 * 1024


def file_response(
    request: HttpRequest, open_file: Callable[[], IO[bytes]], *, size: int, version: str, content_type: str
) -> HttpResponseBase:
    """Answer with the bytes that `request` (GET or HEAD) asks for: 200 or 206, else 304 or 416.

    `version` changes with the content. `open_file` is called only if there are bytes to send.
    """
    etag = f'"{version}"'
    if unchanged := get_conditional_response(request, etag=etag):
        unchanged["ETag"] = etag
        return unchanged
    start, end, status = 0, size, 200
    # With If-Range, the rest is sent only if the client's part is of this same file.
    if request.headers.get("If-Range", etag) == etag and (
        asked := parse_range(request.headers.get("Range", ""), size)
    ):
        start, end = asked
        status = 206 if start < end else 416
    if status == 416:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})

    file = open_file()
    if request.method == "HEAD":
        file.close()
        response: HttpResponseBase = HttpResponse(status=status)
    else:
        blocks = _blocks(file, start, end)
        # Under ASGI, Django would collect an ordinary iterator in memory; under WSGI, an asynchronous one.
        served = _in_thread(blocks) if isinstance(request, ASGIRequest) else blocks
        response = StreamingHttpResponse(served, status=status)
        response._resource_closers.append(file.close)  # type: ignore[attr-defined]  # Django's own
    response["Content-Type"] = content_type
    response["Content-Length"] = str(end - start)
    if status == 206:
        response["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    return response


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the bytes `[start, end)` that the header asks for, or None if the header must be ignored.

    The range is empty if none of the bytes exist. RFC 9110, 14.2: a server may ignore ranges. This one
    ignores several ranges at once.
    """
    match = re.fullmatch(r"\s*bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", header, re.IGNORECASE)
    if match is None or match.group(1, 2) == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        return (max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return (int(first), min(int(last) + 1, size) if last else size)


def _blocks(file: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < end and (block := file.read(min(BLOCK_BYTES, end - start))):
            start += len(block)
            yield block


async def _in_thread(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    # The event loop serves all requests and must not wait for a disk.
    while block := await asyncio.to_thread(next, blocks, b""):
        yield block
