"""REST: who speaks in a transcript. People name speakers, say who is the same, and how many there are."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs_app.lifecycle.known_voices import are_on, confirm_voice, reject_voice
from jobs_app.lifecycle.naming import ask_for_speakers, merge_speakers, rename_speaker
from jobs_app.models import TranscriptionJob, VoiceSuggestion
from jobs_app.models.options import MOST_SPEAKERS
from jobs_app.models.speakers import LONGEST_NAME, SpeakerCount
from people_app.models import User
from people_app.tokens import person
from rest.outputs import ErrorOutput
from sessions_app.transcripts.reading import ReadSpeaker, speakers_of
from speech.text.phrases import compared_form

CHANGES = ("name", "into", "confirm", "reject")
NUMBERS = ("num_speakers", "min_speakers", "max_speakers")


@dataclass(frozen=True, slots=True)
class SuggestedName:
    """A name to ask about: that of the saved voice with the id `voice`. `certainty` is from 0 to 1."""

    name: str
    certainty: float
    voice: uuid.UUID


class SuggestionOutput(serializers.Serializer[SuggestedName]):
    name = serializers.CharField()
    certainty = serializers.FloatField(help_text="How alike the voices are, up to 1.")
    voice = serializers.UUIDField(help_text="The id of the saved voice, for `confirm` and `reject`.")


class SpeakerInTranscriptOutput(serializers.Serializer[None]):
    """Somebody who speaks."""

    label = serializers.CharField(  # type: ignore[assignment]  # DRF takes it off the class
        help_text="As in the segments. It is another one when speakers are told apart anew."
    )
    name = serializers.CharField(help_text="What people call the speaker; empty when nobody has said.")
    speaking_ms = serializers.IntegerField(help_text="How long.")
    turns = serializers.IntegerField(help_text="How often the speaker begins after another one.")
    merged = serializers.ListField(
        child=serializers.CharField(), help_text="The labels of those who were merged into this one."
    )
    suggestion = SuggestionOutput(
        allow_null=True,
        help_text="Whose saved voice this sounds like, for a person to confirm or reject; null: nobody's, or "
        "the speaker has a name.",
    )


def _number(help_text: str) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=1, max_value=MOST_SPEAKERS, required=False, allow_null=True, help_text=help_text
    )


class SpeakersInput(serializers.Serializer[None]):
    """One change: a name, an answer to a suggested one, a merge, or how many speakers there are."""

    label = serializers.CharField(  # type: ignore[assignment]  # DRF takes it off the class
        max_length=40, required=False, help_text="Of the speaker that is meant; not with numbers."
    )
    name = serializers.CharField(
        max_length=LONGEST_NAME, required=False, allow_blank=True, help_text="Empty: takes the name away."
    )
    into = serializers.CharField(
        max_length=40,
        required=False,
        allow_null=True,
        help_text="The label of the one who is the same; null: by itself again.",
    )
    confirm = serializers.UUIDField(
        required=False, help_text="The id of a saved voice: it is this one, so the speaker gets its name."
    )
    reject = serializers.UUIDField(
        required=False, help_text="The id of a saved voice: it is not. It is not suggested here again."
    )
    num_speakers = _number("How many there are; null: find out. Tells them apart anew.")
    min_speakers = _number("How many there are at least. `num_speakers` goes before it.")
    max_speakers = _number("How many there are at most. `num_speakers` goes before it.")

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        numbers = attrs.keys() & set(NUMBERS)
        changes = [name for name in CHANGES if name in attrs]
        if numbers and not changes and "label" not in attrs:
            return attrs
        if "label" not in attrs or len(changes) != 1 or numbers:
            raise serializers.ValidationError(
                "Send a `label` with one of `name`, `into`, `confirm` and `reject`, or how many speakers "
                "there are, and no more."
            )
        return attrs


class SpeakersView(APIView):
    @extend_schema(
        operation_id="jobs_speakers",
        summary="Who speaks in a transcript",
        description="Empty where speakers were not told apart.",
        responses={200: SpeakerInTranscriptOutput(many=True), 404: ErrorOutput},
    )
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        return _speakers(person(request), self._find(request, pk))

    @extend_schema(
        operation_id="jobs_speakers_change",
        summary="Name a speaker, answer a suggested name, merge two, or say how many there are",
        description="A number has the speakers told apart anew by a worker, answered with 202: `status/` "
        "tells how far that is, and names stay with their voices. It also works for a transcript without "
        "speakers.",
        request=SpeakersInput,
        responses={
            200: SpeakerInTranscriptOutput(many=True),
            202: SpeakerInTranscriptOutput(many=True),
            400: ErrorOutput,
            404: ErrorOutput,
            409: ErrorOutput,
            422: ErrorOutput,
        },
    )
    def patch(self, request: Request, pk: uuid.UUID) -> Response:
        job_id = self._find(request, pk)
        asked = SpeakersInput(data=request.data)
        asked.is_valid(raise_exception=True)
        user, given = person(request), asked.validated_data
        change_speakers(user, job_id, given)
        return _speakers(user, job_id, status=200 if "label" in given else 202)

    def _find(self, request: Request, pk: uuid.UUID) -> uuid.UUID:
        jobs = TranscriptionJob.objects.for_user(person(request)).filter(pk=pk)
        if not jobs.exists():
            raise Http404
        return pk


def change_speakers(user: User, job_id: uuid.UUID, given: dict[str, Any]) -> None:
    """Make the change that a valid `SpeakersInput` asks for. The job is one of the user's."""
    if "name" in given:
        rename_speaker(job_id, given["label"], given["name"])
    elif "into" in given:
        merge_speakers(job_id, given["label"], given["into"])
    elif "confirm" in given:
        confirm_voice(user, job_id, given["label"], given["confirm"])
    elif "reject" in given:
        reject_voice(user, job_id, given["label"], given["reject"])
    else:
        ask_for_speakers(job_id, SpeakerCount(*(given.get(name) for name in NUMBERS)))


def suggested_names(
    user: User, job_id: uuid.UUID, speakers: Iterable[ReadSpeaker]
) -> dict[str, SuggestedName]:
    """Return whom to ask about, by the label of the speaker, from one SQL statement.

    A speaker with a name is not asked about, and neither is a name that another speaker has.
    """
    if not are_on(user):
        return {}
    rows = VoiceSuggestion.objects.filter(job=job_id, rejected=False, voice__owner=user)
    found: dict[str, VoiceSuggestion] = {}
    for row in rows.select_related("voice").order_by("certainty"):
        found[row.label] = row
    speakers = list(speakers)
    taken = {compared_form(one.name) for one in speakers if one.name}
    suggested = {}
    for one in speakers:
        own = [found[label] for label in (one.label, *one.merged) if label in found]
        if own and not one.name:
            best = max(own, key=lambda row: row.certainty)
            if compared_form(best.voice.name) not in taken:
                suggested[one.label] = SuggestedName(best.voice.name, best.certainty, best.voice_id)
    return suggested


def _speakers(user: User, job_id: uuid.UUID, *, status: int = 200) -> Response:
    speakers = speakers_of(job_id)
    suggested = suggested_names(user, job_id, speakers)
    rows = [{**asdict(one), "suggestion": suggested.get(one.label)} for one in speakers]
    # The stubs allow `many` only for models.
    shown = SpeakerInTranscriptOutput(rows, many=True)  # type: ignore[arg-type]
    return Response(shown.data, status=status)
