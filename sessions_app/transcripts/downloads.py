"""REST: download the transcript of a job as a file, in any format of `exports/`."""

from __future__ import annotations

import re
from pathlib import PurePath

from django.http import Http404, HttpResponse, HttpResponseBase
from django.utils.http import content_disposition_header
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from jobs_app.models import JobStatus, TranscriptionJob
from people_app.tokens import person
from rest.outputs import ErrorOutput
from rest.refusals import NotReady, Unsupported
from sessions_app.transcripts.formats import Format
from sessions_app.transcripts.reading import READ_WITH, Reading, Shown, read

NOT_READY = {
    JobStatus.FAILED: "This job failed, so it has no transcript. Retry it.",
    JobStatus.CANCELLED: "This job was cancelled, so it has no transcript. Transcribe the recording again.",
}
TEXT = OpenApiParameter(
    "text",
    str,
    enum=[*Shown],
    description="Of a translated transcript: the translation (the default), what was said, or both. Captions "
    "with both have a line of each; JSON has both in any case, but for `original`.",
)
DOWNLOAD = OpenApiParameter("download", bool, description="1: as an attachment, to be saved.")


class UnknownText(Unsupported):
    status = 422
    sentence = f"There is no such text. Ask for one of: {', '.join(Shown)}."
    param = "text"


def wanted_text(reading: Reading, wish: str) -> Reading:
    """Return the reading with the text that a request asks for; an empty wish is the usual one.

    Raises:
        UnknownText: there is no such text of any transcript.
        NotReady: this transcript does not have it.
    """
    try:
        shown = Shown(wish or Shown.TRANSLATION)
    except ValueError as error:
        raise UnknownText from error
    if reading.by_engine and shown != Shown.TRANSLATION:
        raise NotReady(
            "The engine has translated this recording as it heard it, so there is no text of what was said. "
            "Transcribe it again with `keep_original`."
        )
    if wish and shown != Shown.ORIGINAL and not (reading.translated or reading.by_engine):
        raise NotReady(
            "This transcript has no translation. Transcribe the recording again with `translate_to`, or "
            "leave `text` out."
        )
    return reading.showing(shown)


def download_name(reading: Reading, ending: str) -> str:
    """Return the title, or else the name of the audio file, as a name that every file system accepts."""
    name = reading.title or PurePath(reading.filename).stem
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f\x7f\s]+', " ", name).strip(" .")
    return f"{name[:100] or 'transcript'}.{ending}"


class DownloadView(APIView):
    send_may = ("get",)
    ending: str
    format: Format

    def get(self, request: Request, pk: str) -> HttpResponseBase:
        jobs = TranscriptionJob.objects.for_user(person(request)).select_related(*READ_WITH)
        job = jobs.filter(pk=pk).first()
        if job is None:
            raise Http404
        if job.status != JobStatus.COMPLETED:
            detail = NOT_READY.get(
                JobStatus(job.status), "This job has not ended. Ask again when it is completed."
            )
            raise NotReady(detail)
        reading = wanted_text(read(job), request.query_params.get("text", ""))
        if self.format.of_speakers and not reading.speakers:
            raise NotReady("Nobody is told apart in this transcript. Have its speakers told apart first.")
        response = HttpResponse(self.format.write(reading), content_type=self.format.content_type)
        if request.query_params.get("download") in ("1", "true"):
            response["Content-Disposition"] = content_disposition_header(
                as_attachment=True, filename=download_name(reading, self.ending)
            )
        return response

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        # The address says which format, so `Accept: application/x-subrip` must not be refused.
        return super().perform_content_negotiation(request, force=True)


def view_of(ending: str, format: Format) -> type[DownloadView]:
    """Return the view of one format. Each format has a view of its own, so that OpenAPI describes it."""

    @extend_schema(
        operation_id=f"jobs_transcript_{ending}",
        summary=format.summary,
        parameters=[TEXT, DOWNLOAD],
        responses={
            (200, format.content_type.partition(";")[0]): format.schema,
            404: ErrorOutput,
            409: ErrorOutput,
            422: ErrorOutput,
        },
    )
    def get(self: DownloadView, request: Request, pk: str) -> HttpResponseBase:
        return DownloadView.get(self, request, pk)

    return type("View", (DownloadView,), {"ending": ending, "format": format, "get": get})
