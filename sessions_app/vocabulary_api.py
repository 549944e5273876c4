"""REST: corrections and target lists, as rows and as CSV, and applying them again."""

from __future__ import annotations

import uuid
from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.utils.http import content_disposition_header
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs_app.api_errors import Problem
from jobs_app.filters import LONGEST_SEARCH, Ordering
from jobs_app.models import TranscriptionJob
from jobs_app.serializers import ErrorOutput, JobOutput
from jobs_app.vocabulary import apply_again
from jobs_app.vocabulary_models import Correction, TargetList
from sessions_app.vocabulary_csv import (
    corrections_csv,
    import_corrections,
    import_target_lists,
    target_lists_csv,
)
from sessions_app.vocabulary_lists import Refused, save_correction, save_target_list
from sessions_app.vocabulary_serializers import (
    CorrectionSerializer,
    ImportInput,
    ImportOutput,
    TargetListSerializer,
)


def problem(refused: Refused) -> Problem:
    return Problem(400, "invalid", str(refused), fields={refused.field: list(refused.errors)})


class CorrectionFilter(django_filters.FilterSet):
    search = django_filters.CharFilter(
        method="with_words", max_length=LONGEST_SEARCH, help_text="In both texts."
    )
    ordering = Ordering(fields=["from_text", "to_text"])

    def with_words(self, corrections: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return corrections.filter(Q(from_text__icontains=value) | Q(to_text__icontains=value))


class TargetListFilter(django_filters.FilterSet):
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=LONGEST_SEARCH, help_text="In names."
    )
    ordering = Ordering(fields=["name"])


def described(what: str, serializer: type) -> Any:
    """The documentation of a viewset of `what`."""
    errors = {400: ErrorOutput}
    missing = {404: ErrorOutput}
    return extend_schema_view(
        list=extend_schema(summary=f"Your {what}s", responses={200: serializer} | errors),
        create=extend_schema(summary=f"Add a {what}", responses={201: serializer} | errors),
        retrieve=extend_schema(summary=f"One {what}", responses={200: serializer} | missing),
        partial_update=extend_schema(
            summary=f"Change a {what}", responses={200: serializer} | errors | missing
        ),
        destroy=extend_schema(summary=f"Delete a {what}", responses={204: None} | missing),
    )


def import_schema(operation_id: str, what: str) -> Any:
    return extend_schema(
        operation_id=operation_id,
        summary=f"Import {what} from CSV",
        description="All rows or none. Commas, semicolons or tabs; a first row with the names is optional.",
        request={"multipart/form-data": ImportInput},
        responses={200: ImportOutput, 400: ErrorOutput},
    )


class OwnRows(viewsets.ModelViewSet):
    """Rows of this user. What belongs to someone else does not exist."""

    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    filter_backends = [DjangoFilterBackend]  # it orders, too
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[Any]:
        return self.queryset.model.objects.for_user(self.request.user)

    def perform_create(self, serializer: Any) -> None:
        serializer.instance = self.queryset.model(owner=self.request.user)
        self.perform_update(serializer)

    def perform_update(self, serializer: Any) -> None:
        for name, value in serializer.validated_data.items():
            setattr(serializer.instance, name, value)
        try:
            self.save(serializer.instance)
        except Refused as refused:
            raise problem(refused) from refused

    def _import(self, request: Request, store: Any) -> Response:
        wanted = ImportInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        given = wanted.validated_data
        try:
            n = store(request.user, given["file"], replace=given["mode"] == "replace")
        except Refused as refused:
            raise problem(refused) from refused
        return Response(ImportOutput({"imported": n}).data)


@described("correction", CorrectionSerializer)
class CorrectionViewSet(OwnRows):
    queryset = Correction.objects.none()
    serializer_class = CorrectionSerializer
    filterset_class = CorrectionFilter

    save = staticmethod(save_correction)

    @import_schema("corrections_import", "corrections")
    @action(detail=False, methods=["post"], url_path="import", parser_classes=[MultiPartParser])
    def import_csv(self, request: Request) -> Response:
        return self._import(request, import_corrections)


@described("target list", TargetListSerializer)
class TargetListViewSet(OwnRows):
    queryset = TargetList.objects.none()
    serializer_class = TargetListSerializer
    filterset_class = TargetListFilter

    save = staticmethod(save_target_list)

    @import_schema("target_lists_import", "target lists")
    @action(detail=False, methods=["post"], url_path="import", parser_classes=[MultiPartParser])
    def import_csv(self, request: Request) -> Response:
        return self._import(request, import_target_lists)


class CsvView(APIView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # The address says which format; `Accept: text/csv` must not be refused.
        return super().perform_content_negotiation(request, force=True)

    def answer(self, text: str, filename: str) -> HttpResponseBase:
        response = HttpResponse(text, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=filename)
        return response


class CorrectionsCsv(CsvView):
    @extend_schema(
        operation_id="corrections_csv",
        summary="Your corrections as CSV",
        description="Columns: from, to, whole_word, match_case.",
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponseBase:
        return self.answer(corrections_csv(Correction.objects.for_user(request.user)), "corrections.csv")


class TargetListsCsv(CsvView):
    @extend_schema(
        operation_id="target_lists_csv",
        summary="Your target lists as CSV",
        description="Columns: list, word.",
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponseBase:
        return self.answer(target_lists_csv(TargetList.objects.for_user(request.user)), "target-lists.csv")


class ApplyAgainView(APIView):
    @extend_schema(
        operation_id="jobs_corrections_create",
        summary="Correct and count a transcript again",
        description="With your present corrections and target words, from what the engine said.",
        request=None,
        responses={200: JobOutput, 404: ErrorOutput, 409: ErrorOutput},
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        jobs = TranscriptionJob.objects.for_user(request.user).select_related("session")
        job = get_object_or_404(jobs, pk=pk)
        if not apply_again(job.pk):
            raise Problem(
                409,
                "wrong_state",
                "This job has no finished transcript yet. Corrections are applied when it is completed.",
            )
        return Response(JobOutput(jobs.get(pk=pk)).data)
