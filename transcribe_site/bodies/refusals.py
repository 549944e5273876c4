"""The reasons why a body is refused, and the answer to its request."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, JsonResponse
from django.utils.html import format_html

from rest.refusals import TRY_AGAIN_AFTER_S, NotAuthenticated, Refusal, Throttled
from transcribe_site.bodies.cross_origin import cross_origin_headers
from transcribe_site.bodies.streaming import Receive, Scope, Send, discard
from transcribe_site.edge import headers
from transcribe_site.edge.error_pages import for_programs

SOON = {"Retry-After": str(TRY_AGAIN_AFTER_S)}


class BodyTooLarge(Refusal):
    status = 413
    code = "body_too_large"

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"This request is larger than {most_bytes // settings.MIB} MB. Send less at once.")


class SignInFirst(NotAuthenticated):
    sentence = "Only people with an account may upload. Log in, or send a valid token, and try again."
    headers = {"WWW-Authenticate": "Bearer"}


class UnsupportedCharset(Refusal):
    status = 415
    code = "unsupported_charset"
    sentence = "The Content-Type names a charset that is not read here. Send this as UTF-8."


class Stalled(Refusal):
    status = 408
    code = "request_timeout"
    sentence = "Too little of this request has come for too long. Check the connection and send it again."


class TooManyAtOnce(Throttled):
    sentence = (
        "Too many uploads of this account are on their way. Wait until one of them has come, then try again."
    )
    headers = SOON


class Busy(Refusal):
    status = 503
    code = "busy"
    sentence = "The server has too much to do at the moment. Try again in a few seconds."
    headers = SOON


async def answer(
    refusal: Refusal, scope: Scope, receive: Receive, send: Send, more_headers: Mapping[str, str]
) -> None:
    """Answer a request with a refusal, and with `more_headers`.

    No middleware sees this answer, so the headers that middleware adds to others are added here.
    """
    if found := for_programs(scope["path"], refusal):
        status, data = found
        response: HttpResponse = JsonResponse(data, status=status, headers=refusal.headers)
    else:
        page = format_html(_PAGE, refusal, f"{settings.URL_PREFIX}/")
        response = HttpResponse(page, status=refusal.status, headers=refusal.headers)
    response["Content-Length"] = str(len(response.content))
    response["Connection"] = "close"
    for name, value in more_headers.items():
        response[name] = value
    # Django may be unable to make a request with this Content-Type.
    readable = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
    headers.add_to(ASGIRequest({**scope, "headers": readable}, BytesIO()), response)
    lines = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    lines += cross_origin_headers({**scope, "headers": readable})
    await send({"type": "http.response.start", "status": response.status_code, "headers": lines})
    await send({"type": "http.response.body", "body": response.content, "more_body": True})
    if not isinstance(refusal, Stalled):
        await discard(receive, response.status_code)
    await send({"type": "http.response.body"})


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Not taken</title></head>
<body><p>{}</p><p><a href="{}">Back</a></p></body></html>
"""
