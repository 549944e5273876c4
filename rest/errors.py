"""Turn errors of a request into a Refusal, and a Refusal into the API's answer: `{detail, code}`."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings

from rest.disk import StorageFull, is_full
from rest.refusals import Invalid, NotFound, Refusal, Throttled, TryAgain
from rest.throttling import StrangerThrottle

logger = logging.getLogger(__name__)

FORM = "multipart/form-data"

# An answer with 429 always says when to try again. This is for throttles that do not know it.
THROTTLED_FOR_S = 60

# These replace the sentences of DRF, which name no remedy.
SENTENCES: dict[type[exceptions.APIException], str] = {
    exceptions.AuthenticationFailed: "This token is wrong, was revoked, or has ended. You make one on your "
    "account page.",
    exceptions.NotAcceptable: "This is only given as JSON. Leave the header Accept out.",
    exceptions.NotAuthenticated: "Send your token as `Authorization: Bearer KEY`, or log in.",
}


class MalformedJson(Refusal):
    code = "malformed_json"
    sentence = "This JSON is nested too deeply. Send less depth."


class PermissionDenied(Refusal):
    status = 403
    code = "permission_denied"
    sentence = "You do not have permission to perform this action."


class RefusedByDrf(Refusal):
    """One of DRF's own exceptions. Its status, code and headers are kept."""

    def __init__(self, exc: exceptions.APIException, sentence: str = "") -> None:
        super().__init__(sentence or SENTENCES.get(type(exc)) or str(exc.detail))
        self.status = exc.status_code
        self.code = str(exc.get_codes())
        # DRF's views set this attribute of the exception.
        if challenge := getattr(exc, "auth_header", ""):
            self.headers = {"WWW-Authenticate": challenge}


def answer(refusal: Refusal) -> Response:
    return Response(body(refusal), status=refusal.status, headers=refusal.headers)


def body(refusal: Refusal) -> dict[str, object]:
    return {"detail": str(refusal), "code": refusal.code, **refusal.more}


def refusal_of(exc: BaseException | None, context: Mapping[str, Any] | None = None) -> Refusal | None:
    """Return the Refusal that an exception means; None if the exception is a bug.

    `context` is what DRF passes to its exception handler; it is None if no view of the API raised the
    exception.
    """
    match exc:
        case Refusal():
            return exc
        case OperationalError() | InterfaceError():
            logger.error("The database refused: %s", exc)
            return StorageFull() if is_full(exc) else TryAgain()
        case OSError() if is_full(exc):
            logger.error("The storage is full: %s", exc)
            return StorageFull()
        case Http404():
            return NotFound()
        case DjangoPermissionDenied():
            return PermissionDenied()
        case RecursionError() if context:
            # No code of the API recurses. The JSON parser does, as deep as the JSON that it gets.
            logger.warning("The body of a request is nested too deeply", exc_info=exc)
            return MalformedJson()
        case exceptions.APIException():
            return _refused_by_drf(exc, context or {})
    return None


def _refused_by_drf(exc: exceptions.APIException, context: Mapping[str, Any]) -> Refusal:
    match exc:
        case exceptions.ValidationError():
            return _refused_values(exc.detail)
        case exceptions.Throttled():
            return _throttled(getattr(exc, "wait", None))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed() if context:
            # Views check the token before the throttles, so no throttle has counted this request yet.
            throttle = StrangerThrottle()
            if not throttle.allow_request(context["request"], context["view"]):
                return _throttled(throttle.wait())
        case exceptions.ParseError():
            _, json, reason = str(exc.detail).rpartition("JSON parse error - ")
            if json:
                return MalformedJson(f"The body is not JSON ({reason}). Correct it and send it again.")
            return RefusedByDrf(exc, f"The body cannot be read ({reason}). Correct it and send it again.")
        case exceptions.NotFound() if exc.detail == exceptions.NotFound.default_detail:
            return NotFound()
        case exceptions.MethodNotAllowed():
            return RefusedByDrf(exc, _other_methods(context.get("view")))
        case exceptions.UnsupportedMediaType():
            return RefusedByDrf(exc, _other_types(context.get("view")))
    return RefusedByDrf(exc)


def _throttled(wait_s: float | None) -> Throttled:
    seconds = THROTTLED_FOR_S if wait_s is None else math.ceil(wait_s)
    throttled = Throttled(f"That was too many requests. Try again in {seconds} s.")
    throttled.headers = {"Retry-After": str(seconds)}
    return throttled


def _reads(view: object) -> list[str]:
    """Return the types of bodies that a view reads."""
    return [parser.media_type for parser in getattr(view, "parser_classes", ())]


def _other_methods(view: object) -> str:
    allowed = [method for method in getattr(view, "allowed_methods", ()) if method not in ("OPTIONS", "HEAD")]
    asked = getattr(getattr(view, "request", None), "method", "This")
    if not allowed:
        return f"{asked} cannot be used here. The header Allow says what can."
    # `curl -T FILE` uploads a file with PUT.
    if asked == "PUT" and "POST" in allowed and _reads(view) == [FORM]:
        return "PUT cannot be used here. Send the file with POST, as a form: `curl -F file=@talk.mp3`."
    return f"{asked} cannot be used here. Use {_or(allowed)}."


def _other_types(view: object) -> str:
    types = _reads(view) or ["application/json"]
    sent = getattr(getattr(view, "request", None), "content_type", "").partition(";")[0].strip()[:100]
    begin = f"A body of the type {sent} is not read here." if sent else "The header Content-Type is missing."
    example = ", as `curl -F file=@talk.mp3` does" if types == [FORM] else ""
    return f"{begin} Send {_or(types)}{example}."


def _or(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _refused_values(detail: object) -> Invalid:
    if not isinstance(detail, dict):
        detail = {api_settings.NON_FIELD_ERRORS_KEY: detail}
    fields = {name: _sentences(errors) for name, errors in detail.items()}
    general = fields.get(api_settings.NON_FIELD_ERRORS_KEY)
    sentence = " ".join(general) if general else f"Correct these and send it again: {', '.join(fields)}."
    return Invalid(fields, sentence)


def _sentences(errors: object) -> list[str]:
    """Return the sentences in DRF's nested lists and mappings of errors."""
    if isinstance(errors, dict):
        errors = list(errors.values())
    if not isinstance(errors, list):
        return [str(errors)]
    return [sentence for error in errors for sentence in _sentences(error)]
