"""The page with the list of transcripts, and the page that uploads files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NotRequired, TypedDict, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.db.models import Case, Exists, F, OuterRef, QuerySet, Value, When
from django.db.models.functions import Lower, StrIndex, Substr
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from jobs_app.models import JOB_ACTIVE, JobStatus, TranscriptionJob, TranscriptionJobQuerySet
from people_app.models import User
from people_app.tokens import person
from rest.refusals import Refusal, Throttled
from rest.throttling import UploadThrottle, allows
from sessions_app.arrival.intake import store_upload
from sessions_app.arrival.upload_handler import HashedUpload
from sessions_app.models import RecordingSession, SessionSource
from sessions_app.options.forms import OptionsForm
from speech.errors import SpeechError

PER_PAGE = 20
SNIPPET_CHARACTERS = 240
# A snippet shows this many characters before the words that were searched for.
SNIPPET_LEAD = 60

TOO_MANY = "You have uploaded very much within an hour. Wait a while, then send this file again."

STATUS_FILTERS = {
    "active": ("In progress", JOB_ACTIVE),
    "completed": ("Done", (JobStatus.COMPLETED,)),
    "failed": ("Failed", (JobStatus.FAILED,)),
    "cancelled": ("Cancelled", (JobStatus.CANCELLED,)),
}


def recordings(user: User, words: str, statuses: Sequence[str]) -> QuerySet[RecordingSession]:
    """Return this user's recordings that have a job, newest first.

    If `words` are given, they must be in the title or in the text of the current job. If `statuses` are
    given, the status of the current job must be one of them.
    """
    sessions = RecordingSession.objects.for_user(user).filter(current_job__isnull=False)
    if words:
        found = TranscriptionJob.objects.filter(pk=OuterRef("current_job")).search(words)
        sessions = sessions.filter(Exists(found))
    if statuses:
        sessions = sessions.with_job_in(statuses)
    return sessions.order_by("-started_at", "-pk")


def with_snippet(jobs: TranscriptionJobQuerySet, words: str) -> TranscriptionJobQuerySet:
    """Add `snippet` to each job: the part of its transcript around `words`, or else its beginning. Add
    `n_speakers`, too.

    The database cuts it out, so that the whole text is not fetched.
    """
    found = StrIndex(Lower("text"), Lower(Value(words))) if words else Value(0)
    return jobs.with_text().annotate(
        n_speakers=F("transcript__n_speakers"),
        found_at=found,
        snippet_at=Case(When(found_at__gt=SNIPPET_LEAD, then=F("found_at") - SNIPPET_LEAD), default=Value(1)),
        snippet=Substr("text", F("snippet_at"), SNIPPET_CHARACTERS),  # type: ignore[arg-type]  # takes any F
    )


class Listing(TypedDict):
    """The values that the page of the list shows.

    `version` changes when the rows change. `final` is true if no row changes by itself any more.
    """

    page: Page[RecordingSession]
    jobs: list[TranscriptionJob]
    words: str
    status: str
    statuses: list[tuple[str, str]]
    version: str
    final: bool
    untranscribed: NotRequired[list[RecordingSession]]


def listing(request: HttpRequest) -> Listing:
    words = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    status = request.GET.get("status", "")
    statuses = STATUS_FILTERS[status][1] if status in STATUS_FILTERS else ()
    sessions = recordings(person(request), words, statuses)
    page = Paginator(sessions, PER_PAGE).get_page(request.GET.get("page"))
    ids = [session.current_job_id for session in page if session.current_job_id is not None]
    found = with_snippet(
        TranscriptionJob.objects.filter(pk__in=ids).select_related("session", "sound"), words
    )
    by_id = {job.pk: job for job in found}
    # A job that was deleted since the first query has no row any more.
    rows = [by_id[pk] for pk in ids if pk in by_id]
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
    """Return recordings whose jobs were all deleted, at most PER_PAGE of them.

    There are no further pages: a recording leaves this list when it is transcribed or deleted, and then the
    next one is shown.
    """
    sessions = RecordingSession.objects.for_user(person(request)).untranscribed()
    return list(sessions.filter(title__icontains=words).order_by("-started_at", "-pk")[:PER_PAGE])


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    found = listing(request)
    if found["status"] not in STATUS_FILTERS:
        found["untranscribed"] = untranscribed(request, found["words"])
    return render(request, "library/page.html", found)


@login_required
@require_safe
def home_rows(request: HttpRequest) -> HttpResponse:
    """Answer with the rows of the list, without the page around them.

    The page sends the version that it shows as `seen`; while the rows are still the same, the answer is 204.
    """
    found = listing(request)
    if request.GET.get("seen") == found["version"]:
        return HttpResponse(status=204)
    return render(request, "library/rows.html", found)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """Show the form, and store the files that it sends in browsers without JavaScript: several at once."""
    form = OptionsForm(
        request.POST if request.method == "POST" else None,
        user=person(request),
        accept_language=request.headers.get("Accept-Language", ""),
    )
    page: dict[str, object] = {
        "form": form,
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "max_hours": settings.MAX_AUDIO_S // 3600,
        "uploads_url": reverse("uploads"),
    }
    if request.method != "POST":
        return render(request, "upload/page.html", page)

    # The handler in FILE_UPLOAD_HANDLERS makes files of this class.
    files = cast("list[HashedUpload]", request.FILES.getlist("file"))
    stored: list[TranscriptionJob] = []
    refused: list[tuple[str | None, str]] = []
    page |= {"stored": stored, "refused_files": refused}
    if not files:
        form.add_error(None, "Choose at least one file.")
    if form.is_valid():
        for file in files:
            try:
                stored.append(store_file(request, file, form))
            except (Refusal, SpeechError) as error:
                refused.append((file.name, str(error)))
    if refused or form.errors:
        return render(request, "upload/page.html", page, status=422)
    if len(files) == 1:
        return redirect("job", stored[0].pk)
    messages.success(request, f"{len(files)} files are uploaded. Their transcripts appear here.")
    return redirect("home")


def store_file(request: HttpRequest, file: HashedUpload, form: OptionsForm) -> TranscriptionJob:
    if not allows(UploadThrottle(), request):
        raise Throttled(TOO_MANY)
    return store_upload(person(request), file, form.options(), source=SessionSource.UPLOAD)
