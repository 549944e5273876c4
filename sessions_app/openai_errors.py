"""Errors under /v1/ in the form that OpenAI's clients read: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from jobs_app import api_errors

NO_KEY = "Send one of your tokens as `Authorization: Bearer KEY`; your account's page of tokens shows it."
WRONG_KEY = "This key is not valid. Copy it again from your token page."

_CODES = {
    "not_authenticated": "invalid_api_key",
    "authentication_failed": "invalid_api_key",
    "throttled": "rate_limit_exceeded",
}
_MESSAGES = {"not_authenticated": NO_KEY, "authentication_failed": WRONG_KEY}
# Their clients know no 422. What is no audio is 400 there; 415 is for a body that is no form.
_STATUSES = {"unsupported_media": 400}


def openai_status(status: int, code: str) -> int:
    """The status that goes with an error of the API, under /v1/."""
    return _STATUSES.get(code, 400 if status == 422 else status)


def openai_error(status: int, code: str, detail: str, param: str | None = None) -> dict[str, Any]:
    """The body for `detail` and `code` of an error of the API."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": _MESSAGES.get(code, detail),
            "type": "requests" if status == 429 else kind,
            "param": param,
            "code": _CODES.get(code, code),
        }
    }


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """As the one of the API, in OpenAI's form."""
    response = api_errors.exception_handler(exc, context)
    if response is None:
        return None
    data = response.data
    # A client shows one parameter; the first one that was refused is as good as any.
    param, detail = data.get("param"), data["detail"]
    for name, sentences in data.get("fields", {}).items():
        param, detail = name, f"{name}: {' '.join(sentences)}"
        break
    response.status_code = openai_status(response.status_code, data["code"])
    response.data = openai_error(response.status_code, data["code"], detail, param)
    return response
