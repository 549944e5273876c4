"""The page of one job: it shows the progress, then the transcript, and has a form for each action."""

from __future__ import annotations

import uuid
from binascii import crc32

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs_app.lifecycle.choices import cancel_job, retry_job
from jobs_app.lifecycle.naming import speakers_step_of
from jobs_app.models import (
    JOB_ACTIVE,
    WORK_OPEN,
    JobKind,
    JobStage,
    JobStatus,
    Runner,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.models.options import JobOptions
from jobs_app.work.correcting import state_of
from jobs_app.work.progress import eta_seconds, is_finishing, queue_position
from people_app.tokens import person
from rest.refusals import NotReady, WrongState
from rest.throttling import UploadThrottle, allows
from sessions_app.arrival.audio import AudioMissing, StoredAudio, stored_audio
from sessions_app.arrival.intake import check_track
from sessions_app.models import AudioChunk, RecordingSession, SessionSource
from sessions_app.options.forms import SHOWN_TRACKS, OptionsForm, initial_of
from sessions_app.pages.cost import usage_note
from sessions_app.pages.engine_notes import fallback_note, pause_of, sent_to, text_sent_to, timing_note
from sessions_app.pages.forms import LanguageForm, TitleForm, language_form
from sessions_app.pages.recording import BUSY, TOO_MANY, ask_and_delete, start_again
from sessions_app.pages.refinement import refinement_beside
from sessions_app.pages.speakers import speakers_card
from sessions_app.templatetags.display import time_left
from sessions_app.transcripts.formats import find_formats
from sessions_app.transcripts.paragraphs import paragraphs
from sessions_app.transcripts.reading import Reading, read
from speech.errors import NoSuchTrack

RECORDING = "This recording still goes on. Finish it first, then transcribe it again."
PREVIEW_CHARACTERS = 300


def find_job(request: HttpRequest, pk: uuid.UUID, *more: str) -> TranscriptionJob:
    """Fetch a job of this person; a job of somebody else answers 404, as if it did not exist.

    `more` names the related rows that are fetched in the same query, for the page that shows the whole job.
    """
    jobs = TranscriptionJob.objects.for_user(person(request)).select_related("session", "sound", *more)
    return get_object_or_404(jobs, pk=pk)


def is_watched(job: TranscriptionJob) -> bool:
    """Return whether the page shows the text while it grows: of recordings, until the text is complete."""
    session = job.session
    recorded = session.source != SessionSource.UPLOAD
    return recorded and job.status in JOB_ACTIVE and session.current_job_id == job.pk


def progress_of(job: TranscriptionJob) -> dict[str, object]:
    """Return what the page shows about a job while people wait for it."""
    position = queue_position(job) if job.status == JobStatus.PENDING else None
    left = time_left(eta_seconds(job))
    recording = job.session.finished_at is None
    idle = job.stage == JobStage.WAITING and not recording and not Runner.objects.alive().exists()
    joining = job.status == JobStatus.COMPLETED and audio_of(job.session)[1]
    correcting = state_of(job) in WORK_OPEN
    telling = speakers_step_of(job) in WORK_OPEN
    heard = ""
    if job.stage == JobStage.TRANSCRIBING:
        done = job.windows.filter(status=WorkStatus.DONE).exclude(corrected_text="")
        heard = done.order_by("-start_ms").values_list("corrected_text", flat=True).first() or ""
    pause = pause_of(job)
    watched = is_watched(job)
    finishing = watched and pause is None and is_finishing(job)
    shown = (
        job.status,
        job.stage,
        job.progress,
        position,
        left,
        idle,
        recording,
        joining,
        correcting,
        telling,
        finishing,
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
        "correcting": correcting,
        "telling": telling,
        "finishing": finishing,
        "pause": pause,
        "watched": watched,
        "heard": heard if len(heard) <= PREVIEW_CHARACTERS else f"… {heard[-PREVIEW_CHARACTERS:]}",
        "version": "-".join(map(str, shown)),
        "final": job.status not in JOB_ACTIVE and not (joining or correcting or telling),
    }


@login_required
@require_safe
def progress(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Answer with the progress, without the page around it.

    The page sends the version that it shows as `seen`; while the progress is still the same, the answer is
    204.
    """
    shown = progress_of(find_job(request, pk))
    if request.GET.get("seen") == shown["version"]:
        return HttpResponse(status=204)
    return render(request, "transcripts/states/progress.html", shown)


@login_required
@require_safe
def job(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    return job_page(request, find_job(request, pk, "long_options", "transcript__texts"))


def job_page(
    request: HttpRequest,
    job: TranscriptionJob,
    *,
    title_form: TitleForm | None = None,
    again_form: OptionsForm | None = None,
    wrong_language: LanguageForm | None = None,
    status: int = 200,
) -> HttpResponse:
    session, options, reading = job.session, job.options, read(job)
    chunk = session.chunks.order_by("number").first()
    audio, joining = audio_of(session) if chunk else (None, False)
    speakers = speakers_card(person(request), job, reading)
    runs = list(session.jobs.order_by("-created_at", "-pk"))
    page = {
        "job": job,
        "active": reading.growing,
        "correction": state_of(job),
        "socket": f"ws/sessions/{session.pk}/live/" if is_watched(job) else "",
        "options": options,
        "session": session,
        "chunk": chunk,
        "audio_url": reverse("session-audio", args=[session.pk]) if audio else "",
        "audio_bytes": audio.size_bytes if audio else 0,
        "audio_as_sent": audio is not None and audio.as_sent,
        "runs": runs,
        "refinement": refinement_beside(job, runs),
        "paragraphs": [] if reading.growing and not is_watched(job) else paragraphs(reading),
        "warnings": warnings_on_page(reading),
        "transcript": job.transcript,
        "speed": speed(job),
        "sent_to": sent_to(job),
        "text_sent_to": text_sent_to(job),
        "translated": reading.translated,
        "fallback_note": fallback_note(job),
        "language_form": wrong_language or language_form(job),
        "timing_note": timing_note(job),
        "usage_note": usage_note(job),
        "speakers": speakers,
        "downloads": [
            (ending, format.label, reverse(f"transcript-{ending}", args=[job.pk]))
            for ending, format in find_formats().items()
            if reading.speakers or not format.of_speakers
        ],
        "title_form": title_form or TitleForm(instance=session),
        "again_form": again_form
        or OptionsForm(user=person(request), initial=initial_again(job, options), tracks=tracks_of(chunk)),
    }
    busy = page["correction"] in WORK_OPEN or (speakers is not None and speakers["busy"])
    if page["active"] or joining or busy:
        page |= progress_of(job)
    return render(request, "transcripts/page.html", page, status=status)


def initial_again(job: TranscriptionJob, options: JobOptions) -> dict[str, object]:
    """Return what the form shows at first in which people transcribe the recording of `job` again."""
    shown = initial_of(options)
    if job.kind == JobKind.REFINE:
        # Nobody has chosen these for a second hearing.
        del shown["priority"], shown["fallback_engine_model"]
    return shown


def warnings_on_page(reading: Reading) -> list[str]:
    """Return sentences that say what the transcript may lack. Gaps are left out: the text shows them."""
    return list(dict.fromkeys(one.detail for one in reading.warnings if one.code != "gap"))


def tracks_of(chunk: AudioChunk | None) -> int:
    """Return how many audio tracks people can choose from, according to the recording's first chunk."""
    return (chunk and chunk.audio_tracks) or SHOWN_TRACKS


def audio_of(session: RecordingSession) -> tuple[StoredAudio | None, bool]:
    """Return the recording as one file, or None, and whether such a file is still being made."""
    try:
        return stored_audio(session), False
    except NotReady:
        return None, True
    except AudioMissing:
        return None, False


def speed(job: TranscriptionJob) -> float | None:
    """Return how many times faster the job was than the recording is long."""
    if job.status != JobStatus.COMPLETED or not job.started_at or not job.ended_at or not job.duration_ms:
        return None
    if job.interactive:
        return None  # such a job takes as long as the recording itself
    took_s = (job.ended_at - job.started_at).total_seconds()
    return job.duration_ms / 1000 / took_s if took_s > 0 else None


@login_required
@require_POST
def cancel(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    job = find_job(request, pk)
    if not cancel_job(job.pk):
        messages.info(request, "It had ended before it could be cancelled.")
    return redirect("job", job.pk)


@login_required
@require_POST
def retry(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    job = find_job(request, pk)
    try:
        if not retry_job(job.pk):
            messages.info(request, "Only a failed transcript can be retried.")
    except WrongState:
        messages.error(request, BUSY)
    return redirect("job", job.pk)


@login_required
@require_POST
def again(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Transcribe the recording once more, with the options of the form."""
    job = find_job(request, pk)
    if job.session.finished_at is None:
        messages.error(request, RECORDING)
        return redirect("job", job.pk)
    form = OptionsForm(
        request.POST,
        user=person(request),
        tracks=tracks_of(job.session.chunks.first()),
        accept_language=request.headers.get("Accept-Language", ""),
    )
    if not form.is_valid():
        return job_page(request, job, again_form=form, status=422)
    try:
        check_track(job.session, form.options())
    except NoSuchTrack as error:
        form.add_error("audio_track", str(error))
        return job_page(request, job, again_form=form, status=422)
    if not allows(UploadThrottle(), request):
        form.add_error(None, TOO_MANY)
        return job_page(request, job, again_form=form, status=429)
    return start_again(request, job, form.options())


@login_required
@require_POST
def rename(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    job = find_job(request, pk)
    form = TitleForm(request.POST, instance=job.session)
    if not form.is_valid():
        job.session.refresh_from_db(fields=["title"])
        return job_page(request, job, title_form=form, status=422)
    job.session.save(update_fields=["title"])
    return redirect("job", job.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask whether to delete the recording, then delete it with its audio and everything made of it."""
    return ask_and_delete(request, find_job(request, pk).session, reverse("job", args=[pk]))
