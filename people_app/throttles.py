"""How often a person may try to log in, and to change a password. THROTTLE_RATES has the rates."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.core.cache import caches
from django.http import HttpRequest
from rest_framework.request import Request

from people_app.names import same_name
from rest.throttling import ByNetwork, allows

if TYPE_CHECKING:
    # DRF's views import the throttles that the settings name.
    from rest_framework.views import APIView

KNOWN_FOR_S = 90 * 24 * 3600
"""An address counts for so long as one from which the account has logged in."""


class LoginThrottle(ByNetwork):
    """Counts each try before it is made, so that many at once cannot pass, and uncounts tries that succeed.

    It is for requests of the API and of pages.
    """

    scope = "login"
    # The cache is only for logins, so that no other counter can push these entries out.
    cache = caches["logins"]
    key: str | None = None
    # DRF sets it from the rate, which is always set.
    duration: int

    def forgive(self) -> None:
        """Uncount this try, because the password was right."""
        if self.key is None:
            return
        tries = self.cache.get(self.key, [])
        if self.now in tries:
            tries.remove(self.now)
            self.cache.set(self.key, tries, self.duration)


class LoginByAddressThrottle(LoginThrottle):
    """Limits one machine that guesses the passwords of many people."""

    def get_cache_key(self, request: Request | HttpRequest, view: APIView | None) -> str:
        return self.cache_format % {"scope": "login_address", "ident": self.get_ident(request)}


class LoginByNameThrottle(LoginThrottle):
    """Limits many machines that guess the password of one person.

    An address from which the account has logged in has its own counter, so that strangers who guess do not
    lock the owner out.
    """

    known: str | None = None

    def get_cache_key(self, request: Request | HttpRequest, view: APIView | None) -> str | None:
        given = request.data if isinstance(request, Request) else request.POST
        if not isinstance(given, Mapping):
            return None
        name = same_name(str(given.get("username", "")))
        here = f"{name} {self.get_ident(request)}"
        self.known = self._key("login_known", here)
        if self.cache.get(self.known):
            return self._key("login_name_here", here)
        return self._key("login_name", name)

    def forgive(self) -> None:
        super().forgive()
        if self.known is not None:
            self.cache.set(self.known, True, KNOWN_FOR_S)

    def _key(self, scope: str, ident: str) -> str:
        # The key is hashed, because some caches refuse long keys and keys with spaces.
        hashed = hashlib.sha256(ident.encode("utf-8", "surrogatepass")).hexdigest()
        return self.cache_format % {"scope": scope, "ident": hashed}


class OldPasswordThrottle(LoginThrottle):
    """Limits somebody who guesses at a browser in which another person is logged in."""

    def get_cache_key(self, request: HttpRequest, view: APIView | None) -> str:
        return self.cache_format % {"scope": "old_password", "ident": request.user.pk}


def refused_for_s(request: Request | HttpRequest, throttles: list[LoginThrottle]) -> int:
    """Count a try. Return 0, or how many seconds to wait because there were too many.

    The throttles run one after the other: the name stands in the body, which is not read for an address that
    has used up its tries.
    """
    for throttle in throttles:
        if not allows(throttle, request):
            return math.ceil(throttle.wait() or throttle.duration)
    return 0
