"""Make the CORS headers of answers that no middleware sees."""

from __future__ import annotations

from io import BytesIO

from corsheaders.middleware import CorsMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse

from transcribe_site.bodies.streaming import Scope


def cross_origin_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers that let a page of another origin read the answer; none if it may not read it."""
    answer = HttpResponse()
    del answer["Content-Type"]
    CorsMiddleware(lambda _: answer).add_response_headers(ASGIRequest(scope, BytesIO()), answer)
    return [(name.lower().encode(), value.encode()) for name, value in answer.items()]
