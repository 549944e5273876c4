"""Decide two things before all others: which part of the path is the site's, and whether a request only asks
for the health of the server.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from transcribe_site.watching import health, metrics

PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": health.healthz,
    "/readyz": health.readyz,
    "/metrics": metrics.metrics,
}
"""Programs inside the network ask for these, by an address or the name of a container, and by plain http."""


def below_prefix(path: str) -> str:
    """Return a path without URL_PREFIX. A proxy may have cut off the prefix already."""
    prefix = settings.URL_PREFIX
    return path.removeprefix(prefix) or "/" if path == prefix or path.startswith(f"{prefix}/") else path


class FrontMiddleware:
    """Middleware that runs before all others that look at paths. After it, `path` is the whole path, and
    `path_info` is the part below URL_PREFIX.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.URL_PREFIX:
            request.path_info = below_prefix(request.path_info)
            request.path = f"{settings.URL_PREFIX}{request.path_info}"
        if probe := PROBES.get(request.path_info):
            # Such a request skips the check of the host, the redirect to https, and the login.
            return probe(request)
        return self.get_response(request)
