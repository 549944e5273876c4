"""Stream the text of a job while it grows, as server-sent events in OpenAI's form."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from jobs_app.models import (
    JOB_ACTIVE,
    ChunkTranscription,
    JobStatus,
    TranscriptionJob,
    TranscriptText,
    WorkStatus,
)
from sessions_app.openai.answers import TimedOut, diarized_segments, without_transcript
from sessions_app.openai.errors import body_of
from sessions_app.openai.wait import ask, cancel_if_client_left, pause_s, status_of
from speech.text.spacing import join_texts

EVENT_STREAM = "text/event-stream; charset=utf-8"
"""The charset is named, because Python's requests takes a text without one for Latin-1."""
KEEP_ALIVE_S = 15
"""A comment is sent after this time without an event. Proxies and clients take a connection for dead if
nothing comes on it for a minute.
"""

# Many clients take these characters for the end of a line, as Python's splitlines does. JSON itself escapes
# the other such characters.
_LINE_ENDS = {ord(character): f"\\u{ord(character):04x}" for character in "\x7f\x85\u2028\u2029"}


class EventsResponse(StreamingHttpResponse):
    """An answer that sends the text of a job as server-sent events while it grows."""

    def __init__(self, request: HttpRequest, job_id: uuid.UUID, *, diarized: bool = False) -> None:
        super().__init__(events_of(request, job_id, diarized=diarized), content_type=EVENT_STREAM)
        self.job_id = job_id
        self["X-Job-Id"] = str(job_id)
        self["Cache-Control"] = "no-store"
        # Without this header, nginx would collect the answer before it passes it on.
        self["X-Accel-Buffering"] = "no"


async def events_of(
    request: HttpRequest, job_id: uuid.UUID, *, diarized: bool = False
) -> AsyncIterator[bytes]:
    """Return the events: `transcript.text.delta` for each window that is done, in order, then, if `diarized`,
    `transcript.text.segment` for each segment with its speaker, and then `transcript.text.done`.

    Speakers are known only when the whole recording was heard.
    """
    deadline = time.monotonic() + settings.V1_TIMEOUT_S
    sent_at = time.monotonic()
    said, done_ms = "", 0
    # Translations come when all is said.
    translated = await ask(partial(_is_translated, job_id))
    try:
        while True:
            status, more, done_ms = await ask(partial(news, job_id, said, done_ms, translated=translated))
            if more:
                said += more
                yield event_of({"type": "transcript.text.delta", "delta": more})
            if status == JobStatus.COMPLETED:
                for segment in await ask(partial(diarized_segments, job_id)) if diarized else ():
                    yield event_of(segment)
                yield event_of({"type": "transcript.text.done", "text": said})
                return
            if status not in JOB_ACTIVE:
                yield event_of(await ask(lambda: _error(job_id)))
                return
            if time.monotonic() > deadline:
                yield event_of(body_of(TimedOut(job_id)))
                return
            if more:
                sent_at = time.monotonic()
            elif time.monotonic() - sent_at > KEEP_ALIVE_S:
                sent_at = time.monotonic()
                yield b": the job goes on\n\n"
            await asyncio.sleep(pause_s(sent_at))
    except asyncio.CancelledError:
        if isinstance(request, ASGIRequest):
            await cancel_if_client_left(request, job_id)
        raise


def news(
    job_id: uuid.UUID, said: str, done_ms: int, *, translated: bool = False
) -> tuple[str | None, str, int]:
    """Return the job's status, the text that follows `said`, and up to which time all windows are done.

    If the translator translates the text, it comes as a whole.
    """
    # The status is read first: if the job has ended by then, all of its text is there.
    status = status_of(job_id)
    if translated:
        texts_of = TranscriptText.objects.filter(transcript=job_id)
        whole = texts_of.first() if status == JobStatus.COMPLETED and not said else None
        return status, whole.text if whole else "", done_ms
    windows = ChunkTranscription.objects.filter(job=job_id, start_ms__gte=done_ms).order_by("start_ms")
    texts = [said]
    for end_ms, window, text in windows.values_list("end_ms", "status", "corrected_text"):
        if window != WorkStatus.DONE:
            break
        done_ms = end_ms
        texts.append(text)
    return status, join_texts(texts)[len(said) :], done_ms


def _is_translated(job_id: uuid.UUID) -> bool:
    job = TranscriptionJob.objects.filter(pk=job_id).first()
    return job is not None and bool(job.short_options.translator)


def _error(job_id: uuid.UUID) -> dict[str, object]:
    return body_of(without_transcript(TranscriptionJob.objects.filter(pk=job_id).first()))


def event_of(data: dict[str, object]) -> bytes:
    name = data.get("type", "error")
    text = json.dumps(data, ensure_ascii=False).translate(_LINE_ENDS)
    return f"event: {name}\ndata: {text}\n\n".encode()
