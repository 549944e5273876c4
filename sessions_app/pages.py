"""The list of transcripts, and uploading."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Case, F, OuterRef, Subquery, Value, When
from django.db.models.functions import Lower, StrIndex, Substr
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from jobs_app.models import JOB_ACTIVE, JobStatus, TranscriptionJob, TranscriptionJobQuerySet
from sessions_app.api import UploadThrottle
from sessions_app.forms import OptionsForm
from sessions_app.intake import store_upload
from sessions_app.models import RecordingSession, SessionSource
from sessions_app.upload_handler import HashedUpload, UploadRefused
from speech.errors import SpeechError

PER_PAGE = 20
SNIPPET_CHARACTERS = 240
# How much of the text stands before what was searched for.
SNIPPET_LEAD = 60

STATUS_FILTERS = {
    "active": ("In progress", JOB_ACTIVE),
    "completed": ("Done", (JobStatus.COMPLETED,)),
    "failed": ("Failed", (JobStatus.FAILED,)),
    "cancelled": ("Cancelled", (JobStatus.CANCELLED,)),
}


def newest_jobs(user: Any) -> TranscriptionJobQuerySet:
    """One job for each of this user's recordings, the last one, newest first."""
    newest = TranscriptionJob.objects.filter(session=OuterRef("session")).order_by("-created_at", "-pk")
    return TranscriptionJob.objects.for_user(user).filter(pk=Subquery(newest.values("pk")[:1]))


def with_snippet(jobs: TranscriptionJobQuerySet, words: str) -> TranscriptionJobQuerySet:
    """Adds `snippet`, the part of the transcript with `words` in it, or its beginning; not the whole text."""
    found = StrIndex(Lower("transcript"), Lower(Value(words))) if words else Value(0)
    return jobs.annotate(
        found_at=found,
        snippet_at=Case(When(found_at__gt=SNIPPET_LEAD, then=F("found_at") - SNIPPET_LEAD), default=Value(1)),
        snippet=Substr("transcript", F("snippet_at"), SNIPPET_CHARACTERS),
    ).defer("raw_text", "transcript", "word_counts", "decode_report")


def listing(request: HttpRequest) -> dict[str, Any]:
    words = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    status = request.GET.get("status", "")
    jobs = newest_jobs(request.user).select_related("session")
    if words:
        jobs = jobs.search(words)
    if status in STATUS_FILTERS:
        jobs = jobs.filter(status__in=STATUS_FILTERS[status][1])
    page = Paginator(with_snippet(jobs, words), PER_PAGE).get_page(request.GET.get("page"))
    rows = list(page)
    shown = "".join(
        f"{job.pk}{job.status}{job.progress}{job.duration_ms}{job.session.finished_at}{job.session.title}"
        for job in rows
    )
    return {
        "page": page,
        "jobs": rows,
        "words": words,
        "status": status,
        "statuses": [(value, word) for value, (word, _) in STATUS_FILTERS.items()],
        "version": hashlib.sha256(shown.encode()).hexdigest()[:16],
        "final": all(job.status not in JOB_ACTIVE for job in rows),
    }


def untranscribed(request: HttpRequest, words: str) -> list[RecordingSession]:
    """Recordings whose jobs were all deleted; a few of many, because each leaves by what is done with it."""
    sessions = RecordingSession.objects.for_user(request.user).untranscribed()
    return list(sessions.filter(title__icontains=words).order_by("-started_at", "-pk")[:PER_PAGE])


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    found = listing(request)
    if found["status"] not in STATUS_FILTERS:
        found["untranscribed"] = untranscribed(request, found["words"])
    return render(request, "sessions_app/home.html", found)


@login_required
@require_safe
def home_rows(request: HttpRequest) -> HttpResponse:
    """The rows of a list alone; 204 while they are as the page has `seen` them."""
    found = listing(request)
    if request.GET.get("seen") == found["version"]:
        return HttpResponse(status=204)
    return render(request, "sessions_app/rows.html", found)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """The form, and what it sends where there is no JavaScript: several files at once."""
    form = OptionsForm(request.POST if request.method == "POST" else None)
    page: dict[str, Any] = {
        "form": form,
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "max_hours": settings.MAX_AUDIO_S // 3600,
        "uploads_url": reverse("uploads"),
    }
    if request.method != "POST":
        return render(request, "sessions_app/upload.html", page)

    files = request.FILES.getlist("file")
    page["stored"], page["refused_files"] = [], []
    if not files:
        form.add_error(None, "Choose at least one file.")
    if form.is_valid():
        for file in files:
            try:
                page["stored"].append(store(request, file, form))
            except (UploadRefused, SpeechError) as error:
                page["refused_files"].append((file.name, str(error)))
    if page["refused_files"] or form.errors:
        return render(request, "sessions_app/upload.html", page, status=422)
    if len(files) == 1:
        return redirect("job", page["stored"][0].pk)
    messages.success(request, f"{len(files)} files are uploaded. Their transcripts appear here.")
    return redirect("home")


class TooManyUploads(UploadRefused):
    message = "You have uploaded very much within an hour. Wait a while, then send this file again."


def store(request: HttpRequest, file: HashedUpload, form: OptionsForm) -> TranscriptionJob:
    if not UploadThrottle().allow_request(request, None):
        raise TooManyUploads
    return store_upload(request.user, file, form.options(), source=SessionSource.UPLOAD)
