"""REST: who speaks in a transcript. People name speakers, say who is the same, and how many there are."""

from __future__ import annotations

import uuid

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs_app.lifecycle.naming import ask_for_speakers, merge_speakers, rename_speaker
from jobs_app.models import TranscriptionJob
from jobs_app.models.options import MOST_SPEAKERS
from jobs_app.models.speakers import LONGEST_NAME, SpeakerCount
from people_app.tokens import person
from rest.outputs import ErrorOutput
from sessions_app.transcripts.reading import speakers_of

NUMBERS = ("num_speakers", "min_speakers", "max_speakers")


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


def _number(help_text: str) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=1, max_value=MOST_SPEAKERS, required=False, allow_null=True, help_text=help_text
    )


class SpeakersInput(serializers.Serializer[None]):
    """One change: a name, a merge, or how many speakers there are."""

    label = serializers.CharField(  # type: ignore[assignment]  # DRF takes it off the class
        max_length=40, required=False, help_text="Of the speaker that is named or merged."
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
    num_speakers = _number("How many there are; null: find out. Tells them apart anew.")
    min_speakers = _number("How many there are at least. `num_speakers` goes before it.")
    max_speakers = _number("How many there are at most. `num_speakers` goes before it.")

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        numbers = attrs.keys() & set(NUMBERS)
        changes = [name for name in ("name", "into") if name in attrs]
        if numbers and not changes and "label" not in attrs:
            return attrs
        if "label" not in attrs or len(changes) != 1 or numbers:
            raise serializers.ValidationError(
                "Send a `label` with either `name` or `into`, or how many speakers there are, and no more."
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
        return _speakers(self._find(request, pk))

    @extend_schema(
        operation_id="jobs_speakers_change",
        summary="Name a speaker, merge two, or say how many there are",
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
        given = asked.validated_data
        if "name" in given:
            rename_speaker(job_id, given["label"], given["name"])
        elif "into" in given:
            merge_speakers(job_id, given["label"], given["into"])
        else:
            ask_for_speakers(job_id, SpeakerCount(*(given.get(name) for name in NUMBERS)))
            return _speakers(job_id, status=202)
        return _speakers(job_id)

    def _find(self, request: Request, pk: uuid.UUID) -> uuid.UUID:
        jobs = TranscriptionJob.objects.for_user(person(request)).filter(pk=pk)
        if not jobs.exists():
            raise Http404
        return pk


def _speakers(job_id: uuid.UUID, *, status: int = 200) -> Response:
    # The stubs allow `many` only for models.
    shown = SpeakerInTranscriptOutput(speakers_of(job_id), many=True)  # type: ignore[arg-type]
    return Response(shown.data, status=status)
