"""Requests that wait for their job. Under ASGI they hold neither a thread nor a database connection.

The view starts the job and returns a `JobResponse` without content. The ASGI handler calls `answered`, which
asks for the job's row until it has ended and then fills the response in. A stream of events asks for itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import InterfaceError, OperationalError, connection, connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse

from jobs_app.lifecycle import cancel_job
from jobs_app.models import JOB_ACTIVE, ChunkTranscription, JobStatus, TranscriptionJob, WorkStatus
from sessions_app.openai_answers import Wanted, answer, error_of, timed_out
from speech.cues import join_texts

logger = logging.getLogger(__name__)
T = TypeVar("T")

PATHS = "/v1/audio/"
CLIENT_GONE = "transcribe.client_gone"
"""In the ASGI scope: the client has closed its connection."""

SHORTEST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5
KEEP_ALIVE_S = 15
"""Proxies and clients take a connection on which nothing comes for a minute for a dead one."""

# All requests that wait ask through one thread and its connection: a question takes less than a millisecond.
_asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="v1-asking")


class JobResponse(HttpResponse):
    """What a job's result will be written into."""

    def __init__(self, job_id: uuid.UUID, wanted: Wanted) -> None:
        super().__init__()
        self.job_id = job_id
        self.wanted = wanted
        self["X-Job-Id"] = str(job_id)

    def become(self, other: HttpResponse) -> None:
        """Take the content of `other`, after the middleware has been through with this one."""
        self.status_code = other.status_code
        self.content = other.content
        for name, value in other.items():
            self[name] = value
        self["Content-Length"] = str(len(other.content))


class EventsResponse(StreamingHttpResponse):
    """The text of a job as server-sent events, while it grows."""

    def __init__(self, request: HttpRequest, job_id: uuid.UUID) -> None:
        super().__init__(_events(request, job_id), content_type="text/event-stream")
        self.job_id = job_id
        self["X-Job-Id"] = str(job_id)
        self["Cache-Control"] = "no-store"
        # nginx collects answers otherwise.
        self["X-Accel-Buffering"] = "no"


def job_response(request: HttpRequest, job_id: uuid.UUID, wanted: Wanted) -> HttpResponse:
    """The answer of a job; filled in at once where there is no ASGI handler to do it, as in a test."""
    response = JobResponse(job_id, wanted)
    if not getattr(request, "is_answered_later", False):
        deadline = time.monotonic() + settings.V1_TIMEOUT_S
        while (status := _status(job_id)) in JOB_ACTIVE and time.monotonic() < deadline:
            time.sleep(SHORTEST_PAUSE_S)
        response.become(_gateway_timeout(job_id) if status in JOB_ACTIVE else answer(job_id, wanted))
    return response


async def answered(request: ASGIRequest, getting: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    """What `getting` returns, with the result of its job. A client that leaves has its job cancelled."""
    if not request.path.startswith(PATHS):
        return await getting
    request.is_answered_later = True
    view = asyncio.ensure_future(getting)
    try:
        response = await asyncio.shield(view)
    except asyncio.CancelledError:
        # A view cannot be stopped in its thread. It may have started a job that nobody waits for any more.
        await _cancel_if_client_left(request, getattr(await view, "job_id", None))
        raise
    try:
        if isinstance(response, JobResponse | EventsResponse):
            await _let_go(request)
        if isinstance(response, JobResponse):
            response.become(await _result(response.job_id, response.wanted))
    except asyncio.CancelledError:
        await _cancel_if_client_left(request, getattr(response, "job_id", None))
        raise
    return response


async def _let_go(request: ASGIRequest) -> None:
    """Give back what the request holds and needs no more: it may wait for hours."""
    # The copy of the body on disk, which is as large as the file that was stored.
    request.close()
    # Its own thread, and the connection to the database in it. asgiref makes another one when it is asked.
    await sync_to_async(connections.close_all)()
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.pop(context, None) if context else None
    if executor is not None:
        executor.shutdown(wait=False)


async def _result(job_id: uuid.UUID, wanted: Wanted) -> HttpResponse:
    try:
        async with asyncio.timeout(settings.V1_TIMEOUT_S):
            since = time.monotonic()
            while await _ask(lambda: _status(job_id)) in JOB_ACTIVE:
                await asyncio.sleep(_pause_s(since))
    except TimeoutError:
        return _gateway_timeout(job_id)
    return await _ask(lambda: answer(job_id, wanted))


def _pause_s(since: float) -> float:
    """Longer the longer it has taken: of what a request takes, the last pause is a small part."""
    return min(max(SHORTEST_PAUSE_S, (time.monotonic() - since) / 20), LONGEST_PAUSE_S)


def _status(job_id: uuid.UUID) -> str | None:
    """None: the job was deleted."""
    return TranscriptionJob.objects.filter(pk=job_id).values_list("status", flat=True).first()


def _gateway_timeout(job_id: uuid.UUID) -> HttpResponse:
    response = JsonResponse(timed_out(job_id), status=504)
    # The job goes on; a client that sends the file again has it done twice.
    response["x-should-retry"] = "false"
    return response


async def _ask(question: Callable[[], T]) -> T:
    """What `question` reads from the database, once that answers."""
    while True:
        try:
            return await asyncio.get_running_loop().run_in_executor(_asking, _asked, question)
        except (OperationalError, InterfaceError) as error:
            logger.warning("The database does not answer a request that waits for its job: %s", error)
        await asyncio.sleep(2 * LONGEST_PAUSE_S)


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except (OperationalError, InterfaceError):
        connection.close()
        raise


async def _cancel_if_client_left(request: ASGIRequest, job_id: uuid.UUID | None) -> None:
    # Without the mark it is the server that stops, and the job goes on.
    if job_id is not None and request.scope.get(CLIENT_GONE):
        await asyncio.shield(asyncio.to_thread(_cancel, job_id))


def _cancel(job_id: uuid.UUID) -> None:
    try:
        if cancel_job(job_id):
            logger.info("job %s: its client has left", job_id)
    except (OperationalError, InterfaceError) as error:
        logger.warning("job %s goes on although its client has left: %s", job_id, error)
    finally:
        connection.close()


# --- Events --------------------------------------------------------------------------------------


async def _events(request: HttpRequest, job_id: uuid.UUID) -> AsyncIterator[bytes]:
    """`transcript.text.delta` for each window that is done, in order, then `transcript.text.done`."""
    deadline = time.monotonic() + settings.V1_TIMEOUT_S
    sent_at = time.monotonic()
    said, done_ms = "", 0
    try:
        while True:
            status, more, done_ms = await _ask(partial(_news, job_id, said, done_ms))
            if more:
                said += more
                yield _event({"type": "transcript.text.delta", "delta": more})
            if status == JobStatus.COMPLETED:
                yield _event({"type": "transcript.text.done", "text": said})
                return
            if status not in JOB_ACTIVE:
                yield _event(await _ask(lambda: _error(job_id)))
                return
            if time.monotonic() > deadline:
                yield _event(timed_out(job_id))
                return
            if more:
                sent_at = time.monotonic()
            elif time.monotonic() - sent_at > KEEP_ALIVE_S:
                sent_at = time.monotonic()
                yield b": the job goes on\n\n"
            await asyncio.sleep(_pause_s(sent_at))
    except asyncio.CancelledError:
        if isinstance(request, ASGIRequest):
            await _cancel_if_client_left(request, job_id)
        raise


def _news(job_id: uuid.UUID, said: str, done_ms: int) -> tuple[str | None, str, int]:
    """The job's status, the text that follows what was `said`, and to where all windows are done."""
    # First: all the text of a job that has ended is there.
    status = _status(job_id)
    windows = ChunkTranscription.objects.filter(job=job_id, start_ms__gte=done_ms).order_by("start_ms")
    texts = [said]
    for end_ms, window, text in windows.values_list("end_ms", "status", "corrected_text"):
        if window != WorkStatus.DONE:
            break
        done_ms = end_ms
        texts.append(text)
    return status, join_texts(texts)[len(said) :], done_ms


def _error(job_id: uuid.UUID) -> dict[str, Any]:
    return error_of(TranscriptionJob.objects.filter(pk=job_id).first())[1]


def _event(data: dict[str, Any]) -> bytes:
    name = data.get("type", "error")
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
