"""Every error of the API as JSON: `{detail, code}`, and `fields` where values were refused."""

from __future__ import annotations

import errno
import logging
import sqlite3
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler as drf_exception_handler

from speech.errors import SpeechError, UnsupportedMedia

logger = logging.getLogger(__name__)

NOT_FOUND = "There is nothing here. Check the address, and that you use the account that owns it."
TRY_AGAIN_AFTER_S = 5
# For a throttle that cannot say when; 429 always says when.
THROTTLED_FOR_S = 60

# EFBIG: the file system or a limit of the process holds no larger file.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Instead of the sentences of DRF, which name no remedy.
SENTENCES: dict[type[exceptions.APIException], str] = {
    exceptions.AuthenticationFailed: "This token is not valid. Copy it again from your token page.",
    exceptions.MethodNotAllowed: "This cannot be done here. The header Allow says what can.",
    exceptions.NotAcceptable: "This is only given as JSON. Leave the header Accept out.",
    exceptions.NotAuthenticated: "Send your token as `Authorization: Token KEY`, or log in.",
    exceptions.UnsupportedMediaType: "A body of this type is not read here. Send application/json or a form.",
}


class Problem(exceptions.APIException):
    """An answer to the client. `detail` is a sentence with the remedy; `more` stands beside it."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.more = more


class StorageFull(Problem):
    def __init__(self) -> None:
        super().__init__(
            507, "storage_full", "The server has no room left. Nothing was stored; tell its administrator."
        )


class TryAgain(Problem):
    """The database is away, which is not for long."""

    wait = TRY_AGAIN_AFTER_S  # DRF makes Retry-After of it

    def __init__(self) -> None:
        super().__init__(
            503, "try_again", "The database does not answer at the moment. Try again in a few seconds."
        )


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """For REST_FRAMEWORK. None: a bug, which Django logs and answers with its handler500."""
    problem = as_problem(exc) or exc
    if isinstance(problem, exceptions.Throttled) and problem.wait is None:
        problem.wait = THROTTLED_FOR_S
    response = drf_exception_handler(problem, context)
    if response is not None:
        assert isinstance(problem, exceptions.APIException)  # noqa: S101  DRF answers no other
        response.data = body(problem)
    return response


def as_problem(exc: BaseException | None) -> exceptions.APIException | None:
    """What to answer to an exception that is no bug but knows nothing of HTTP; None for every other."""
    match exc:
        case SpeechError():
            return Problem(415 if isinstance(exc, UnsupportedMedia) else 422, exc.code, str(exc))
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RecursionError():
            # Nothing of the API's own recurses; the parser does, as deep as the JSON it is sent.
            logger.warning("The body of a request is nested too deeply", exc_info=exc)
            return Problem(400, "malformed_json", "This JSON is nested too deeply. Send less depth.")
        case OperationalError() | InterfaceError():
            logger.error("The database refused: %s", exc)
            full = getattr(exc.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            return StorageFull() if full else TryAgain()
        case OSError() if exc.errno in FULL:
            logger.error("The storage is full: %s", exc)
            return StorageFull()
    return None


def body(problem: exceptions.APIException) -> dict[str, Any]:
    match problem:
        case exceptions.ValidationError():
            return _refused_values(problem.detail)
        case exceptions.Throttled():
            detail = f"That was too many requests. Try again in {problem.wait:.0f} s."
        case exceptions.ParseError():
            _, json, reason = str(problem.detail).rpartition("JSON parse error - ")
            if json:
                detail = f"The body is not JSON ({reason}). Correct it and send it again."
                return {"detail": detail, "code": "malformed_json"}
            detail = f"The body cannot be read ({reason}). Correct it and send it again."
        case exceptions.NotFound() if problem.detail == exceptions.NotFound.default_detail:
            detail = NOT_FOUND
        case _:
            detail = SENTENCES.get(type(problem), str(problem.detail))
    return {"detail": detail, "code": problem.get_codes(), **getattr(problem, "more", {})}


def _refused_values(detail: Any) -> dict[str, Any]:
    if not isinstance(detail, dict):
        detail = {api_settings.NON_FIELD_ERRORS_KEY: detail}
    fields = {name: _sentences(errors) for name, errors in detail.items()}
    general = fields.get(api_settings.NON_FIELD_ERRORS_KEY)
    sentence = " ".join(general) if general else f"Correct these and send it again: {', '.join(fields)}."
    return {"detail": sentence, "code": "invalid", "fields": fields}


def _sentences(errors: Any) -> list[str]:
    """The sentences in DRF's nested lists and mappings of errors."""
    if isinstance(errors, dict):
        errors = list(errors.values())
    if not isinstance(errors, list):
        return [str(errors)]
    return [sentence for error in errors for sentence in _sentences(error)]
