"""REST: jobs, how far they are, and what can be chosen for them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.authtoken.models import Token
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.views import APIView

from jobs_app.api_errors import Problem
from jobs_app.filters import JobFilter
from jobs_app.lifecycle import AlreadyTranscribing, cancel_job, delete_job, retry_job
from jobs_app.models import TranscriptionJob
from jobs_app.options import capabilities_of, engine_models, provider_of
from jobs_app.progress import eta_seconds, queue_position
from jobs_app.serializers import (
    EngineOutput,
    ErrorOutput,
    JobOutput,
    JobStatusOutput,
    SegmentOutput,
    TokenInput,
    TokenOutput,
)
from jobs_app.throttles import LoginByAddressThrottle, LoginByNameThrottle, LoginThrottle


@extend_schema_view(
    list=extend_schema(summary="The jobs, newest first", responses={200: JobOutput, 400: ErrorOutput}),
    retrieve=extend_schema(summary="One job", responses={200: JobOutput, 404: ErrorOutput}),
    destroy=extend_schema(
        summary="Remove a job",
        description="Ends it if it runs. The recording stays.",
        responses={204: None, 404: ErrorOutput},
    ),
)
class ReadJobs(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet
):
    """Jobs to look at and to remove. What belongs to someone else does not exist."""

    queryset = TranscriptionJob.objects.none()
    serializer_class = JobOutput
    filter_backends = [DjangoFilterBackend]  # it orders, too
    filterset_class = JobFilter
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[TranscriptionJob]:
        return TranscriptionJob.objects.for_user(self.request.user).select_related("session")

    def perform_destroy(self, instance: TranscriptionJob) -> None:
        delete_job(instance.pk)


class JobViewSet(ReadJobs):
    @extend_schema(
        summary="How far a job is",
        description="Cheap, made for asking every 2 s. With `If-None-Match`: 304 until it changes.",
        parameters=[OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER)],
        responses={
            200: JobStatusOutput,
            304: OpenApiResponse(description="Nothing has changed."),
            404: ErrorOutput,
        },
    )
    @action(detail=True, filterset_class=None)
    def status(self, request: Request, pk: str) -> HttpResponseBase:
        job = self.get_object()
        job.eta_seconds, job.queue_position = eta_seconds(job), queue_position(job)
        data = JobStatusOutput(job).data
        etag = hashlib.sha256(json.dumps(data, cls=JSONEncoder).encode()).hexdigest()[:32]
        response = Response(data, headers={"ETag": f'"{etag}"'})
        patch_cache_control(response, private=True, no_cache=True)
        return get_conditional_response(request._request, etag=f'"{etag}"', response=response)

    @extend_schema(
        summary="Cancel a job", request=None, responses={202: JobOutput, 404: ErrorOutput, 409: ErrorOutput}
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        if not cancel_job(job.pk):
            raise self._wrong_state("This job has already ended; there is nothing to cancel.")
        return self._accepted()

    @extend_schema(
        summary="Run a failed job again",
        description="With its options. What is done stays done.",
        request=None,
        responses={202: JobOutput, 404: ErrorOutput, 409: ErrorOutput},
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        try:
            retried = retry_job(job.pk)
        except AlreadyTranscribing as e:
            raise self._wrong_state(
                "Another job of this recording has not ended. Wait for it, or cancel it first."
            ) from e
        if not retried:
            raise self._wrong_state(
                "Only a failed job can be retried. Transcribe the recording again instead."
            )
        return self._accepted()

    @extend_schema(
        summary="The transcript in pieces", responses={200: SegmentOutput(many=True), 404: ErrorOutput}
    )
    @action(detail=True, filterset_class=None)
    def segments(self, request: Request, pk: str) -> Response:
        page = self.paginate_queryset(self.get_object().segments.order_by("start_ms", "number", "pk"))
        return self.get_paginated_response(SegmentOutput(page, many=True).data)

    def _wrong_state(self, detail: str) -> Problem:
        return Problem(409, "wrong_state", detail)

    def _accepted(self) -> Response:
        return Response(JobOutput(self.get_object()).data, status=202)


class EnginesView(APIView):
    @extend_schema(
        operation_id="engines_list",
        summary="What can be chosen for a job",
        responses={200: EngineOutput(many=True)},
    )
    def get(self, request: Request) -> Response:
        rows: list[dict[str, Any]] = [
            {
                "engine": engine,
                "is_default": engine == settings.DEFAULT_ENGINE,
                "is_default_fallback": engine == settings.FALLBACK_ENGINE,
                "sends_audio_to": provider.host if (provider := provider_of(engine)) else "",
                "models": [{"model": model, "can": capabilities_of(engine, model)} for model in models],
            }
            for engine, models in engine_models().items()
        ]
        return Response(EngineOutput(rows, many=True).data)


class TokenView(APIView):
    # Nobody need be logged in, and a session cookie beside the password must not ask for a CSRF token.
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = (LoginByAddressThrottle, LoginByNameThrottle)

    def get_throttles(self) -> list[LoginThrottle]:
        self.login_throttles = super().get_throttles()
        return self.login_throttles

    @extend_schema(
        operation_id="auth_token_create",
        summary="Your token for this API",
        description="The same one each time.",
        request=TokenInput,
        responses={200: TokenOutput, 400: ErrorOutput, 429: ErrorOutput},
    )
    def post(self, request: Request) -> Response:
        given = TokenInput(data=request.data)
        given.is_valid(raise_exception=True)
        user = authenticate(request._request, **given.validated_data)
        if user is None:
            raise Problem(400, "wrong_password", "This name and password do not belong together. Check both.")
        for throttle in self.login_throttles:
            throttle.forgive()
        token, _ = Token.objects.get_or_create(user=user)
        return Response({"token": token.key})
