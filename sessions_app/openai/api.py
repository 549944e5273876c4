"""The views under /v1/. They take and answer what OpenAI's clients send and read, so that those can use this
server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.conf import settings
from django.http import HttpResponseBase, QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs_app.engines.offered import capabilities_of
from jobs_app.engines.resolving import resolve_options
from jobs_app.models import TranscriptionJob
from people_app.tokens import KeyAuthentication, person
from rest.refusals import Unsupported
from sessions_app.arrival.intake import store_upload
from sessions_app.models import SessionSource
from sessions_app.openai.answers import Wanted
from sessions_app.openai.errors import exception_handler
from sessions_app.openai.events import EventsResponse
from sessions_app.openai.form import GRANULARITIES, normalised
from sessions_app.openai.names import find_model, models_by_name
from sessions_app.openai.serializers import (
    AudioInput,
    DiarizedOutput,
    NamedModelListOutput,
    NamedModelOutput,
    OpenAIErrorOutput,
    TextOutput,
    TranscriptionInput,
    TranslationInput,
    VerboseOutput,
)
from sessions_app.openai.wait import job_response
from sessions_app.options.known import known_languages
from sessions_app.recordings.api import UploadView


class NoWordTimes(Unsupported):
    sentence = "This model gives no times of words. Ask for segments, or choose another model."
    param = GRANULARITIES


class OpenAIView(APIView):
    send_may = ("get", "post")
    # Sessions are not accepted, because a browser's cookie would need a CSRF token beside it.
    authentication_classes = [KeyAuthentication]

    def get_exception_handler(self) -> Callable[[Exception, dict[str, object]], Response | None]:
        return exception_handler

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        # The form says which format, so `Accept: text/plain` or `text/event-stream` must not be refused.
        return super().perform_content_negotiation(request, force=True)


class AudioView(OpenAIView):
    parser_classes = [MultiPartParser]
    throttle_classes = UploadView.throttle_classes

    def store(self, request: Request, wanted: AudioInput) -> TranscriptionJob:
        """Store the file and start its job."""
        given = wanted.validated_data
        engine, model = find_model(given["model"])
        user, options = person(request), wanted.options()
        # No other preference counts here. Which languages somebody speaks is a fact of them.
        options["languages"] = options["languages"] or user.job_defaults.get("languages", "")
        return store_upload(
            user,
            given["file"],
            resolve_options(
                engine=engine,
                model=model,
                **known_languages(user, request.headers.get("Accept-Language", "")),
                **options,
            ),
            source=SessionSource.API,
            interactive_max_s=settings.V1_INTERACTIVE_MAX_S,
        )


ANSWERS = {
    (200, "application/json"): PolymorphicProxySerializer(
        "AudioOutput", serializers=[TextOutput, VerboseOutput, DiarizedOutput], resource_type_field_name=None
    ),
    (200, "text/plain"): OpenApiTypes.STR,
}
ERRORS = dict.fromkeys((400, 401, 403, 404, 413, 415, 429, 500, 503, 504, 507), OpenAIErrorOutput)


class TranscriptionsView(AudioView):
    @extend_schema(
        operation_id="v1_audio_transcriptions",
        summary="Transcribe a file, and wait for it",
        description="As OpenAI's API. The header `X-Job-Id` of the answer names the job, and "
        "`X-Warnings` has the codes of what the transcript may lack, if anything.",
        request={"multipart/form-data": TranscriptionInput},
        responses={
            **ANSWERS,
            (200, "text/event-stream"): OpenApiTypes.STR,
            **ERRORS,
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        wanted = TranscriptionInput(data=normalised(cast("QueryDict", request.data)))
        wanted.is_valid(raise_exception=True)
        given = wanted.validated_data
        granularities = tuple(given.get("granularities") or ("segment",))
        if "word" in granularities and not capabilities_of(*find_model(given["model"])).word_times:
            raise NoWordTimes
        job = self.store(request, wanted)
        if given["stream"]:
            diarized = given["response_format"] == "diarized_json"
            return EventsResponse(request._request, job.pk, diarized=diarized)
        return job_response(
            request._request,
            job.pk,
            Wanted(response_format=given["response_format"], granularities=granularities),
        )


class TranslationsView(AudioView):
    @extend_schema(
        operation_id="v1_audio_translations",
        summary="Translate a file into English, and wait for it",
        request={"multipart/form-data": TranslationInput},
        responses={**ANSWERS, **ERRORS},
    )
    def post(self, request: Request) -> HttpResponseBase:
        wanted = TranslationInput(data=normalised(cast("QueryDict", request.data)))
        wanted.is_valid(raise_exception=True)
        job = self.store(request, wanted)
        response_format = wanted.validated_data["response_format"]
        return job_response(request._request, job.pk, Wanted(response_format=response_format))


class ModelsView(OpenAIView):
    @extend_schema(
        operation_id="v1_models_list",
        summary="The models, by the names that /v1/ knows them by",
        responses={200: NamedModelListOutput, 401: OpenAIErrorOutput},
    )
    def get(self, request: Request) -> Response:
        return Response({"object": "list", "data": [_model(name) for name in models_by_name()]})


class ModelView(OpenAIView):
    @extend_schema(
        operation_id="v1_models_retrieve",
        summary="One model",
        responses={200: NamedModelOutput, 401: OpenAIErrorOutput, 404: OpenAIErrorOutput},
    )
    def get(self, request: Request, name: str) -> Response:
        find_model(name)
        return Response(_model(name))


def _model(name: str) -> dict[str, object]:
    engine, _ = models_by_name()[name]
    return {"id": name, "object": "model", "created": 0, "owned_by": engine}
