"""The page that records. What it records is sent to the API; see static/recorder/."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from sessions_app.forms import OptionsForm


@login_required
@require_safe
@ensure_csrf_cookie
def record(request: HttpRequest) -> HttpResponse:
    page = {
        "form": OptionsForm(),
        "chunk_s": settings.RECORDER_CHUNK_S,
        # Often enough that one lost answer does not end a recording that pauses.
        "alive_s": max(1, settings.ABANDONED_AFTER_S // 3),
    }
    return render(request, "sessions_app/record.html", page)


@require_safe
@never_cache
@ensure_csrf_cookie
def who(request: HttpRequest) -> JsonResponse:
    """Who is logged in now, which another tab may have changed: a recording goes into no other account."""
    return JsonResponse({"user": str(request.user.pk) if request.user.is_authenticated else None})
