"""Add the headers that every answer needs for browsers."""

from __future__ import annotations

from collections.abc import Callable

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import reverse
from django.utils.cache import patch_cache_control, patch_vary_headers

# Pages could ask today's browsers for these features.
_FEATURES = (
    "accelerometer",
    "browsing-topics",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
)
# The recorder page uses the microphone, and keeps the screen on while it records.
_RECORDER_FEATURES = ("microphone", "screen-wake-lock")


def _nothing(request: HttpRequest) -> HttpResponseBase:
    return HttpResponse()


class HeadersMiddleware:
    """The first middleware of all, so that answers in which another middleware refuses a request pass it,
    too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return add_to(request, self.get_response(request))


def add_to(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Add those headers that `response` does not have yet."""
    for middleware in (SecurityMiddleware, CSPMiddleware, XFrameOptionsMiddleware):
        # These only set headers, so the answer may also be a stream.
        middleware(_nothing).process_response(request, response)  # type: ignore[arg-type]
    allowed = _RECORDER_FEATURES if request.path == reverse("record") else ()
    policy = ", ".join(f"{name}=({'self' if name in allowed else ''})" for name in _FEATURES)
    response.headers.setdefault("Permissions-Policy", policy)
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    said = {part.strip() for part in response.get("Cache-Control", "").split(",")}
    if "public" not in said:
        # Only files in static/ are the same for everybody.
        patch_cache_control(response, private=True)
        if not said & {"no-cache", "no-store"}:
            patch_cache_control(response, no_store=True)
        patch_vary_headers(response, ("Authorization", "Cookie"))
    return response
