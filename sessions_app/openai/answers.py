"""Answer with the transcript of a job that has ended, in the formats of OpenAI's API."""

from __future__ import annotations

import math
import uuid
import zlib
from bisect import bisect
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, JsonResponse

from jobs_app.engines.language_names import language_name
from jobs_app.models import JobStatus, TranscriptionJob
from rest.refusals import Refusal
from sessions_app.openai.errors import body_of, status_of
from sessions_app.transcripts.reading import READ_WITH, Reading, read
from speech.captions.formats import to_srt, to_vtt
from speech.types import SpeechSegment, Word

FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
STREAMED = ("json", "text", "diarized_json")
TRY_AGAIN_AFTER_S = 30
# The server has tried as often as makes sense. Without this header, OpenAI's clients would send the file
# twice more.
SEND_NO_MORE = {"x-should-retry": "false"}

# The statuses for the error codes of failed jobs. 400 is for faults of the audio or the request. Every code
# that is not here gets 500.
_STATUSES = {
    "unreadable_audio": 400,
    "protected_media": 400,
    "no_audio": 400,
    "no_such_track": 400,
    "unsupported_media": 400,
    "audio_too_long": 400,
    "not_supported": 400,
    "provider_busy": 503,
    "provider_unavailable": 503,
    "storage_full": 507,
}


class Cancelled(Refusal):
    code = "cancelled"
    sentence = "The job of this request was cancelled. Send the file again to have it transcribed."
    headers = SEND_NO_MORE


class JobFailed(Refusal):
    """The job has failed. Code and sentence are those of the job."""

    def __init__(self, job: TranscriptionJob) -> None:
        super().__init__(job.error)
        self.status = _STATUSES.get(job.error_code, 500)
        self.code = job.error_code
        self.headers = {"Retry-After": str(TRY_AGAIN_AFTER_S)} if self.status == 503 else SEND_NO_MORE


class TimedOut(Refusal):
    status = 504
    code = "timed_out"
    # The job goes on, so a client that sends the file again would have it transcribed twice.
    headers = SEND_NO_MORE

    def __init__(self, job_id: uuid.UUID) -> None:
        super().__init__(
            "The job has not ended in the time that a request may take. It goes on: ask "
            f"/api/jobs/{job_id}/ for it, and send long recordings to /api/uploads/."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How to write the transcript. `granularities` are for verbose_json: "segment", "word" or both."""

    response_format: str = "json"
    granularities: tuple[str, ...] = ("segment",)


def answer(job_id: uuid.UUID, wanted: Wanted) -> HttpResponse:
    """Answer with the transcript of a job that has ended, or with the reason why there is none.

    This reads the database.
    """
    jobs = TranscriptionJob.objects.select_related(*READ_WITH, "transcript__texts")
    job = jobs.filter(pk=job_id).first()
    if job is None or job.status != JobStatus.COMPLETED:
        return refused(without_transcript(job))
    reading = read(job)
    warnings = [one.as_json() for one in reading.warnings]
    response = _written(job, reading, wanted, {"warnings": warnings} if warnings else {})
    if warnings:
        response["X-Warnings"] = ", ".join(dict.fromkeys(one["code"] for one in warnings))
    return response


def _written(
    job: TranscriptionJob, reading: Reading, wanted: Wanted, more: dict[str, object]
) -> HttpResponse:
    """Write the transcript. Answers in JSON also get the fields of `more`."""
    match wanted.response_format:
        case "json":
            return _json({"text": reading.text, "usage": _usage(reading), **more})
        case "verbose_json":
            return _json({**_verbose(job, reading, wanted.granularities), **more})
        case "diarized_json":
            return _json({**_diarized(reading), **more})
        case "text":
            return _text(f"{reading.text}\n")
        case captions:
            write = {"srt": to_srt, "vtt": to_vtt}[captions]
            return _text(write(reading.named_segments()))


def diarized_segments(job_id: uuid.UUID) -> list[dict[str, object]]:
    """Return the segments of `diarized_json`; none if the job was deleted."""
    job = TranscriptionJob.objects.select_related(*READ_WITH).filter(pk=job_id).first()
    return [] if job is None else _diarized_segments(read(job))


def without_transcript(job: TranscriptionJob | None) -> Refusal:
    """Return the reason why a job that has ended has no transcript. `job` is None if the job was deleted."""
    return Cancelled() if job is None or job.status == JobStatus.CANCELLED else JobFailed(job)


def refused(refusal: Refusal) -> JsonResponse:
    return JsonResponse(body_of(refusal), status=status_of(refusal), headers=refusal.headers)


def _verbose(job: TranscriptionJob, reading: Reading, granularities: tuple[str, ...]) -> dict[str, object]:
    options = job.short_options
    body: dict[str, Any] = {
        "task": "translate" if options.translate_to else "transcribe",
        "language": language_name(reading.language).lower(),
        "duration": _seconds(reading.duration_ms),
        "text": reading.text,
    }
    if "segment" in granularities:
        body["segments"] = []
        windows_ms = list(job.windows.order_by("start_ms").values_list("start_ms", flat=True))
    if "word" in granularities:
        body["words"] = []
    for number, segment in enumerate(reading.segments()):
        if "segment" in granularities:
            window_ms = windows_ms[bisect(windows_ms, segment.start_ms) - 1]
            language = segment.language or reading.language
            shown = _segment(number, segment, language, window_ms, options.temperature or 0.0)
            body["segments"].append(shown)
        if "word" in granularities:
            body["words"] += map(_word, segment.words)
    return {**body, "usage": _usage(reading)}


def _diarized(reading: Reading) -> dict[str, object]:
    return {
        "task": "transcribe",
        "duration": _seconds(reading.duration_ms),
        "text": reading.text,
        "segments": _diarized_segments(reading),
        "usage": _usage(reading),
    }


def _diarized_segments(reading: Reading) -> list[dict[str, object]]:
    names = {one.label: one.name or _letters(one.number) for one in reading.speakers}
    return [
        {
            "type": "transcript.text.segment",
            "id": segment.id,
            "start": _seconds(segment.start_ms),
            "end": _seconds(segment.end_ms),
            "text": segment.text,
            "speaker": names.get(segment.speaker, segment.speaker),
        }
        for segment in reading.segments()
    ]


def _letters(number: int) -> str:
    """Return A for 0, Z for 25, AA for 26."""
    before, last = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + last)


def _segment(
    number: int, segment: SpeechSegment, language: str, window_ms: int, temperature: float
) -> dict[str, object]:
    return {
        "id": number,
        # This is the start of the window in hundredths of a second, as Whisper counts it.
        "seek": window_ms // 10,
        "start": _seconds(segment.start_ms),
        "end": _seconds(segment.end_ms),
        "text": segment.text,
        "language": language_name(language).lower(),
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": _log(segment.confidence),
        "compression_ratio": _compression_ratio(segment.text),
        "no_speech_prob": 0.0,
    }


def _word(word: Word) -> dict[str, object]:
    return {"word": word.text.strip(), "start": _seconds(word.start_ms), "end": _seconds(word.end_ms)}


def _log(confidence: float | None) -> float:
    """Return the logarithm of the engine's confidence, or 0 if the engine gives none."""
    return round(math.log(max(confidence, 1e-6)), 4) if confidence is not None else 0.0


def _compression_ratio(text: str) -> float:
    """Return the number of bytes over their number after zlib, as Whisper defines it."""
    data = text.encode()
    return round(len(data) / len(zlib.compress(data)), 4)


def _usage(reading: Reading) -> dict[str, object]:
    return {"type": "duration", "seconds": _seconds(reading.duration_ms)}


def _seconds(ms: int) -> float:
    return ms / 1000


def _json(body: dict[str, object]) -> JsonResponse:
    return JsonResponse(body, json_dumps_params={"ensure_ascii": False})


def _text(text: str) -> HttpResponse:
    # OpenAI sends this type for captions, too.
    return HttpResponse(text, content_type="text/plain; charset=utf-8")
