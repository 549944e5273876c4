"""Errors outside of the API's views: JSON under /api/ and /v1/, a page everywhere else."""

from __future__ import annotations

import sys

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import is_valid_path

from jobs_app.api_errors import NOT_FOUND, TRY_AGAIN_AFTER_S, as_problem, body
from sessions_app.openai_errors import openai_error

API_PATHS = ("/api/", "/v1/")


def is_api(request: HttpRequest) -> bool:
    return request.path.startswith(API_PATHS)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    match exception:
        case TooManyFieldsSent():
            limit = f"It has more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS} fields. Send fewer."
        case TooManyFilesSent():
            limit = f"It has more than {settings.DATA_UPLOAD_MAX_NUMBER_FILES} files. Send fewer at once."
        case RequestDataTooBig():
            most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // settings.MIB
            limit = f"Without its files it is larger than {most} MB. Send less text."
        case _:
            limit = "Check how it was made."
    return _answer(request, 400, "bad_request", f"The server cannot read this request. {limit}")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 403, "permission_denied", "Your account may not do this.")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """For CSRF_FAILURE_VIEW."""
    return _answer(
        request,
        403,
        "csrf_failed",
        "This page is too old, or cookies are off. Load it again and repeat this.",
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_api(request):
        return _answer(request, 404, "not_found", NOT_FOUND)
    if request.path_info.endswith("/"):
        other, how = request.path_info.rstrip("/"), "without a slash"
    else:
        other, how = f"{request.path_info}/", "with the slash"
    where = f"There is nothing here. Send this to {other} {how} at its end."
    return _answer(request, 404, "not_found", where if is_valid_path(other) else NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    # Django calls this while it handles the exception. A database that is away is no bug.
    problem = as_problem(sys.exception())
    if problem is not None and problem.status_code >= 500:
        answer = body(problem)
        return _answer(request, problem.status_code, answer["code"], answer["detail"])
    return _answer(
        request,
        500,
        "server_error",
        "Something went wrong on the server, and was logged. Try again, or tell its administrator.",
    )


def _answer(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    if request.path.startswith("/v1/"):
        response: HttpResponse = JsonResponse(openai_error(status, code, detail), status=status)
    elif is_api(request):
        response = JsonResponse({"detail": detail, "code": code}, status=status)
    else:
        template = {403: "403.html", 404: "404.html"}.get(status, "500.html")
        # Without the request there are no context processors: they ask the database, or what was refused.
        needs_nothing = template == "500.html"
        response = render(None if needs_nothing else request, template, {"detail": detail}, status=status)
    if status == 503:
        response["Retry-After"] = str(TRY_AGAIN_AFTER_S)
    return response
