"""Who sends a request, by its token or its session, and what a token allows.

A token is sent as `Bearer KEY` or `Token KEY`, everywhere. Its rights are:

- `read`: every request that changes nothing.
- `send`: sending audio, starting jobs, and reading one recording or job whose id is known. Such a token opens
  no lists, so a lost device gives away nothing that is older than itself.
- `all`: everything that its user may do.

A request with a session may do everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import TokenAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from people_app.models import ApiToken, TokenRights, User
from rest.refusals import Refusal

if TYPE_CHECKING:
    # DRF's views import what the settings name.
    from rest_framework.views import APIView

SCHEMES = ("bearer", "token")


class TokenMayNot(Refusal):
    """The request asks for more than its token allows."""

    status = 403
    code = "token_rights"

    def __init__(self, token: ApiToken) -> None:
        may = {
            TokenRights.READ: "only read",
            TokenRights.SEND: "only send recordings, and read those whose ids it knows",
        }[TokenRights(token.rights)]
        super().__init__(f"This token may {may}. Use one with more rights; you make it on your account page.")


def who(request: HttpRequest) -> tuple[User, ApiToken | None] | None:
    """Return who sends a request, and with which token, before any view runs; None for a stranger.

    The views find the same person: those of the API by KeyAuthentication, pages by the session.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in SCHEMES:
        token = ApiToken.objects.with_key(key.strip())
        return (token.user, token) if token else None
    user = get_user(request)
    return (user, None) if user.is_authenticated else None


def person(request: HttpRequest) -> User:
    """Return who sends a request behind `login_required` or IsAuthenticated, where no stranger gets in."""
    if not isinstance(request.user, User):
        raise TypeError("This view is for people who are logged in, and lets strangers in.")
    return request.user


class KeyAuthentication(TokenAuthentication):
    """How the API recognises people; for the setting REST_FRAMEWORK."""

    keyword = "Bearer"
    model = ApiToken

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        if get_authorization_header(request).lower().partition(b" ")[0] == b"token":
            self.keyword = "Token"
        return super().authenticate(request)

    def authenticate_credentials(self, key: str) -> tuple[User, ApiToken]:
        token = ApiToken.objects.with_key(key)
        if token is None:
            raise AuthenticationFailed
        token.note_use()
        return token.user, token


class TokenAllows(BasePermission):
    """What a token allows; for the setting REST_FRAMEWORK.

    A view's `send_may` names the methods or actions that tokens with the right `send` may use.
    """

    code = TokenMayNot.code

    def has_permission(self, request: Request, view: APIView) -> bool:
        token = request.auth
        if not isinstance(token, ApiToken) or token.rights == TokenRights.ALL:
            return True
        self.message = str(TokenMayNot(token))
        if token.rights == TokenRights.READ or request.method == "OPTIONS":
            return request.method in SAFE_METHODS
        asked = getattr(view, "action", None) or (request.method or "").lower().replace("head", "get")
        return asked in getattr(view, "send_may", ())


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its class registers itself
    """How the OpenAPI document describes tokens. drf-spectacular finds this class by itself."""

    target_class = KeyAuthentication
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
