"""Redirect addresses without the slash at their end."""

from __future__ import annotations

from django.http import HttpRequest
from django.middleware.common import CommonMiddleware

from transcribe_site.edge.error_pages import is_api


class SlashMiddleware(CommonMiddleware):
    """Django's middleware, except that requests which change something in the API are not redirected.

    Clients would follow such a redirect with a GET, or not at all. error_pages.not_found names the right
    address to them.
    """

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        if is_api(request) and request.method not in ("GET", "HEAD"):
            return False
        return super().should_redirect_with_slash(request)
