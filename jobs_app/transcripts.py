"""REST: a job's transcript as a file, in each format of `speech.captions`."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from django.db.models import Count
from django.http import Http404, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from jobs_app.api_errors import Problem
from jobs_app.gaps import gap_captions, gaps_json
from jobs_app.models import JobStatus, Segment, SegmentKind, TranscriptionJob, WorkStatus
from jobs_app.serializers import ErrorOutput, TranscriptOutput
from speech.captions import FORMATS, transcript_dict
from speech.types import SpeechSegment, Word

NOT_READY = {
    JobStatus.FAILED: "This job failed, so it has no transcript. Retry it.",
    JobStatus.CANCELLED: "This job was cancelled, so it has no transcript. Transcribe the recording again.",
}
DOWNLOAD = OpenApiParameter("download", bool, description="1: as an attachment, to be saved.")


def speech_segment(row: Segment) -> SpeechSegment:
    return SpeechSegment(
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        text=row.text,
        confidence=row.confidence,
        words=tuple(Word(w["start_ms"], w["end_ms"], w["word"], w["confidence"]) for w in row.words),
        speaker=row.speaker,
    )


def segments_of(job: TranscriptionJob) -> list[tuple[str, SpeechSegment]]:
    """The (id, segment) of a transcript, in the order of time."""
    rows = job.segments.filter(kind=SegmentKind.FINAL).order_by("start_ms", "number", "pk")
    return [(str(row.pk), speech_segment(row)) for row in rows]


def transcript_json(job: TranscriptionJob) -> dict[str, Any]:
    segments = segments_of(job)
    transcript = transcript_dict(
        id=str(job.pk),
        segments=segments,
        language=job.translate_to or job.detected_language or job.language,
        duration_ms=job.duration_ms or 0,
        speakers={segment.speaker: "" for _, segment in segments if segment.speaker},
        word_counts=job.word_counts,
    )
    # Not part of the text, which is what was said.
    return {**transcript, "gaps": gaps_json(job), "timing": job.timing, "engines": engines_used(job)}


def engines_used(job: TranscriptionJob) -> list[dict[str, Any]]:
    """The engines that did the windows with speech, as EngineUsedOutput says."""
    done = job.chunktranscriptions.filter(status=WorkStatus.DONE, speech_ms__gt=0).order_by()
    used = done.values("engine", "model").annotate(windows=Count("pk"))
    return list(used.order_by("-windows", "engine", "model"))


def download_name(job: TranscriptionJob, ending: str) -> str:
    """The title, or else the file's name, as a name that every file system takes."""
    name = job.session.title or PurePath(job.filename).stem
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f\x7f\s]+', " ", name).strip(" .")
    return f"{name[:100] or 'transcript'}.{ending}"


class TranscriptView(APIView):
    ending: str

    def get(self, request: Request, pk: str) -> HttpResponseBase:
        job = TranscriptionJob.objects.for_user(request.user).select_related("session").filter(pk=pk).first()
        if job is None:
            raise Http404
        if job.status != JobStatus.COMPLETED:
            detail = NOT_READY.get(
                JobStatus(job.status), "This job has not ended. Ask again when it is completed."
            )
            raise Problem(409, "not_ready", detail)
        response = self.render(job)
        if request.query_params.get("download") in ("1", "true"):
            response["Content-Disposition"] = content_disposition_header(
                as_attachment=True, filename=download_name(job, self.ending)
            )
        return response

    def render(self, job: TranscriptionJob) -> HttpResponse:
        form = FORMATS[self.ending]
        segments = sorted([*(s for _, s in segments_of(job)), *gap_captions(job)], key=lambda s: s.start_ms)
        return HttpResponse(form.render(segments), content_type=form.content_type)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # The address says which format; `Accept: application/x-subrip` must not be refused.
        return super().perform_content_negotiation(request, force=True)


def _text_view(ending: str, what: str) -> type[TranscriptView]:
    """The view of one text format, with its own page in the OpenAPI document."""

    class View(TranscriptView):
        @extend_schema(
            operation_id=f"jobs_transcript_{ending}",
            summary=f"The transcript as {what}",
            parameters=[DOWNLOAD],
            responses={
                (200, FORMATS[ending].content_type.partition(";")[0]): OpenApiTypes.STR,
                404: ErrorOutput,
                409: ErrorOutput,
            },
        )
        def get(self, request: Request, pk: str) -> HttpResponseBase:
            return super().get(request, pk)

    View.ending = ending
    return View


TranscriptTxt = _text_view("txt", "plain text")
TranscriptSrt = _text_view("srt", "SubRip captions")
TranscriptVtt = _text_view("vtt", "WebVTT captions")


class TranscriptJson(TranscriptView):
    ending = "json"

    @extend_schema(
        operation_id="jobs_transcript_json",
        summary="The transcript with times, speakers and words",
        parameters=[DOWNLOAD],
        responses={200: TranscriptOutput, 404: ErrorOutput, 409: ErrorOutput},
    )
    def get(self, request: Request, pk: str) -> HttpResponseBase:
        return super().get(request, pk)

    def render(self, job: TranscriptionJob) -> HttpResponse:
        return JsonResponse(transcript_json(job), json_dumps_params={"ensure_ascii": False})
