"""Answer errors under /v1/ as OpenAI's clients read them: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from collections.abc import Mapping

from rest_framework.response import Response

from jobs_app.api.errors import refusal_of
from rest.refusals import Invalid, Refusal

NO_KEY = "Send one of your tokens as `Authorization: Bearer KEY`; you make it on your account page."
WRONG_KEY = "This key is wrong, was revoked, or has ended. You make one on your account page."

_CODES = {
    "not_authenticated": "invalid_api_key",
    "authentication_failed": "invalid_api_key",
    "throttled": "rate_limit_exceeded",
}
_MESSAGES = {"not_authenticated": NO_KEY, "authentication_failed": WRONG_KEY}
# OpenAI's clients do not know 422. In OpenAI's API, a file that is no audio gets 400, and a body that is no
# form gets 415.
_STATUSES = {"unsupported_media": 400}


def status_of(refusal: Refusal) -> int:
    """Return the status that a refusal has under /v1/."""
    return _STATUSES.get(refusal.code, 400 if refusal.status == 422 else refusal.status)


def body_of(refusal: Refusal) -> dict[str, object]:
    param, message = refusal.param or None, _MESSAGES.get(refusal.code, str(refusal))
    if isinstance(refusal, Invalid):
        # A client shows only one parameter, so it gets the first one that was refused.
        param, sentences = next(iter(refusal.fields.items()))
        message = f"{param}: {' '.join(sentences)}"
    status = status_of(refusal)
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": message,
            "type": "requests" if status == 429 else kind,
            "param": param,
            "code": _CODES.get(refusal.code, refusal.code),
        }
    }


def exception_handler(exc: Exception, context: Mapping[str, object]) -> Response | None:
    """Answer an exception as the API's handler does, but in OpenAI's form."""
    refusal = refusal_of(exc, context)
    if refusal is None:
        return None
    return Response(body_of(refusal), status=status_of(refusal), headers=refusal.headers)
