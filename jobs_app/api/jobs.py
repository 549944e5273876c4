"""The REST API of jobs and their progress. Another app adds what people read of a job."""

from __future__ import annotations

import hashlib
import json

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from jobs_app.api.filters import JobFilter
from jobs_app.api.serializers import JobInListOutput, JobStatusOutput
from jobs_app.lifecycle.choices import cancel_job, delete_job, retry_job
from jobs_app.lifecycle.naming import speakers_step_of
from jobs_app.models import TranscriptionJob, TranscriptionJobQuerySet
from jobs_app.work import correcting
from jobs_app.work.progress import eta_seconds, queue_position
from people_app.tokens import person
from rest.outputs import ErrorOutput
from rest.refusals import WrongState

WITH_TEXTS = ("retrieve", "cancel", "retry")
"""These actions answer with the whole job."""


@extend_schema_view(
    list=extend_schema(
        summary="The jobs, newest first",
        description="Without their texts, which each has at its own address.",
        responses={200: JobInListOutput(many=True), 400: ErrorOutput},
    ),
    retrieve=extend_schema(summary="One job"),
    destroy=extend_schema(
        summary="Remove a job",
        description="Ends it if it runs. The recording stays.",
        responses={204: None, 404: ErrorOutput},
    ),
)
class ReadJobs(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[TranscriptionJob],
):
    """Jobs to look at and to remove. What belongs to someone else does not exist."""

    output: type[JobInListOutput]
    """The serializer of one job with everything that people can read of it."""
    queryset = TranscriptionJob.objects.none()
    filter_backends = [DjangoFilterBackend]  # this backend sorts the list, too
    filterset_class = JobFilter
    lookup_value_converter = "uuid"

    def get_queryset(self) -> TranscriptionJobQuerySet:
        found = "transcript__texts" if self.action in WITH_TEXTS else "transcript"
        jobs = TranscriptionJob.objects.for_user(person(self.request))
        return jobs.select_related("session", "sound", found)

    def get_serializer_class(self) -> type[JobInListOutput]:
        return JobInListOutput if self.action == "list" else self.output

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
        # These attributes are only for this answer.
        job.eta_seconds = eta_seconds(job)  # type: ignore[attr-defined]
        job.queue_position = queue_position(job)  # type: ignore[attr-defined]
        job.correcting = correcting.state_of(job)  # type: ignore[attr-defined]
        job.telling_speakers = speakers_step_of(job)  # type: ignore[attr-defined]
        data = JobStatusOutput(job).data
        etag = hashlib.sha256(json.dumps(data, cls=JSONEncoder).encode()).hexdigest()[:32]
        response = Response(data, headers={"ETag": f'"{etag}"'})
        patch_cache_control(response, private=True, no_cache=True)
        return get_conditional_response(request._request, etag=f'"{etag}"', response=response) or response

    @extend_schema(summary="Cancel a job", request=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        if not cancel_job(job.pk):
            raise WrongState("This job has already ended; there is nothing to cancel.")
        return self._accepted()

    @extend_schema(
        summary="Run a failed job again",
        description="With its options. What is done stays done.",
        request=None,
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        if not retry_job(job.pk):
            raise WrongState("Only a failed job can be retried. Transcribe the recording again instead.")
        return self._accepted()

    def _accepted(self) -> Response:
        return Response(self.output(self.get_object()).data, status=202)
