"""A job that has ended, as OpenAI's API answers it."""

from __future__ import annotations

import math
import uuid
import zlib
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, JsonResponse

from jobs_app.models import JobStatus, SegmentKind, TranscriptionJob
from jobs_app.transcripts import speech_segment
from sessions_app.languages import language_name
from sessions_app.openai_errors import openai_error
from speech.captions import to_srt, to_vtt

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
TRY_AGAIN_AFTER_S = 30

# Of jobs that failed; every other code is 500. The audio or the request is to blame: 400.
_STATUSES = {
    "unreadable_audio": 400,
    "no_audio": 400,
    "unsupported_media": 400,
    "audio_too_long": 400,
    "not_supported": 400,
    "provider_busy": 503,
    "provider_unavailable": 503,
    "storage_full": 507,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How the transcript is to be written. `granularities`: "segment", "word", of verbose_json."""

    response_format: str = "json"
    granularities: tuple[str, ...] = ("segment",)


def answer(job_id: uuid.UUID, wanted: Wanted) -> HttpResponse:
    """The transcript of a job that has ended, or why there is none. Reads the database."""
    job = TranscriptionJob.objects.filter(pk=job_id).first()
    if job is None or job.status != JobStatus.COMPLETED:
        return refusal(job)
    match wanted.response_format:
        case "json":
            return _json({"text": job.transcript, "usage": _usage(job)})
        case "verbose_json":
            return _json(_verbose(job, wanted.granularities))
        case "text":
            return _text(f"{job.transcript}\n")
        case captions:
            rows = job.segments.filter(kind=SegmentKind.FINAL).order_by("start_ms", "number", "pk")
            write = {"srt": to_srt, "vtt": to_vtt}[captions]
            return _text(write([speech_segment(row) for row in rows]))


def refusal(job: TranscriptionJob | None) -> JsonResponse:
    """The error of a job that failed, was cancelled or (None) was deleted."""
    status, body = error_of(job)
    response = JsonResponse(body, status=status)
    if status == 503:
        response["Retry-After"] = str(TRY_AGAIN_AFTER_S)
    else:
        # It was tried as often as is of use. OpenAI's clients would otherwise send the file twice more.
        response["x-should-retry"] = "false"
    return response


def error_of(job: TranscriptionJob | None) -> tuple[int, dict[str, Any]]:
    """Status and body of a job without a transcript."""
    if job is None or job.status == JobStatus.CANCELLED:
        detail = "The job of this request was cancelled. Send the file again to have it transcribed."
        return 400, openai_error(400, "cancelled", detail)
    status = _STATUSES.get(job.error_code, 500)
    return status, openai_error(status, job.error_code, job.error)


def timed_out(job_id: uuid.UUID) -> dict[str, Any]:
    """The body of a 504."""
    return openai_error(
        504,
        "timed_out",
        f"The job has not ended in the time that a request may take. It goes on: ask /api/jobs/{job_id}/ "
        "for it, and send long recordings to /api/uploads/.",
    )


def _verbose(job: TranscriptionJob, granularities: tuple[str, ...]) -> dict[str, Any]:
    rows = list(
        job.segments.filter(kind=SegmentKind.FINAL)
        .select_related("window")
        .order_by("start_ms", "number", "pk")
    )
    code = job.translate_to or job.detected_language or job.language
    body: dict[str, Any] = {
        "task": "translate" if job.translate_to else "transcribe",
        "language": language_name(code).lower(),
        "duration": _seconds(job.duration_ms or 0),
        "text": job.transcript,
    }
    if "segment" in granularities:
        body["segments"] = [
            {
                "id": number,
                # As Whisper counts: hundredths of a second, to where the window begins.
                "seek": row.window.start_ms // 10,
                "start": _seconds(row.start_ms),
                "end": _seconds(row.end_ms),
                "text": row.text,
                "tokens": [],
                "temperature": job.temperature or 0.0,
                "avg_logprob": _log(row.confidence),
                "compression_ratio": _compression_ratio(row.text),
                "no_speech_prob": 0.0,
            }
            for number, row in enumerate(rows)
        ]
    if "word" in granularities:
        body["words"] = [
            {
                "word": word["word"].strip(),
                "start": _seconds(word["start_ms"]),
                "end": _seconds(word["end_ms"]),
            }
            for row in rows
            for word in row.words
        ]
    return {**body, "usage": _usage(job)}


def _log(confidence: float | None) -> float:
    """The logarithm of how sure the engine was; 0 where it does not say."""
    return round(math.log(max(confidence, 1e-6)), 4) if confidence is not None else 0.0


def _compression_ratio(text: str) -> float:
    """As Whisper defines it: bytes over their number after zlib."""
    data = text.encode()
    return round(len(data) / len(zlib.compress(data)), 4)


def _usage(job: TranscriptionJob) -> dict[str, Any]:
    return {"type": "duration", "seconds": _seconds(job.duration_ms or 0)}


def _seconds(ms: int) -> float:
    return ms / 1000


def _json(body: dict[str, Any]) -> JsonResponse:
    return JsonResponse(body, json_dumps_params={"ensure_ascii": False})


def _text(text: str) -> HttpResponse:
    # For captions too: that is what OpenAI sends.
    return HttpResponse(text, content_type="text/plain; charset=utf-8")
