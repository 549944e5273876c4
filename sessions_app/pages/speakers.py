"""The speakers of a transcript on its page: who speaks how long, their names, and how many there are."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from jobs_app.lifecycle.known_voices import are_on, save_voice
from jobs_app.lifecycle.naming import speakers_step_of
from jobs_app.models import WORK_OPEN, JobStatus, SpeakerVoice, TranscriptionJob
from jobs_app.models.known_voices import LEAST_SAVED_MS
from jobs_app.models.options import MOST_SPEAKERS
from jobs_app.models.speakers import LONGEST_NAME
from people_app.models import User
from people_app.tokens import person
from rest.refusals import Refusal
from sessions_app.transcripts.paragraphs import colour_of
from sessions_app.transcripts.reading import Reading
from sessions_app.transcripts.speakers import SpeakersInput, change_speakers, suggested_names
from speech.errors import NotSupported


def speakers_card(user: User, job: TranscriptionJob, reading: Reading) -> dict[str, object] | None:
    """Return what the page shows of the speakers; None if there is no text of which to tell them."""
    if job.status != JobStatus.COMPLETED or not job.transcript.total_segments:
        return None
    total_ms = sum(one.speaking_ms for one in reading.speakers)
    options, step = job.short_options, speakers_step_of(job)
    suggested = suggested_names(user, job.pk, reading.speakers)
    savable = _savable(user, job)
    return {
        "people": [
            {
                "speaker": one,
                "colour": colour_of(one),
                "share": round(100 * one.speaking_ms / total_ms) if total_ms else 0,
                "suggestion": suggested.get(one.label),
                "savable": not savable.isdisjoint((one.label, *one.merged)),
                "merged": [(label, f"Speaker {label[1:]}") for label in one.merged],
            }
            for one in sorted(reading.speakers, key=lambda one: (-one.speaking_ms, one.number))
        ],
        "names": sorted({one.name for one in reading.speakers if one.name}),
        "voices": are_on(user),
        "voices_offered": settings.KNOWN_VOICES,
        "least_saved_s": LEAST_SAVED_MS // 1000,
        "step": step,
        "busy": step in WORK_OPEN,
        "exactly": options.num_speakers,
        "at_least": options.min_speakers,
        "at_most": options.max_speakers,
        "most": MOST_SPEAKERS,
        "longest_name": LONGEST_NAME,
    }


def _savable(user: User, job: TranscriptionJob) -> set[str]:
    """Return the labels of the speakers whose voices can be saved. It costs a query where voices are on."""
    if not are_on(user):
        return set()
    voices = SpeakerVoice.objects.filter(speaker__job=job, clean_ms__gte=LEAST_SAVED_MS)
    return set(voices.values_list("speaker__label", flat=True))


@login_required
@require_POST
def change_on_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Name or merge a speaker, answer a suggested name, save a voice, or ask for another number of them."""
    user = person(request)
    job = get_object_or_404(TranscriptionJob.objects.for_user(user), pk=pk)
    asked = SpeakersInput(data=_asked(request))
    if asked.is_valid():
        try:
            change_speakers(user, job.pk, asked.validated_data)
            if "save_voice" in request.POST:
                voice, _ = save_voice(user, job.pk, asked.validated_data["label"], "")
                messages.success(request, f"The voice of {voice.name} is saved. Your account lists it.")
            else:
                messages.success(request, _said_of(asked.validated_data))
        except (Refusal, NotSupported) as refusal:
            messages.error(request, str(refusal))
    else:
        messages.error(request, " ".join(str(error) for errors in asked.errors.values() for error in errors))
    return redirect(f"{reverse('job', args=[pk])}#speakers")


def _asked(request: HttpRequest) -> dict[str, object]:
    """Return the change as the API takes it. A form has one kind of it."""
    sent = request.POST
    for kind in ("name", "confirm", "reject"):
        if kind in sent:
            return {"label": sent.get("label", ""), kind: sent[kind]}
    if "into" in sent:
        return {"label": sent.get("label", ""), "into": sent["into"] or None}
    if sent.get("how") == "exactly":
        return {"num_speakers": sent.get("num_speakers") or None}
    if sent.get("how") == "between":
        return {name: sent.get(name) or None for name in ("min_speakers", "max_speakers")}
    return {"num_speakers": None}


def _said_of(change: dict[str, object]) -> str:
    """Return what to say when a change is made."""
    if "name" in change or "confirm" in change:
        return "The name is saved."
    if "into" in change:
        return "They are two again." if change["into"] is None else "They are one speaker now."
    return "That name is not suggested again." if "reject" in change else "The speakers are being told apart."
