"""The page that records. Its scripts in static/recorder/ send the audio to the API."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from jobs_app.models import LiveHost
from jobs_app.models.options import Door
from people_app.tokens import person
from sessions_app.options.forms import OptionsForm


@login_required
@require_safe
@ensure_csrf_cookie
def record(request: HttpRequest) -> HttpResponse:
    page = {
        "form": OptionsForm(user=person(request), doors=(Door.RECORDER_PAGE,)),
        "cuts_s": " ".join(map(str, settings.RECORDER_CUTS_S)),
        "live_possible": LiveHost.objects.alive().exists(),
        # The page reports this often, so that a paused recording is not ended because one report was lost.
        "alive_s": max(1, settings.ABANDONED_AFTER_S // 3),
    }
    return render(request, "recorder/page.html", page)


@require_safe
@never_cache
@ensure_csrf_cookie
def who(request: HttpRequest) -> JsonResponse:
    """Answer who is logged in now.

    Another tab may have logged in somebody else. The recorder asks, so that no recording gets into the
    account of another person.
    """
    return JsonResponse({"user": str(request.user.pk) if request.user.is_authenticated else None})
