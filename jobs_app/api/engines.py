"""The REST API of engines: what people can choose for a job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs_app.engines.offered import capabilities_of, engine_models, provider_of, translations_of
from speech.engines.base import Capabilities


class _Sorted(serializers.ListField):
    child = serializers.CharField()

    def to_representation(self, data: Iterable[str]) -> list[str]:
        return sorted(data)


class CapabilitiesOutput(serializers.Serializer[None]):
    languages = _Sorted(help_text="Those it knows; empty: it takes any.")
    detects_language = serializers.BooleanField()
    translates_to = _Sorted(help_text="By the model, or by the translator of this site.")
    word_times = serializers.BooleanField()
    prompt = serializers.BooleanField(help_text="Whether it takes hint words.")
    diarizes = serializers.SerializerMethodField(
        help_text="Whether speakers can be told apart. That is done here, so it is true for all."
    )

    def get_diarizes(self, able: Capabilities) -> bool:
        return True


class ModelOutput(serializers.Serializer[None]):
    model = serializers.CharField()
    can = CapabilitiesOutput()


class EngineOutput(serializers.Serializer[None]):
    engine = serializers.CharField()
    is_default = serializers.BooleanField()
    is_default_fallback = serializers.BooleanField(help_text="Stands in where a job names no fallback.")
    sends_audio_to = serializers.CharField(
        help_text="The server that gets the audio; empty: it stays on this site's machines."
    )
    sends_text_to = serializers.CharField(
        help_text="The server that gets the text of jobs that are translated; empty: none does."
    )
    models = ModelOutput(many=True, help_text="The first one is taken when none is named.")


def _can(engine: str, model: str) -> Capabilities:
    return replace(capabilities_of(engine, model), translates_to=translations_of(engine, model))


class EnginesView(APIView):
    send_may = ("get",)

    @extend_schema(
        operation_id="engines_list",
        summary="What can be chosen for a job",
        responses={200: EngineOutput(many=True)},
    )
    def get(self, request: Request) -> Response:
        rows: list[dict[str, object]] = [
            {
                "engine": engine,
                "is_default": engine == settings.DEFAULT_ENGINE,
                "is_default_fallback": engine == settings.FALLBACK_ENGINE,
                "sends_audio_to": provider.host if (provider := provider_of(engine)) else "",
                "sends_text_to": settings.TRANSLATOR.host if settings.TRANSLATOR else "",
                "models": [{"model": model, "can": _can(engine, model)} for model in models],
            }
            for engine, models in engine_models().items()
        ]
        # The stubs allow `many` only for models.
        return Response(EngineOutput(rows, many=True).data)  # type: ignore[arg-type]
