"""REST: jobs with their transcripts, and the segments of a transcript."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from jobs_app.api import history, jobs
from jobs_app.models.transcripts import Segment
from rest.outputs import ErrorOutput
from sessions_app.transcripts.edits import changes_in
from sessions_app.transcripts.outputs import JobOutput, SegmentOutput
from sessions_app.transcripts.reading import SegmentsSoFar, read, read_segment

ONE_JOB = extend_schema(responses={200: JobOutput, 404: ErrorOutput})
ACCEPTED = extend_schema(responses={202: JobOutput, 404: ErrorOutput, 409: ErrorOutput})


@extend_schema_view(retrieve=ONE_JOB, cancel=ACCEPTED, retry=ACCEPTED)
class JobViewSet(jobs.JobViewSet):
    output = JobOutput
    send_may = ("retrieve", "status", "segments", "retry")

    @extend_schema(
        summary="The transcript in pieces", responses={200: SegmentOutput(many=True), 404: ErrorOutput}
    )
    @action(detail=True, filterset_class=None)
    def segments(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        # According to the stubs, a view can only paginate rows of its own model.
        segments = cast("QuerySet[Any]", SegmentsSoFar(job))
        rows = cast("list[Segment]", self.paginate_queryset(segments))
        changes = changes_in(job.pk, [row.number for row in rows])
        shown = read(job).shown_labels
        read_rows = [read_segment(row, changes.get(row.number, {})) for row in rows]
        page = [replace(one, speaker=shown.get(one.speaker, one.speaker)) for one in read_rows]
        return self.get_paginated_response(SegmentOutput(page, many=True).data)  # type: ignore[arg-type]  # read as rows are


@extend_schema_view(retrieve=ONE_JOB)
class HistoryViewSet(history.HistoryViewSet):
    output = JobOutput
