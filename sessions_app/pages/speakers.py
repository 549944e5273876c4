"""The speakers of a transcript on its page: who speaks how long, their names, and how many there are."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from jobs_app.lifecycle.naming import ask_for_speakers, merge_speakers, rename_speaker, speakers_step_of
from jobs_app.models import WORK_OPEN, JobStatus, TranscriptionJob
from jobs_app.models.options import MOST_SPEAKERS
from jobs_app.models.speakers import LONGEST_NAME, SpeakerCount
from people_app.tokens import person
from rest.refusals import Refusal
from sessions_app.transcripts.paragraphs import colour_of
from sessions_app.transcripts.reading import Reading
from sessions_app.transcripts.speakers import NUMBERS, SpeakersInput
from speech.errors import NotSupported


def speakers_card(job: TranscriptionJob, reading: Reading) -> dict[str, object] | None:
    """Return what the page shows of the speakers; None if there is no text of which to tell them."""
    if job.status != JobStatus.COMPLETED or not job.transcript.total_segments:
        return None
    total_ms = sum(one.speaking_ms for one in reading.speakers)
    options, step = job.short_options, speakers_step_of(job)
    return {
        "people": [
            {
                "speaker": one,
                "colour": colour_of(one),
                "share": round(100 * one.speaking_ms / total_ms) if total_ms else 0,
                "merged": [(label, f"Speaker {label[1:]}") for label in one.merged],
            }
            for one in sorted(reading.speakers, key=lambda one: (-one.speaking_ms, one.number))
        ],
        "names": sorted({one.name for one in reading.speakers if one.name}),
        "step": step,
        "busy": step in WORK_OPEN,
        "exactly": options.num_speakers,
        "at_least": options.min_speakers,
        "at_most": options.max_speakers,
        "most": MOST_SPEAKERS,
        "longest_name": LONGEST_NAME,
    }


@login_required
@require_POST
def change_speakers(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Name or merge a speaker, or have them told apart with another number of them."""
    job = get_object_or_404(TranscriptionJob.objects.for_user(person(request)), pk=pk)
    asked = SpeakersInput(data=_asked(request))
    if asked.is_valid():
        try:
            messages.success(request, _change(job.pk, asked.validated_data))
        except (Refusal, NotSupported) as refusal:
            messages.error(request, str(refusal))
    else:
        messages.error(request, " ".join(str(error) for errors in asked.errors.values() for error in errors))
    return redirect(f"{reverse('job', args=[pk])}#speakers")


def _asked(request: HttpRequest) -> dict[str, object]:
    """Return the change as the API takes it. A form has one of three kinds of it."""
    sent = request.POST
    if "name" in sent:
        return {"label": sent.get("label", ""), "name": sent["name"]}
    if "into" in sent:
        return {"label": sent.get("label", ""), "into": sent["into"] or None}
    if sent.get("how") == "exactly":
        return {"num_speakers": sent.get("num_speakers") or None}
    if sent.get("how") == "between":
        return {name: sent.get(name) or None for name in ("min_speakers", "max_speakers")}
    return {"num_speakers": None}


def _change(job_id: uuid.UUID, given: dict[str, object]) -> str:
    """Make the change. Return what to say of it."""
    label = str(given.get("label", ""))
    if "name" in given:
        rename_speaker(job_id, label, str(given["name"]))
        return "The name is saved."
    if "into" in given:
        into = given["into"]
        merge_speakers(job_id, label, None if into is None else str(into))
        return "They are two again." if into is None else "They are one speaker now."
    ask_for_speakers(job_id, _count(given))
    return "The speakers are being told apart."


def _count(given: dict[str, object]) -> SpeakerCount:
    exactly, at_least, at_most = (given.get(name) for name in NUMBERS)
    return SpeakerCount(exactly, at_least, at_most)  # type: ignore[arg-type]  # numbers, by the serializer
