"""/v1/: what OpenAI's clients send and read, so that each of them is a client of this server."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponseBase, QueryDict
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.authentication import TokenAuthentication, get_authorization_header
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs_app.api_errors import Problem
from jobs_app.models import TranscriptionJob
from jobs_app.options import capabilities_of, resolve_options
from sessions_app.api import UploadView
from sessions_app.intake import store_upload
from sessions_app.models import SessionSource
from sessions_app.openai_answers import Wanted
from sessions_app.openai_errors import exception_handler
from sessions_app.openai_names import find_model, models_by_name
from sessions_app.openai_serializers import (
    NamedModelListOutput,
    NamedModelOutput,
    OpenAIErrorOutput,
    TextOutput,
    TranscriptionInput,
    TranslationInput,
    VerboseOutput,
)
from sessions_app.openai_wait import EventsResponse, job_response
from sessions_app.upload_handler import UploadRefused

GRANULARITIES = "timestamp_granularities"


class KeyAuthentication(TokenAuthentication):
    """The tokens of the API, as `Bearer KEY` or as `Token KEY`."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> Any:
        if get_authorization_header(request).lower().startswith(b"token "):
            self.keyword = "Token"
        return super().authenticate(request)


class KeyScheme(OpenApiAuthenticationExtension):
    """For the OpenAPI document, which finds it by itself."""

    target_class = KeyAuthentication
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class OpenAIView(APIView):
    # No session: a browser's cookie would need a CSRF token beside it.
    authentication_classes = [KeyAuthentication]

    def get_exception_handler(self) -> Any:
        return exception_handler

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # The form says which format; `Accept: text/plain` or `text/event-stream` must not be refused.
        return super().perform_content_negotiation(request, force=True)


class AudioView(OpenAIView):
    parser_classes = [MultiPartParser]
    throttle_classes = UploadView.throttle_classes

    def store(self, request: Request, given: dict[str, Any], **options: Any) -> TranscriptionJob:
        """Store the file and start its job."""
        engine, model = find_model(given["model"])
        try:
            return store_upload(
                request.user,
                given["file"],
                resolve_options(
                    engine=engine,
                    model=model,
                    prompt=given["prompt"],
                    temperature=given["temperature"],
                    **options,
                ),
                source=SessionSource.API,
                interactive_max_s=settings.V1_INTERACTIVE_MAX_S,
            )
        except UploadRefused as refused:
            raise Problem(refused.status, refused.code, str(refused)) from refused


ANSWERS = {
    (200, "application/json"): PolymorphicProxySerializer(
        "AudioOutput", serializers=[TextOutput, VerboseOutput], resource_type_field_name=None
    ),
    (200, "text/plain"): OpenApiTypes.STR,
}
ERRORS = dict.fromkeys((400, 401, 404, 413, 415, 429, 500, 503, 504, 507), OpenAIErrorOutput)


class TranscriptionsView(AudioView):
    @extend_schema(
        operation_id="v1_audio_transcriptions",
        summary="Transcribe a file, and wait for it",
        description="As OpenAI's API. The header `X-Job-Id` of the answer names the job.",
        request={"multipart/form-data": TranscriptionInput},
        responses={
            **ANSWERS,
            (200, "text/event-stream"): OpenApiTypes.STR,
            **ERRORS,
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        _add_brackets(request.data)
        wanted = TranscriptionInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        given = wanted.validated_data
        granularities = tuple(given.get("granularities") or ("segment",))
        if "word" in granularities and not capabilities_of(*find_model(given["model"])).word_times:
            raise Problem(
                400,
                "not_supported",
                "This model gives no times of words. Ask for segments, or choose another model.",
                param=f"{GRANULARITIES}[]",
            )
        job = self.store(request, given, language=given["language"])
        if given["stream"]:
            return EventsResponse(request._request, job.pk)
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
        wanted = TranslationInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        given = wanted.validated_data
        job = self.store(request, given, translate_to="en")
        return job_response(request._request, job.pk, Wanted(response_format=given["response_format"]))


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


def _model(name: str) -> dict[str, Any]:
    engine, _ = models_by_name()[name]
    return {"id": name, "object": "model", "created": 0, "owned_by": engine}


def _add_brackets(form: QueryDict) -> None:
    """Some clients send a list's name without the brackets that OpenAI's puts behind it."""
    if GRANULARITIES in form and f"{GRANULARITIES}[]" not in form:
        form.setlist(f"{GRANULARITIES}[]", form.getlist(GRANULARITIES))
