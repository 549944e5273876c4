"""Who opens a socket: a person with a login, from a page of this site; or a program with a token."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from people_app.models import ApiToken, TokenRights
from people_app.session_store import SessionStore
from people_app.tokens import SCHEMES, TokenMayNot, who
from rest.refusals import NotAuthenticated, NotFound, Refusal
from sessions_app.models import RecordingSession

PATH = re.compile(r"/ws/sessions/([0-9a-fA-F-]{36})/live/")


class NotLoggedIn(NotAuthenticated):
    status = 403
    sentence = "Log in on this site, or send a token as `Authorization: Token KEY`."


class ForeignOrigin(Refusal):
    status = 403
    code = "foreign_origin"
    sentence = "Only pages of this site may connect with its login. Programs send a token instead."


class HostNotServed(Refusal):
    code = "bad_host"
    sentence = "This site does not serve this host. Its administrator sets ALLOWED_HOSTS."


class HttpsNeeded(Refusal):
    status = 403
    code = "https_needed"
    sentence = "This site is reached over https only. Connect with wss:// instead of ws://."


@dataclass(frozen=True)
class Visitor:
    """A person, and by what the person was let in: a token, or a login with a session of this key.

    `password` is the hash of the password, which ends the logins when it changes.
    """

    user_id: int
    session_key: str
    password: str
    token: ApiToken | None

    def check_may_send(self) -> None:
        """Check that the visitor may send audio.

        Raises:
            TokenMayNot: the token may only read.
        """
        if self.token is not None and self.token.rights == TokenRights.READ:
            raise TokenMayNot(self.token)


def admit(scope: Mapping[str, Any]) -> tuple[Visitor, uuid.UUID]:
    """Return who connects, and the id of the recording.

    Raises:
        NotFound: there is no such recording of this person.
        Refusal: the visitor is not let in.
    """
    found = PATH.fullmatch(scope["path"])
    if found is None:
        raise NotFound
    scheme = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "ws"), "http")
    request = ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": scheme}, BytesIO())
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    visitor = _visitor(request)
    try:
        session_id = uuid.UUID(found[1])
    except ValueError:
        raise NotFound from None
    if not RecordingSession.objects.filter(pk=session_id, owner=visitor.user_id).exists():
        raise NotFound
    return visitor, session_id


def _visitor(request: HttpRequest) -> Visitor:
    try:
        request.get_host()
    except DisallowedHost:
        raise HostNotServed from None
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        raise HttpsNeeded
    by_token = request.headers.get("Authorization", "").partition(" ")[0].lower() in SCHEMES
    # Browsers send the cookie with sockets of any page, and any page may read what comes.
    if not by_token and request.COOKIES.get(settings.SESSION_COOKIE_NAME) and not _is_ours(request):
        raise ForeignOrigin
    found = who(request)
    if found is None:
        raise NotLoggedIn
    user, token = found
    if token is not None:
        token.note_use()
    return Visitor(user.pk, request.session.session_key or "", user.password, token)


def _is_ours(request: HttpRequest) -> bool:
    """Whether the page that connects is of this site, by the rule that Django has for forms."""
    rule: Any = CsrfViewMiddleware(lambda request: HttpResponse())
    return "HTTP_ORIGIN" in request.META and rule._origin_verified(request)


def logged_out(visitors: Collection[Visitor]) -> set[Visitor]:
    """Return those who would not be let in any more. This takes three queries."""
    tokens = [visitor.token.pk for visitor in visitors if visitor.token]
    valid = set(ApiToken.objects.valid().filter(pk__in=tokens).values_list("pk", flat=True))
    people = get_user_model().objects.filter(pk__in={visitor.user_id for visitor in visitors}, is_active=True)
    passwords = dict(people.values_list("pk", "password"))
    keys = {visitor.session_key for visitor in visitors if not visitor.token}
    logins = set(
        Session.objects.filter(session_key__in=keys, expire_date__gt=Now()).values_list("pk", flat=True)
    )

    def remains(visitor: Visitor) -> bool:
        if visitor.token:
            return visitor.token.pk in valid
        return visitor.session_key in logins and passwords.get(visitor.user_id) == visitor.password

    return {visitor for visitor in visitors if not remains(visitor)}
