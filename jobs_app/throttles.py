"""Against guessing passwords. The rates are in THROTTLE_RATES."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView


class LoginThrottle(SimpleRateThrottle):
    """Counts each try before it is made, so that many at once do not get past, and takes back the right ones.

    For requests of the API and of pages.
    """

    scope = "login"
    key: str | None = None

    def forgive(self) -> None:
        """The password was right: this try does not count."""
        if self.key is None:
            return
        tries = self.cache.get(self.key, [])
        if self.now in tries:
            tries.remove(self.now)
            self.cache.set(self.key, tries, self.duration)


class LoginByAddressThrottle(LoginThrottle):
    """Against one machine that guesses the passwords of many people."""

    def get_cache_key(self, request: Request | HttpRequest, view: APIView | None) -> str:
        return self.cache_format % {"scope": "login_address", "ident": self.get_ident(request)}


class LoginByNameThrottle(LoginThrottle):
    """Against many machines that guess the password of one person."""

    def get_cache_key(self, request: Request | HttpRequest, view: APIView | None) -> str | None:
        given = request.data if isinstance(request, Request) else request.POST
        if not isinstance(given, Mapping):
            return None
        name = str(given.get("username", "")).strip().casefold()
        # Hashed: some caches refuse keys with spaces, or long ones.
        ident = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return self.cache_format % {"scope": "login_name", "ident": ident}
