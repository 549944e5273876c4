"""The page of one job: its progress, then its transcript, and what can be done with it."""

from __future__ import annotations

import uuid
from binascii import crc32
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs_app.api_errors import Problem
from jobs_app.lifecycle import AlreadyTranscribing, cancel_job, retry_job, start_job
from jobs_app.models import JOB_ACTIVE, JobStage, JobStatus, Runner, TranscriptionJob, WorkStatus
from jobs_app.options import NO_FALLBACK, resolve_options
from jobs_app.progress import eta_seconds, queue_position
from sessions_app.api import UploadThrottle
from sessions_app.audio import StoredAudio, stored_audio
from sessions_app.engine_notes import NO_WORD_TIMES, fallback_note, pause_of, sent_to, usage_note
from sessions_app.forms import OptionsForm, TitleForm
from sessions_app.intake import delete_session
from sessions_app.models import RecordingSession
from sessions_app.reading import paragraphs
from sessions_app.templatetags.display import time_left

DOWNLOADS = {
    "txt": "Plain text",
    "srt": "Captions, SubRip",
    "vtt": "Captions, WebVTT",
    "json": "With all times",
}
RECORDING = "This recording still goes on. Finish it first, then transcribe it again."
BUSY = "This recording is being transcribed already. Wait until that has ended, or cancel it."
TOO_MANY = "You have started very many transcripts within an hour. Wait a while, then try this again."
PREVIEW_CHARACTERS = 300


def find(request: HttpRequest, pk: uuid.UUID) -> TranscriptionJob:
    """Someone else's job does not exist."""
    jobs = TranscriptionJob.objects.for_user(request.user).select_related("session")
    return get_object_or_404(jobs, pk=pk)


def progress_of(job: TranscriptionJob) -> dict[str, Any]:
    """What people want to know of a job while they wait for it."""
    position = queue_position(job) if job.status == JobStatus.PENDING else None
    left = time_left(eta_seconds(job))
    recording = job.session.finished_at is None
    idle = job.stage == JobStage.WAITING and not recording and not Runner.objects.alive().exists()
    joining = job.status == JobStatus.COMPLETED and audio_of(job.session)[1]
    heard = ""
    if job.stage == JobStage.TRANSCRIBING:
        done = job.chunktranscriptions.filter(status=WorkStatus.DONE).exclude(corrected_text="")
        heard = done.order_by("-start_ms").values_list("corrected_text", flat=True).first() or ""
    pause = pause_of(job)
    shown = (
        job.status,
        job.stage,
        job.progress,
        position,
        left,
        idle,
        recording,
        joining,
        crc32(heard.encode()),
        crc32(repr(pause).encode()),
    )
    return {
        "job": job,
        "position": position,
        "left": left,
        "idle": idle,
        "recording": recording,
        "joining": joining,
        "pause": pause,
        "heard": heard if len(heard) <= PREVIEW_CHARACTERS else f"… {heard[-PREVIEW_CHARACTERS:]}",
        "version": "-".join(map(str, shown)),
        "final": job.status not in JOB_ACTIVE and not joining,
    }


@login_required
@require_safe
def progress(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The progress alone; 204 while it is as the page has `seen` it."""
    shown = progress_of(find(request, pk))
    if request.GET.get("seen") == shown["version"]:
        return HttpResponse(status=204)
    return render(request, "sessions_app/progress.html", shown)


@login_required
@require_safe
def job(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    return show(request, find(request, pk))


def show(
    request: HttpRequest,
    job: TranscriptionJob,
    *,
    title_form: TitleForm | None = None,
    again_form: OptionsForm | None = None,
    status: int = 200,
) -> HttpResponse:
    session = job.session
    chunk = session.chunks.order_by("number").first()
    audio, joining = audio_of(session) if chunk else (None, False)
    runs = session.jobs.defer("raw_text", "transcript", "word_counts", "decode_report").order_by(
        "-created_at", "-pk"
    )
    page = {
        "job": job,
        "session": session,
        "chunk": chunk,
        "audio_url": reverse("session-audio", args=[session.pk]) if audio else "",
        "audio_bytes": audio.size_bytes if audio else 0,
        "runs": list(runs),
        "paragraphs": [] if job.status in JOB_ACTIVE else paragraphs(job),
        "transcript_language": job.translate_to or job.detected_language or job.language,
        "speed": speed(job),
        "sent_to": sent_to(job),
        "fallback_note": fallback_note(job),
        "timing_note": NO_WORD_TIMES.get(job.timing, ""),
        "usage_note": usage_note(job),
        "downloads": [
            (ending, what, reverse(f"transcript-{ending}", args=[job.pk]))
            for ending, what in DOWNLOADS.items()
        ],
        "title_form": title_form or TitleForm(instance=session),
        "again_form": again_form or OptionsForm(initial=as_initial(job)),
    }
    if job.status in JOB_ACTIVE or joining:
        page |= progress_of(job)
    return render(request, "sessions_app/job.html", page, status=status)


def audio_of(session: RecordingSession) -> tuple[StoredAudio | None, bool]:
    """The recording as one file, if there is one; True: there will be."""
    try:
        return stored_audio(session), False
    except Problem as problem:
        return None, problem.status_code == 409


def speed(job: TranscriptionJob) -> float | None:
    """How many times faster than the recording itself."""
    if job.status != JobStatus.COMPLETED or not job.started_at or not job.completed_at or not job.duration_ms:
        return None
    if job.interactive:
        return None  # it took as long as it was recorded
    took_s = (job.completed_at - job.started_at).total_seconds()
    return job.duration_ms / 1000 / took_s if took_s > 0 else None


def as_initial(job: TranscriptionJob) -> dict[str, Any]:
    return {
        "language": job.language,
        "engine_model": f"{job.engine}/{job.model}",
        "translate_to": job.translate_to == "en",
        "prompt": job.prompt,
        "priority": job.priority,
        "fallback_engine_model": f"{job.fallback_engine or NO_FALLBACK}/{job.fallback_model}",
    }


@login_required
@require_POST
def cancel(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    job = find(request, pk)
    if not cancel_job(job.pk):
        messages.info(request, "It had ended before it could be cancelled.")
    return redirect("job", job.pk)


@login_required
@require_POST
def retry(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    job = find(request, pk)
    try:
        if not retry_job(job.pk):
            messages.info(request, "Only a failed transcript can be retried.")
    except AlreadyTranscribing:
        messages.error(request, BUSY)
    return redirect("job", job.pk)


@login_required
@require_POST
def again(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Transcribe the recording once more, with the options of the form."""
    job = find(request, pk)
    if job.session.finished_at is None:
        messages.error(request, RECORDING)
        return redirect("job", job.pk)
    form = OptionsForm(request.POST)
    if not form.is_valid():
        return show(request, job, again_form=form, status=422)
    if not UploadThrottle().allow_request(request, None):
        form.add_error(None, TOO_MANY)
        return show(request, job, again_form=form, status=429)
    try:
        with transaction.atomic():
            new = start_job(job.session, form.options(), filename=job.filename, duration_ms=job.duration_ms)
    except AlreadyTranscribing:
        messages.error(request, BUSY)
        return redirect("job", job.pk)
    return redirect("job", new.pk)


@login_required
@require_POST
def rename(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    job = find(request, pk)
    form = TitleForm(request.POST, instance=job.session)
    if not form.is_valid():
        job.session.refresh_from_db(fields=["title"])
        return show(request, job, title_form=form, status=422)
    job.session.save(update_fields=["title"])
    return redirect("job", job.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask, then delete the recording with its audio and everything made of it."""
    return ask_and_delete(request, find(request, pk).session, reverse("job", args=[pk]))


# --- Recordings whose jobs were all deleted ------------------------------------------------------


def find_untranscribed(request: HttpRequest, pk: uuid.UUID) -> RecordingSession:
    return get_object_or_404(RecordingSession.objects.for_user(request.user).untranscribed(), pk=pk)


@login_required
@require_POST
def transcribe(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Start a job with the options that are the default here."""
    session = find_untranscribed(request, pk)
    if not UploadThrottle().allow_request(request, None):
        messages.error(request, TOO_MANY)
        return redirect("home")
    chunk = session.chunks.first()
    try:
        with transaction.atomic():
            job = start_job(
                session,
                resolve_options(),
                filename=chunk.filename if chunk else "",
                duration_ms=chunk.duration_ms if chunk else None,
            )
    except AlreadyTranscribing:
        messages.error(request, BUSY)
        return redirect("home")
    return redirect("job", job.pk)


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
        "sessions_app/delete.html",
        {"session": session, "back": back, "n_jobs": session.jobs.count()},
    )
