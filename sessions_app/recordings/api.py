"""REST: upload a file, list and change recordings, get their audio, and transcribe them again."""

from __future__ import annotations

import uuid

import django_filters
from django.db import transaction
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpResponseBase
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from jobs_app.api.filters import WordsFilter
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import TranscriptionJob
from people_app.models import ApiToken, TokenRights, User
from people_app.tokens import TokenMayNot, person
from rest.moments import MomentFilter
from rest.ordering import Ordering
from rest.outputs import ErrorOutput
from rest.refusals import Invalid, WrongState
from rest.throttling import UploadThrottle
from sessions_app.arrival import idempotency
from sessions_app.arrival.audio import audio_response, stored_audio
from sessions_app.arrival.chunks import check_open_recordings
from sessions_app.arrival.intake import check_track, clean_filename, delete_session, store_upload
from sessions_app.models import RecordingSession, RecordingSessionQuerySet, SessionSource, SessionState
from sessions_app.options.serializers import OptionsInput
from sessions_app.recordings.serializers import (
    SessionCreateInput,
    SessionInListOutput,
    SessionInput,
    SessionOutput,
    UploadInput,
    UploadOutput,
)
from sessions_app.transcripts.outputs import JobOutput

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Repeat a request with the same key and it is answered as the first time, not done twice.",
)


def idempotency_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > idempotency.LONGEST_KEY or not key.isprintable():
        raise idempotency.InvalidKey
    return key


def sessions_of(user: User, *, with_texts: bool = True) -> QuerySet[RecordingSession]:
    """Return the user's recordings with all that SessionOutput shows; without texts, for SessionInListOutput.

    This takes two queries, however many recordings there are.
    """
    found = "transcript__texts" if with_texts else "transcript"
    jobs = TranscriptionJob.objects.select_related("session", "sound", found)
    return (
        RecordingSession.objects.for_user(user)
        .with_summary()
        .prefetch_related(Prefetch("current_job", queryset=jobs))
        .order_by("-started_at", "-pk")
    )


def choose_transcript(session: RecordingSession, job_id: uuid.UUID) -> None:
    """Make a completed job of the recording its transcript.

    Raises:
        Invalid: the recording has no such job.
        WrongState: the job has not completed.
    """
    job = session.jobs.filter(pk=job_id).first()
    if job is None:
        raise Invalid({"current_job": ["This recording has no such job. Name one of its own."]})
    if not session.use_job(job):
        raise WrongState("A transcript is a job that has completed. Wait for it, or name another one.")


class UploadView(APIView):
    send_may = ("post",)
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
        job = store_upload(
            person(request),
            wanted.validated_data["file"],
            wanted.job_options(person(request), accept_language(request)),
            title=wanted.validated_data["title"],
            source=SessionSource.UPLOAD,
            idempotency_key=idempotency_key(request),
        )
        session = sessions_of(person(request)).get(pk=job.session_id)
        return Response(UploadOutput({"session": session, "job": job}).data, status=201)


def accept_language(request: Request) -> str:
    """Return the languages that the user of a browser reads, as the browser writes them."""
    return request.headers.get("Accept-Language", "")


class SessionFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=SessionState.choices, method="filter_state")
    source = django_filters.ChoiceFilter(choices=SessionSource.choices)
    created_after = MomentFilter("started_at", "gte")
    created_before = MomentFilter("started_at", "lt")
    search = WordsFilter()
    ordering = Ordering(fields=["started_at", "finished_at", "title"])

    def filter_state(
        self, queryset: RecordingSessionQuerySet, name: str, value: str
    ) -> RecordingSessionQuerySet:
        return queryset.in_state(value)

    def with_words(
        self, queryset: RecordingSessionQuerySet, name: str, value: str
    ) -> RecordingSessionQuerySet:
        found = TranscriptionJob.objects.filter(pk=OuterRef("current_job")).search(value)
        return queryset.filter(Q(title__icontains=value) | Exists(found))


class SessionViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[RecordingSession],
):
    """Recordings. What belongs to someone else does not exist."""

    send_may = ("create", "retrieve", "partial_update", "jobs")
    queryset = RecordingSession.objects.none()
    filter_backends = [DjangoFilterBackend]  # SessionFilter orders the rows, too
    filterset_class = SessionFilter

    def get_queryset(self) -> QuerySet[RecordingSession]:
        return sessions_of(person(self.request), with_texts=self.action != "list")

    def get_serializer_class(self) -> type[SessionInListOutput]:
        return SessionInListOutput if self.action == "list" else SessionOutput

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
        owner = person(request)
        options = wanted.job_options(owner, accept_language(request))
        key = idempotency_key(request)
        given = {name: wanted.validated_data[name] for name in ("title", "source")}
        asked = idempotency.fingerprint("record", given, options)

        def create() -> TranscriptionJob:
            check_open_recordings(owner)
            session = RecordingSession.objects.create(owner=owner, **given)
            return start_job(session, options)

        job = idempotency.once(owner, key, asked, create)
        return Response(SessionOutput(self.get_queryset().get(pk=job.session_id)).data, status=201)

    def perform_destroy(self, instance: RecordingSession) -> None:
        delete_session(instance)

    @extend_schema(
        summary="Rename a recording, or choose its transcript",
        description="Changes what is named. `current_job` makes a completed job the transcript of the "
        "recording: a second hearing that was offered beside a text that somebody had edited, or an earlier "
        "run. While a recording goes on, every change also says that its recorder is there, as in a pause.",
        request=SessionInput,
        responses={200: SessionOutput} | dict.fromkeys((400, 403, 404, 409), ErrorOutput),
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        session = self.get_object()
        wanted = SessionInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        changes = dict(wanted.validated_data)
        job_id = changes.pop("current_job", None)
        token = request.auth
        if job_id is not None and isinstance(token, ApiToken) and token.rights != TokenRights.ALL:
            raise TokenMayNot(token)
        with transaction.atomic():
            if job_id is not None:
                choose_transcript(session, job_id)
            if not RecordingSession.objects.filter(pk=session.pk).update(**changes, seen_at=Now()):
                raise Http404  # deleted just now
        return Response(SessionOutput(self.get_object()).data)

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
            raise WrongState("This recording still goes on. Finish it first, then transcribe it again.")
        wanted = OptionsInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        options = wanted.job_options(person(request), accept_language(request))
        check_track(session, options)
        key = idempotency_key(request)
        asked = idempotency.fingerprint("again", str(session.pk), options)

        def create() -> TranscriptionJob:
            # If there are several chunks, their file names tell people nothing.
            only = session.chunks.first() if session.n_chunks == 1 else None
            return start_job(
                session, options, filename=only.filename if only else "", duration_ms=session.total_ms
            )

        job = idempotency.once(person(request), key, asked, create)
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
        user = person(request)
        if not user.has_perm("sessions_app.view_recordingsession"):
            heard = heard.for_user(user)
        session = get_object_or_404(heard, pk=pk)
        audio = stored_audio(session)
        return audio_response(
            request._request,
            audio,
            filename=clean_filename(audio.filename) or f"{session.pk}",
            download=request.query_params.get("download") in ("1", "true"),
        )

    head = get

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        # Players ask for audio/*, which no renderer makes, so DRF would refuse them. Errors are sent as JSON.
        return super().perform_content_negotiation(request, force=True)
