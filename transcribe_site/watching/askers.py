"""Tell whether the people who run the site ask for its state, or a stranger."""

from __future__ import annotations

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare


def may_see_metrics(request: HttpRequest) -> bool:
    token = request.headers.get("Authorization", "")
    if settings.METRICS_TOKEN and constant_time_compare(token, f"Bearer {settings.METRICS_TOKEN}"):
        return True
    return is_from_here(request)


def is_from_here(request: HttpRequest) -> bool:
    """Whether the request comes from this machine, without a proxy between."""
    # A request that a proxy on this machine passes on comes from loopback, too. Not every proxy adds a
    # header.
    if settings.BEHIND_PROXY or "X-Forwarded-For" in request.headers:
        return False
    return is_loopback(request.META.get("REMOTE_ADDR", ""))


def is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:  # a UNIX socket has no address
        return False
