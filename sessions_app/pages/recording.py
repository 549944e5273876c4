"""The pages that delete a recording, or transcribe one whose jobs were all deleted."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from jobs_app.lifecycle.starting import AlreadyTranscribing, start_job
from jobs_app.models import TranscriptionJob
from jobs_app.models.options import JobOptions
from people_app.tokens import person
from rest.throttling import UploadThrottle, allows
from sessions_app.arrival.intake import delete_session
from sessions_app.models import RecordingSession
from sessions_app.options.defaults import options_for

BUSY = "This recording is being transcribed already. Wait until that has ended, or cancel it."
TOO_MANY = "You have started very many transcripts within an hour. Wait a while, then try this again."


def find_untranscribed(request: HttpRequest, pk: uuid.UUID) -> RecordingSession:
    return get_object_or_404(RecordingSession.objects.for_user(person(request)).untranscribed(), pk=pk)


@login_required
@require_POST
def transcribe(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Start a job for the recording, with the options that its owner prefers."""
    session = find_untranscribed(request, pk)
    if not allows(UploadThrottle(), request):
        messages.error(request, TOO_MANY)
        return redirect("home")
    chunk = session.chunks.first()
    try:
        with transaction.atomic():
            job = start_job(
                session,
                options_for(person(request), {}, request.headers.get("Accept-Language", "")),
                filename=chunk.filename if chunk else "",
                duration_ms=chunk.duration_ms if chunk else None,
            )
    except AlreadyTranscribing:
        messages.error(request, BUSY)
        return redirect("home")
    return redirect("job", job.pk)


def start_again(request: HttpRequest, job: TranscriptionJob, options: JobOptions) -> HttpResponse:
    """Transcribe the recording of `job` once more, and go to the new job."""
    try:
        with transaction.atomic():
            new = start_job(job.session, options, filename=job.filename, duration_ms=job.duration_ms)
    except AlreadyTranscribing:
        messages.error(request, BUSY)
        return redirect("job", job.pk)
    return redirect("job", new.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_untranscribed(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    return ask_and_delete(request, find_untranscribed(request, pk), reverse("home"))


def ask_and_delete(request: HttpRequest, session: RecordingSession, back: str) -> HttpResponse:
    if request.method == "POST":
        title = str(session)
        delete_session(session)
        messages.success(request, f"“{title}” is deleted.")
        return redirect("home")
    return render(
        request,
        "recordings/delete.html",
        {"session": session, "back": back, "n_jobs": session.jobs.count()},
    )
