"""Pages show times in the time zone of the person who looks at them: the one they chose, or that of their
browser.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

COOKIE = "timezone"


class TimeZoneMiddleware:
    """Shows all times of an answer in one time zone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with timezone.override(_zone(_chosen(request) or request.COOKIES.get(COOKIE, ""))):
            return self.get_response(request)


def _chosen(request: HttpRequest) -> str:
    # A person without a login has chosen none. Reading the session would make caches keep answers apart.
    if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
        return request.user.time_zone
    return ""


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    """Return the zone. None is the site's own zone, and stands for an empty or unknown name."""
    if not name:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # A cookie may hold anything: a folder of the zone files, a path, a name of a thousand characters.
        return None
