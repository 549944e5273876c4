"""REST: receive a recording chunk by chunk, and give the text that is transcribed so far."""

from __future__ import annotations

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs_app.models import TranscriptionJob
from people_app.models import User
from people_app.tokens import person
from rest.outputs import ErrorOutput
from rest.pages import Pages
from rest.throttling import ChunkThrottle
from sessions_app.arrival.chunks import delete_chunk, missing_below, store_chunk
from sessions_app.arrival.finishing import finish
from sessions_app.models import RecordingSession
from sessions_app.recordings.api import sessions_of
from sessions_app.recordings.serializers import (
    CacheOutput,
    ChunkInput,
    ChunkOutput,
    ChunkPageOutput,
    ChunksMissingOutput,
    FinishInput,
    SessionOutput,
    SpanInput,
    SpanOutput,
)
from sessions_app.recordings.statistics import cache_statistics, text_of_span


def session_of(request: Request, pk: str) -> RecordingSession:
    return get_object_or_404(RecordingSession.objects.for_user(person(request)), pk=pk)


class ChunksView(APIView):
    send_may = ("get", "post")
    parser_classes = [MultiPartParser]
    # The throttle of other requests does not apply: people may send many recordings at once.
    throttle_classes = [ChunkThrottle]

    @extend_schema(
        operation_id="sessions_chunks_list",
        summary="The chunks that have come, and which are missing",
        parameters=[
            OpenApiParameter("page", int),
            OpenApiParameter("page_size", int, description=str(Pages.page_size_query_description)),
        ],
        responses={200: ChunkPageOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, pk: str) -> Response:
        session = session_of(request, pk)
        pages = Pages()
        page = pages.paginate_queryset(session.chunks.with_length().order_by("number"), request, view=self)
        numbers = list(session.chunks.order_by().values_list("number", flat=True))
        response = pages.get_paginated_response(ChunkOutput(page, many=True).data)
        response.data["missing"] = missing_below(max(numbers, default=0), numbers)
        return response

    @extend_schema(
        operation_id="sessions_chunks_create",
        summary="Send a chunk of a recording",
        description=(
            "In any order, and again when in doubt: the same chunk is answered with 200 the second time. "
            "Each chunk is a file that can be played by itself, or a piece of what a browser's MediaRecorder "
            "makes, where only the first one has the header."
        ),
        request={"multipart/form-data": ChunkInput},
        responses={200: ChunkOutput, 201: ChunkOutput}
        | dict.fromkeys((400, 404, 409, 413, 415, 422, 429, 507), ErrorOutput),
    )
    def post(self, request: Request, pk: str) -> Response:
        session = session_of(request, pk)
        wanted = ChunkInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        given = wanted.validated_data
        chunk, is_new = store_chunk(
            session,
            given["file"],
            number=given["number"],
            claimed_ms=given.get("duration_ms"),
            sha256=given["sha256"],
        )
        stored = session.chunks.with_length().filter(pk=chunk.pk).first() or chunk
        return Response(ChunkOutput(stored).data, status=201 if is_new else 200)


class ChunkView(APIView):
    throttle_classes = [ChunkThrottle]

    @extend_schema(
        operation_id="sessions_chunks_destroy",
        summary="Remove a chunk of a recording that goes on",
        description=(
            "Its place becomes a gap, and its text goes within moments. Another one may be sent under its "
            "number. A number that is not there is no error."
        ),
        responses={204: None} | dict.fromkeys((404, 409, 429), ErrorOutput),
    )
    def delete(self, request: Request, pk: str, number: int) -> Response:
        delete_chunk(session_of(request, pk), number)
        return Response(status=204)


class FinishView(APIView):
    send_may = ("post",)
    parser_classes = [JSONParser, FormParser, MultiPartParser]

    @extend_schema(
        operation_id="sessions_finish",
        summary="Finish a recording",
        description="The rest of it is transcribed now. Finishing again is harmless.",
        request=FinishInput,
        responses={
            202: SessionOutput,
            400: ErrorOutput,
            404: ErrorOutput,
            409: ChunksMissingOutput,
        },
    )
    def post(self, request: Request, pk: str) -> Response:
        session = session_of(request, pk)
        wanted = FinishInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        finish(session, **wanted.validated_data)
        return Response(
            SessionOutput(get_object_or_404(sessions_of(person(request)), pk=pk)).data, status=202
        )


class CacheView(APIView):
    send_may = ("get",)

    @extend_schema(
        operation_id="sessions_cache_retrieve",
        summary="How much of a recording is transcribed",
        responses={200: CacheOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, pk: str) -> Response:
        session = get_object_or_404(_with_length(person(request)), pk=pk)
        return Response(cache_statistics(session))


class TextView(APIView):
    send_may = ("get",)

    @extend_schema(
        operation_id="sessions_text_retrieve",
        summary="The text of a span of a recording",
        description="Also while it is recorded. The text is null where less than 80 % is transcribed.",
        parameters=[SpanInput],
        responses={200: SpanOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, pk: str) -> Response:
        session = get_object_or_404(_with_length(person(request)), pk=pk)
        wanted = SpanInput(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        return Response(text_of_span(session, **wanted.validated_data))


def _with_length(user: User) -> QuerySet[RecordingSession]:
    jobs = TranscriptionJob.objects.select_related("sound")
    sessions = RecordingSession.objects.for_user(user).with_summary()
    return sessions.prefetch_related(Prefetch("current_job", queryset=jobs))
