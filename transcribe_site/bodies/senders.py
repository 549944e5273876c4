"""Find out from the headers of a request who sends its body."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import InterfaceError, OperationalError, close_old_connections

from people_app.models import TokenRights
from people_app.session_store import SessionStore
from people_app.tokens import TokenMayNot, who
from rest.refusals import TryAgain
from transcribe_site.bodies.refusals import TooManyAtOnce
from transcribe_site.bodies.streaming import Scope

logger = logging.getLogger(__name__)

# All these requests share one thread and one connection, because they have not waited for their turn yet.
_asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sender")


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first header of this name."""
    return next((value for key, value in scope["headers"] if key == name), None)


async def sender(scope: Scope) -> int | None:
    """Return the key of the account that sends the request, as the views will find it; None if there is none.

    Raises:
        TokenMayNot: the token may only read.
        TryAgain: the database does not answer.
    """
    return await asyncio.get_running_loop().run_in_executor(_asking, _sender, scope)


def _sender(scope: Scope) -> int | None:
    request = ASGIRequest(scope, BytesIO())
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    try:
        found = who(request)
    except (OperationalError, InterfaceError) as error:
        logger.error("The database refused: %s", error)
        raise TryAgain from error
    finally:
        close_old_connections()
    if found is None:
        return None
    user, token = found
    if token is not None and token.rights == TokenRights.READ:
        raise TokenMayNot(token)
    return user.pk


class Arriving:
    """Count how many bodies of each account are on their way."""

    def __init__(self) -> None:
        self._of: Counter[int] = Counter()

    def begin(self, account: int) -> None:
        """Count one more body of an account.

        Raises:
            TooManyAtOnce: UPLOADS_AT_ONCE bodies of this account are on their way already.
        """
        if self._of[account] >= settings.UPLOADS_AT_ONCE:
            raise TooManyAtOnce
        self._of[account] += 1

    def end(self, account: int) -> None:
        self._of[account] -= 1
        if not self._of[account]:
            del self._of[account]
