"""Tell people about the second hearing of a recording that was heard live, and let them choose the text."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobs_app.models import JOB_ACTIVE, JobKind, JobStatus, TranscriptionJob
from people_app.tokens import person


class Says(StrEnum):
    """What the page of a transcript says about the second hearing of its recording."""

    NOTHING = "nothing"
    GOES_ON = "goes on"
    READY = "ready"
    """It has ended, and the transcript of the recording is still the one on this page."""
    REPLACED = "replaced"
    """It has taken the place of the one on this page."""
    IS_THIS = "is this"
    """The page shows the second hearing, which is the transcript of the recording."""
    BESIDE = "beside"
    """The page shows the second hearing, and another job is the transcript of the recording."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """What a page shows about a second hearing.

    `job` is the job that hears, or heard, the recording once more. `other` is the one to which the page of
    that job leads, if there is one.
    """

    says: Says = Says.NOTHING
    job: TranscriptionJob | None = None
    other: TranscriptionJob | None = None

    @property
    def final(self) -> bool:
        return self.says != Says.GOES_ON

    @property
    def version(self) -> str:
        """A text that changes with what is shown."""
        shown = (self.job.status, self.job.progress) if self.job and not self.final else ()
        return "-".join(map(str, (self.says, *shown)))


def refinement_beside(job: TranscriptionJob, jobs: Iterable[TranscriptionJob]) -> Refinement:
    """Return what the page of a completed job says. `jobs` are all of its recording, newest first.

    It says nothing if the job is newer than the second hearing, or if that failed, was cancelled, or found
    no words. The query of the job needs `select_related("session")`.
    """
    jobs = list(jobs)
    found = next((one for one in jobs if one.kind == JobKind.REFINE), None)
    if found is None or job.status != JobStatus.COMPLETED or job.created_at > found.created_at:
        return Refinement()
    if found.status in JOB_ACTIVE:
        return Refinement(Says.GOES_ON, found)
    if found.status != JobStatus.COMPLETED or not found.transcript.total_segments:
        return Refinement()
    current = next((one for one in jobs if one.pk == job.session.current_job_id), None)
    if job == found and job == current:
        before = (one for one in jobs[jobs.index(found) :] if one.kind == JobKind.RUN)
        return Refinement(Says.IS_THIS, found, next(before, None))
    if job == found:
        return Refinement(Says.BESIDE, found, current)
    if job == current:
        return Refinement(Says.READY, found)
    return Refinement(Says.REPLACED, found) if found == current else Refinement()


def find_completed(request: HttpRequest, pk: uuid.UUID) -> TranscriptionJob:
    jobs = TranscriptionJob.objects.for_user(person(request)).select_related("session")
    return get_object_or_404(jobs, pk=pk, status=JobStatus.COMPLETED)


@login_required
@require_safe
def second_hearing(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Answer with what the page of a completed job says, without the page around it.

    The page sends the version that it shows as `seen`; while nothing has changed, the answer is 204.
    """
    job = find_completed(request, pk)
    shown = refinement_beside(job, job.session.jobs.order_by("-created_at", "-pk"))
    if request.GET.get("seen") == shown.version:
        return HttpResponse(status=204)
    return render(request, "transcripts/states/refinement.html", {"job": job, "refinement": shown})


@login_required
@require_POST
def use(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Make a completed job the transcript of its recording."""
    job = find_completed(request, pk)
    if job.session.use_job(job):
        messages.success(request, "This is the transcript of the recording now. The other one is kept.")
    return redirect("job", job.pk)
