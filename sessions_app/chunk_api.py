"""REST: a recording while it is made, chunk by chunk, and what is transcribed of it so far."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from jobs_app.api_errors import Problem
from jobs_app.pagination import Pages
from jobs_app.serializers import ErrorOutput
from sessions_app.api import sessions_of
from sessions_app.chunks import ChunksMissing, finish, missing_below, store_chunk
from sessions_app.coverage import cache_statistics, text_of_span
from sessions_app.models import RecordingSession
from sessions_app.serializers import (
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
from sessions_app.upload_handler import UploadRefused


class ChunkThrottle(UserRateThrottle):
    scope = "chunk"


def session_of(request: Request, pk: str) -> RecordingSession:
    return get_object_or_404(RecordingSession.objects.for_user(request.user), pk=pk)


class ChunksView(APIView):
    parser_classes = [MultiPartParser]
    # Not the throttle of other requests as well: many recordings at once are not too many requests.
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
        page = pages.paginate_queryset(session.chunks.order_by("number"), request, view=self)
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
        try:
            chunk, is_new = store_chunk(
                session,
                given["file"],
                number=given["number"],
                claimed_ms=given.get("duration_ms"),
                sha256=given["sha256"],
            )
        except UploadRefused as refused:
            raise Problem(refused.status, refused.code, str(refused)) from refused
        return Response(ChunkOutput(chunk).data, status=201 if is_new else 200)


class FinishView(APIView):
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
        try:
            finish(session, **wanted.validated_data)
        except ChunksMissing as error:
            raise Problem(
                409,
                "chunks_missing",
                f"Chunks that have not come: {len(error.missing)}. Send them, or finish with `force`.",
                missing=error.missing,
            ) from error
        except UploadRefused as refused:
            raise Problem(refused.status, refused.code, str(refused)) from refused
        return Response(SessionOutput(get_object_or_404(sessions_of(request.user), pk=pk)).data, status=202)


class CacheView(APIView):
    @extend_schema(
        operation_id="sessions_cache_retrieve",
        summary="How much of a recording is transcribed",
        responses={200: CacheOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, pk: str) -> Response:
        session = get_object_or_404(_with_length(request.user), pk=pk)
        return Response(cache_statistics(session))


class TextView(APIView):
    @extend_schema(
        operation_id="sessions_text_retrieve",
        summary="The text of a span of a recording",
        description="Also while it is recorded. The text is null where less than 80 % is transcribed.",
        parameters=[SpanInput],
        responses={200: SpanOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, pk: str) -> Response:
        session = get_object_or_404(_with_length(request.user), pk=pk)
        wanted = SpanInput(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        return Response(text_of_span(session, **wanted.validated_data))


def _with_length(user: Any) -> Any:
    return RecordingSession.objects.for_user(user).with_summary()
