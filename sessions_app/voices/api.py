"""REST: the voices that a person has saved under names."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from jobs_app.lifecycle.known_voices import delete_voice, rename_voice, save_voice
from jobs_app.models import KnownVoice, KnownVoiceSample, TranscriptionJob
from jobs_app.models.speakers import LONGEST_NAME
from people_app.tokens import person
from rest.outputs import ErrorOutput


class SampleOutput(serializers.ModelSerializer[KnownVoiceSample]):
    """What a voice sounds like in one recording. The vector itself is never answered."""

    job = serializers.UUIDField(
        source="job_id", allow_null=True, help_text="Where it is from; null: that was deleted."
    )
    title = serializers.CharField(
        source="job.session.title", default="", help_text="Of that recording; empty: it was deleted."
    )

    class Meta:
        model = KnownVoiceSample
        fields = ("job", "title", "clean_ms", "saved_at")
        read_only_fields = fields


class VoiceOutput(serializers.ModelSerializer[KnownVoice]):
    """A saved voice."""

    samples = SampleOutput(many=True, help_text="From each recording that it was saved from, newest first.")

    class Meta:
        model = KnownVoice
        fields = ("id", "name", "created_at", "samples")
        read_only_fields = fields
        extra_kwargs = {"created_at": {"help_text": "When it was first saved."}}


class NewVoiceInput(serializers.Serializer[None]):
    job = serializers.UUIDField(help_text="The job in whose transcript the speaker is.")
    label = serializers.CharField(  # type: ignore[assignment]  # DRF takes it off the class
        max_length=40, help_text="Of the speaker."
    )
    name = serializers.CharField(
        max_length=LONGEST_NAME,
        required=False,
        allow_blank=True,
        default="",
        help_text="Whose voice it is; empty: the name of the speaker.",
    )


class VoiceInput(serializers.Serializer[None]):
    name = serializers.CharField(max_length=LONGEST_NAME)


@extend_schema_view(
    list=extend_schema(summary="Your saved voices", responses={200: VoiceOutput(many=True)}),
    retrieve=extend_schema(summary="One saved voice", responses={200: VoiceOutput, 404: ErrorOutput}),
    destroy=extend_schema(
        summary="Delete a saved voice",
        description="All that is kept of it. Transcripts keep the name.",
        responses={204: None, 404: ErrorOutput},
    ),
)
class VoiceViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[KnownVoice],
):
    queryset = KnownVoice.objects.none()
    serializer_class = VoiceOutput
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[KnownVoice]:
        return KnownVoice.objects.for_user(person(self.request)).prefetch_related("samples__job__session")

    @extend_schema(
        summary="Save the voice of a speaker",
        description="Under a name that you have, the voice is known from one more recording, answered with "
        "200; the newest few are kept. Saving the same speaker of a job again changes nothing.",
        request=NewVoiceInput,
        responses={200: VoiceOutput, 201: VoiceOutput} | dict.fromkeys((400, 404, 409, 422), ErrorOutput),
    )
    def create(self, request: Request) -> Response:
        asked = NewVoiceInput(data=request.data)
        asked.is_valid(raise_exception=True)
        user, given = person(request), asked.validated_data
        job = get_object_or_404(TranscriptionJob.objects.for_user(user), pk=given["job"])
        voice, is_new = save_voice(user, job.pk, given["label"], given["name"])
        return Response(VoiceOutput(voice).data, status=201 if is_new else 200)

    @extend_schema(
        summary="Rename a saved voice",
        description="Transcripts keep the name that they have.",
        request=VoiceInput,
        responses={200: VoiceOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def partial_update(self, request: Request, pk: uuid.UUID) -> Response:
        self.get_object()
        asked = VoiceInput(data=request.data)
        asked.is_valid(raise_exception=True)
        rename_voice(person(request), pk, asked.validated_data["name"])
        return Response(VoiceOutput(self.get_object()).data)

    def perform_destroy(self, instance: KnownVoice) -> None:
        delete_voice(person(self.request), instance.pk)
