"""REST: corrections and target lists, as rows and as CSV, and a way to apply them again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TypeVar, cast

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
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from jobs_app.api.serializers import CorrectingOutput
from jobs_app.models import LONGEST_SEARCH, TranscriptionJob
from jobs_app.models.vocabulary import Correction, TargetList
from jobs_app.work.correcting import Outcome, apply_again
from people_app.tokens import person
from rest.ordering import Ordering
from rest.outputs import ErrorOutput
from rest.refusals import WrongState
from rest.throttling import UploadThrottle
from sessions_app.transcripts.outputs import JobOutput
from sessions_app.vocabulary.csv_files import (
    Import,
    corrections_csv,
    import_corrections,
    import_target_lists,
    target_lists_csv,
)
from sessions_app.vocabulary.lists import save_correction, save_target_list
from sessions_app.vocabulary.serializers import (
    CorrectionSerializer,
    ImportInput,
    ImportOutput,
    TargetListSerializer,
)

Row = TypeVar("Row", Correction, TargetList)
View = TypeVar("View", bound=Callable[..., object])


class CorrectionFilter(django_filters.FilterSet):
    search = django_filters.CharFilter(
        method="with_words", max_length=LONGEST_SEARCH, help_text="In both texts."
    )
    ordering = Ordering(fields=["from_text", "to_text"])

    def with_words(self, corrections: QuerySet[Correction], name: str, value: str) -> QuerySet[Correction]:
        return corrections.filter(Q(from_text__icontains=value) | Q(to_text__icontains=value))


class TargetListFilter(django_filters.FilterSet):
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=LONGEST_SEARCH, help_text="In names."
    )
    ordering = Ordering(fields=["name"])


def described(what: str, serializer: type) -> Callable[[View], View]:
    """Return the OpenAPI documentation for a viewset whose rows are called `what`."""
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


def import_schema(operation_id: str, what: str) -> Callable[[View], View]:
    return extend_schema(
        operation_id=operation_id,
        summary=f"Import {what} from CSV",
        description="All rows or none. Commas, semicolons or tabs; a first row with the names is optional.",
        request={"multipart/form-data": ImportInput},
        responses={200: ImportOutput, 400: ErrorOutput},
    )


class OwnRows(viewsets.ModelViewSet[Row]):
    """Rows of this user. What belongs to someone else does not exist."""

    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    filter_backends = [DjangoFilterBackend]  # the filters order the rows, too
    lookup_value_converter = "uuid"
    model: type[Row]

    def get_queryset(self) -> QuerySet[Row]:
        return self.model.objects.for_user(person(self.request))

    def perform_create(self, serializer: BaseSerializer[Row]) -> None:
        serializer.instance = self.model(owner=person(self.request))
        self.perform_update(serializer)

    def perform_update(self, serializer: BaseSerializer[Row]) -> None:
        # DRF gives the serializer the row that changes; perform_create gives it the new row.
        row = cast("Row", serializer.instance)
        for name, value in serializer.validated_data.items():
            setattr(row, name, value)
        self.save(row)

    def save(self, row: Row) -> None:
        """Store a new or a changed row.

        Raises:
            Refused: the row cannot be stored.
        """
        raise NotImplementedError

    def _import(self, request: Request, store: Import) -> Response:
        wanted = ImportInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        given = wanted.validated_data
        n = store(person(request), given["file"], replace=given["mode"] == "replace")
        return Response(ImportOutput({"imported": n}).data)


@described("correction", CorrectionSerializer)
class CorrectionViewSet(OwnRows[Correction]):
    model = Correction
    queryset = Correction.objects.none()
    serializer_class = CorrectionSerializer
    filterset_class = CorrectionFilter

    def save(self, row: Correction) -> None:
        save_correction(row)

    @import_schema("corrections_import", "corrections")
    @action(detail=False, methods=["post"], url_path="import", parser_classes=[MultiPartParser])
    def import_csv(self, request: Request) -> Response:
        return self._import(request, import_corrections)


@described("target list", TargetListSerializer)
class TargetListViewSet(OwnRows[TargetList]):
    model = TargetList
    queryset = TargetList.objects.none()
    serializer_class = TargetListSerializer
    filterset_class = TargetListFilter

    def save(self, row: TargetList) -> None:
        save_target_list(row)

    @import_schema("target_lists_import", "target lists")
    @action(detail=False, methods=["post"], url_path="import", parser_classes=[MultiPartParser])
    def import_csv(self, request: Request) -> Response:
        return self._import(request, import_target_lists)


class CsvView(APIView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        # The address says which format, so `Accept: text/csv` must not be refused.
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
        return self.answer(corrections_csv(Correction.objects.for_user(person(request))), "corrections.csv")


class TargetListsCsv(CsvView):
    @extend_schema(
        operation_id="target_lists_csv",
        summary="Your target lists as CSV",
        description="Columns: list, word.",
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponseBase:
        return self.answer(target_lists_csv(TargetList.objects.for_user(person(request))), "target-lists.csv")


BEING_DONE = {
    Outcome.BEGUN: ("correcting", "A worker applies your corrections to this long transcript."),
    Outcome.ALREADY: (
        "already_correcting",
        "Your corrections are being applied already, those that you have changed since too.",
    ),
}


class ApplyAgainView(APIView):
    # Correcting half an hour of speech takes a quarter of a second of processor time.
    throttle_classes = [*APIView.throttle_classes, UploadThrottle]

    @extend_schema(
        operation_id="jobs_corrections_create",
        summary="Correct and count a transcript again",
        description="With your present corrections and target words, from what the engine said. A long "
        "transcript is left to a worker, with 202; also where that is being done already.",
        request=None,
        responses={200: JobOutput, 202: CorrectingOutput, 404: ErrorOutput, 409: ErrorOutput},
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        jobs = TranscriptionJob.objects.for_user(person(request)).select_related("session")
        outcome = apply_again(get_object_or_404(jobs, pk=pk).pk)
        # The job may have been deleted meanwhile.
        job = get_object_or_404(jobs, pk=pk)
        if outcome == Outcome.NO_TRANSCRIPT:
            raise WrongState(
                "This job has no finished transcript yet. Corrections are applied when it is completed."
            )
        if outcome == Outcome.DONE:
            return Response(JobOutput(job).data)
        code, detail = BEING_DONE[outcome]
        url = reverse("job-status", args=[pk], request=request)
        return Response(
            {"detail": detail, "code": code, "status_url": url}, status=202, headers={"Location": url}
        )
