"""Limit how often people and programs may send requests. The rates are in THROTTLE_RATES."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle, SimpleRateThrottle, UserRateThrottle


class ByNetwork(SimpleRateThrottle):
    """Count requests by address. An IPv6 address counts by its /64, because one customer can use all
    addresses in a /64.
    """

    def get_ident(self, request: Request | HttpRequest) -> str:
        # This reads only META, which requests of pages have, too.
        given = super().get_ident(request)  # type: ignore[arg-type]
        try:
            address = ip_address(given)
        except ValueError:  # a UNIX socket has no address
            return given
        if not isinstance(address, IPv6Address):
            return str(address)
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((int(address), 64), strict=False).network_address)


class PersonThrottle(ByNetwork, UserRateThrottle):
    """Count the requests of one account."""


class StrangerThrottle(ByNetwork, AnonRateThrottle):
    """Count the requests without an account, for each address."""


def allows(throttle: SimpleRateThrottle, request: HttpRequest) -> bool:
    """Count a request of the API or of a page, and return whether it is allowed."""
    # DRF passes both only to get_cache_key. The throttles here read the user, META or POST, and no view.
    return throttle.allow_request(request, None)  # type: ignore[arg-type]


class UploadThrottle(UserRateThrottle):
    """Count what makes work for workers: files, recordings and further runs. API and pages count together."""

    scope = "upload"


class ChunkThrottle(UserRateThrottle):
    """Count chunks of recordings and parts of uploads.

    Views for these use this throttle instead of the others, because many chunks are no sign of abuse.
    """

    scope = "chunk"
