"""Answer a Refusal outside of the API's views: with JSON under /api/ and /v1/, with a page elsewhere."""

from __future__ import annotations

import re
import sys

from django.conf import settings
from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import host_validation_re
from django.shortcuts import render
from django.urls import is_valid_path

from rest.errors import PermissionDenied, body, refusal_of
from rest.refusals import NotFound, Refusal
from sessions_app.openai import errors as openai_errors
from transcribe_site.watching.askers import is_from_here

API_PATHS = ("/api/", "/v1/")
# OpenAI's clients ask for these paths, below the base address that they were given, right or wrong.
OPENAI_PATH = re.compile(
    r"^(?:/.*)?/(audio/(?:transcriptions|translations|speech)|models(?:/.+)?|chat/completions|"
    r"embeddings|responses)/?$"
)


class BadRequest(Refusal):
    """Django cannot read the request."""

    code = "bad_request"

    def __init__(self, remedy: str) -> None:
        super().__init__(f"The server cannot read this request. {remedy}")


class UnknownHost(Refusal):
    code = "unknown_host"

    def __init__(self, name: str, remedy: str) -> None:
        super().__init__(f"This server does not answer to the name {name!r}. {remedy}")


class CsrfFailed(Refusal):
    status = 403
    code = "csrf_failed"
    sentence = "This page is too old, or cookies are off. Load it again and repeat this."


class ServerError(Refusal):
    status = 500
    code = "server_error"
    sentence = "Something went wrong on the server, and was logged. Try again, or tell its administrator."


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(API_PATHS)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    match exception:
        case DisallowedHost():
            return answer(request, _unknown_host(request))
        case TooManyFieldsSent():
            remedy = f"It has more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS} fields. Send fewer."
        case TooManyFilesSent():
            remedy = f"It has more than {settings.DATA_UPLOAD_MAX_NUMBER_FILES} files. Send fewer at once."
        case RequestDataTooBig():
            most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // settings.MIB
            remedy = f"Without its files it is larger than {most} MB. Send less text."
        case _:
            remedy = "Check how it was made."
    return answer(request, BadRequest(remedy))


def _unknown_host(request: HttpRequest) -> UnknownHost:
    # This is a private method of Django. No other one returns the name of the host without a check.
    name: str = request._get_raw_host()[:100]  # type: ignore[attr-defined]
    remedy = "Use the address that its administrator gave you."
    if not host_validation_re.fullmatch(name.lower()):
        remedy = "Names of hosts are made of letters, digits, hyphens and dots."
    elif is_from_here(request):
        # Strangers need not know how the site is set up. Its log always says it.
        remedy = "Add the name to the setting ALLOWED_HOSTS."
    return UnknownHost(name, remedy)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, PermissionDenied("Your account may not do this."))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a request without a valid CSRF token. CSRF_FAILURE_VIEW names this view."""
    return answer(request, CsrfFailed())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if asked := OPENAI_PATH.search(request.path_info):
        return answer(request, NotFound(_below_v1(request, asked[1])))
    if not is_api(request):
        if "html" not in request.headers.get("Accept", "html"):
            return JsonResponse(body(NotFound()), status=404)
        return answer(request, NotFound())
    if request.path_info.endswith("/"):
        other, how = request.path_info.rstrip("/"), "without a slash"
    else:
        other, how = f"{request.path_info}/", "with the slash"
    where = f"There is nothing here. Send this to {other} {how} at its end."
    return answer(request, NotFound(where if is_valid_path(other) else ""))


def _below_v1(request: HttpRequest, asked: str) -> str:
    """Return a sentence that tells a client of OpenAI's API where to send a request for `asked`."""
    path = f"/v1/{asked}"
    if not is_valid_path(path):
        offered = "/v1/audio/transcriptions, /v1/audio/translations and /v1/models"
        return f"There is no {path} here. Of OpenAI's API there are {offered}."
    if request.path_info == f"{path}/":
        return f"There is nothing here. Send this to {settings.URL_PREFIX}{path} without a slash at its end."
    base = f"{request.scheme}://{request.get_host()}{settings.URL_PREFIX}/v1"
    return (
        f"There is nothing here. Send this to {settings.URL_PREFIX}{path}: the base address of a client "
        f"is {base}, with one /v1 at its end."
    )


def server_error(request: HttpRequest) -> HttpResponse:
    # Django calls this while it handles an exception. The exception is no bug if it is a Refusal, or if
    # `refusal_of` knows the Refusal that it means.
    return answer(request, refusal_of(sys.exception()) or ServerError())


def for_programs(path: str, refusal: Refusal) -> tuple[int, dict[str, object]] | None:
    """Return the status and the JSON for a program that asks at `path`; None if people ask there and get a
    page.
    """
    if path.startswith("/v1/") or OPENAI_PATH.search(path):
        # OpenAI's clients show the whole answer as the error, so a page would be shown as HTML.
        return openai_errors.status_of(refusal), openai_errors.body_of(refusal)
    return (refusal.status, body(refusal)) if path.startswith(API_PATHS) else None


def answer(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    if found := for_programs(request.path_info, refusal):
        status, data = found
        response: HttpResponse = JsonResponse(data, status=status)
    else:
        template = {403: "403.html", 404: "404.html"}.get(refusal.status, "500.html")
        # 500.html gets no request, so that no context processor runs. They use the database, or the name of
        # the host that was refused.
        needs_nothing = template == "500.html"
        page = {"detail": str(refusal)}
        response = render(None if needs_nothing else request, template, page, status=refusal.status)
    for name, value in refusal.headers.items():
        response[name] = value
    return response
