"""REST: uploads, recordings, their audio, and running them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import django_filters
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.http import Http404, HttpResponseBase
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle, UserRateThrottle
from rest_framework.views import APIView

from jobs_app.api_errors import Problem
from jobs_app.filters import MomentFilter, Ordering, WordsFilter
from jobs_app.lifecycle import AlreadyTranscribing, start_job
from jobs_app.models import TranscriptionJob
from jobs_app.serializers import ErrorOutput, JobOutput
from sessions_app import idempotency
from sessions_app.audio import audio_response, stored_audio
from sessions_app.intake import clean_filename, delete_session, store_upload
from sessions_app.models import RecordingSession, SessionSource, SessionState
from sessions_app.serializers import (
    OptionsInput,
    SessionCreateInput,
    SessionInput,
    SessionOutput,
    UploadInput,
    UploadOutput,
)
from sessions_app.upload_handler import UploadRefused

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Repeat a request with the same key and it is answered as the first time, not done twice.",
)


class UploadThrottle(UserRateThrottle):
    scope = "upload"


def idempotency_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > idempotency.LONGEST_KEY or not key.isprintable():
        raise Problem(
            400,
            "invalid_idempotency_key",
            f"The header Idempotency-Key takes up to {idempotency.LONGEST_KEY} printable characters.",
        )
    return key


def key_mismatch() -> Problem:
    return Problem(
        422,
        "idempotency_mismatch",
        "This Idempotency-Key was used before with other content. Use a new key for a new request.",
    )


def once(request: Request, key: str, asked: str, create: Callable[[], TranscriptionJob]) -> TranscriptionJob:
    """What an earlier request with this key has created, or else `create()`."""
    try:
        return idempotency.earlier_job(request.user, key, asked) or idempotency.once(
            request.user, key, asked, create
        )
    except idempotency.IdempotencyMismatch as error:
        raise key_mismatch() from error


def sessions_of(user: Any) -> QuerySet[RecordingSession]:
    """As SessionOutput needs them: two queries, however many they are."""
    newest = TranscriptionJob.objects.filter(session=OuterRef("session")).order_by("-created_at", "-pk")
    jobs = TranscriptionJob.objects.filter(pk=Subquery(newest.values("pk")[:1]))
    return (
        RecordingSession.objects.for_user(user)
        .with_summary()
        .prefetch_related(Prefetch("jobs", queryset=jobs, to_attr="newest_jobs"))
        .order_by("-started_at", "-pk")
    )


class UploadView(APIView):
    parser_classes = [MultiPartParser]
    throttle_classes = [*APIView.throttle_classes, UploadThrottle]

    @extend_schema(
        operation_id="uploads_create",
        request={"multipart/form-data": UploadInput},
        parameters=[IDEMPOTENCY_KEY],
        responses={201: UploadOutput} | dict.fromkeys((400, 413, 415, 422, 507), ErrorOutput),
    )
    def post(self, request: Request) -> Response:
        """Send a file. It is transcribed in the background; follow `job`."""
        wanted = UploadInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        try:
            job = store_upload(
                request.user,
                wanted.validated_data["file"],
                wanted.job_options(),
                title=wanted.validated_data["title"],
                source=SessionSource.UPLOAD,
                idempotency_key=idempotency_key(request),
            )
        except UploadRefused as refused:
            raise Problem(refused.status, refused.code, str(refused)) from refused
        except idempotency.IdempotencyMismatch as error:
            raise key_mismatch() from error
        session = sessions_of(request.user).get(pk=job.session_id)
        return Response(UploadOutput({"session": session, "job": job}).data, status=201)


class SessionFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=SessionState.choices, method="filter_state")
    source = django_filters.ChoiceFilter(choices=SessionSource.choices)
    created_after = MomentFilter("started_at", "gte")
    created_before = MomentFilter("started_at", "lt")
    search = WordsFilter()
    ordering = Ordering(fields=["started_at", "finished_at", "title"])

    def filter_state(self, queryset: Any, name: str, value: str) -> Any:
        return queryset.in_state(value)

    def with_words(self, queryset: Any, name: str, value: str) -> Any:
        found = TranscriptionJob.objects.filter(session=OuterRef("pk")).search(value)
        return queryset.filter(Q(title__icontains=value) | Exists(found))


class SessionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet
):
    """Recordings. What belongs to someone else does not exist."""

    queryset = RecordingSession.objects.none()
    serializer_class = SessionOutput
    filter_backends = [DjangoFilterBackend]  # it orders, too
    filterset_class = SessionFilter

    def get_queryset(self) -> QuerySet[RecordingSession]:
        return sessions_of(self.request.user)

    def get_throttles(self) -> list[BaseThrottle]:
        if self.action == "create":
            return [throttle() for throttle in UploadView.throttle_classes]
        return super().get_throttles()

    @extend_schema(
        summary="Begin a recording",
        description="Send its chunks, then finish it. It is transcribed while it goes on; follow `job`.",
        request=SessionCreateInput,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: SessionOutput} | dict.fromkeys((400, 422, 429), ErrorOutput),
    )
    def create(self, request: Request) -> Response:
        wanted = SessionCreateInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        options = wanted.job_options()
        key = idempotency_key(request)
        given = {name: wanted.validated_data[name] for name in ("title", "source")}
        asked = idempotency.fingerprint("record", given, asdict(options))

        def create() -> TranscriptionJob:
            session = RecordingSession.objects.create(owner=request.user, **given)
            return start_job(session, options)

        job = once(request, key, asked, create)
        return Response(SessionOutput(self.get_queryset().get(pk=job.session_id)).data, status=201)

    def perform_destroy(self, instance: RecordingSession) -> None:
        delete_session(instance)

    @extend_schema(request=SessionInput, responses={200: SessionOutput, 400: ErrorOutput, 404: ErrorOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename a recording. While it goes on, this also says that its recorder is there, as in a pause."""
        session = self.get_object()
        wanted = SessionInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        session.title = wanted.validated_data["title"]
        if not RecordingSession.objects.filter(pk=session.pk).update(title=session.title, seen_at=Now()):
            raise Http404  # deleted just now
        return Response(SessionOutput(session).data)

    @extend_schema(
        operation_id="sessions_jobs_create",
        request=OptionsInput,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: JobOutput, 400: ErrorOutput, 404: ErrorOutput, 409: ErrorOutput, 422: ErrorOutput},
    )
    @action(detail=True, methods=["post"], throttle_classes=UploadView.throttle_classes)
    def jobs(self, request: Request, pk: str) -> Response:
        """Transcribe a recording again, with other options. Its earlier jobs stay."""
        session = self.get_object()
        if session.finished_at is None:
            raise Problem(
                409, "wrong_state", "This recording still goes on. Finish it first, then transcribe it again."
            )
        wanted = OptionsInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        options = wanted.job_options()
        key = idempotency_key(request)
        asked = idempotency.fingerprint("again", str(session.pk), asdict(options))

        def create() -> TranscriptionJob:
            # The chunks of a recording have names that say nothing.
            only = session.chunks.first() if session.n_chunks == 1 else None
            return start_job(
                session, options, filename=only.filename if only else "", duration_ms=session.total_ms
            )

        try:
            job = once(request, key, asked, create)
        except AlreadyTranscribing as error:
            raise Problem(
                409,
                "already_transcribing",
                "This recording is being transcribed. Wait until that has ended, or cancel it.",
            ) from error
        return Response(JobOutput(job).data, status=201)


class SessionAudioView(APIView):
    @extend_schema(
        operation_id="sessions_audio_retrieve",
        parameters=[
            OpenApiParameter("download", bool, description="As an attachment, to be saved."),
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="`bytes=FIRST-LAST`"),
        ],
        responses={
            (200, "audio/*"): OpenApiTypes.BINARY,
            (206, "audio/*"): OpenApiTypes.BINARY,
            404: ErrorOutput,
            409: ErrorOutput,
            416: OpenApiResponse(description="None of the bytes asked for exist."),
        },
    )
    def get(self, request: Request, pk: str) -> HttpResponseBase:
        """The recording, for its owner and for staff. Understands ranges and If-None-Match.

        As it was sent; one that came in chunks as FLAC, once they are put together.
        """
        heard = RecordingSession.objects.all()
        if not request.user.has_perm("sessions_app.view_recordingsession"):
            heard = heard.for_user(request.user)
        session = get_object_or_404(heard, pk=pk)
        audio = stored_audio(session)
        return audio_response(
            request._request,
            audio,
            filename=clean_filename(audio.filename) or f"{session.pk}",
            download=request.query_params.get("download") in ("1", "true"),
        )

    head = get

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # Players ask for audio/*, and no renderer makes that. Errors are JSON all the same.
        return super().perform_content_negotiation(request, force=True)
