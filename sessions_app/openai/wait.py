"""Let requests wait for their jobs. Under ASGI, a waiting request holds no thread and no database connection.

The view starts the job and returns a `JobResponse` without content. The ASGI handler calls `answered`, which
reads the row of the job again and again until the job has ended, and then fills in the response. A stream of
events, in `events.py`, does this itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from jobs_app.lifecycle.choices import cancel_job
from jobs_app.models import JOB_ACTIVE, TranscriptionJob
from rest.scope import CLIENT_GONE, LET_GO
from sessions_app.openai.answers import TimedOut, Wanted, answer, refused

logger = logging.getLogger(__name__)
T = TypeVar("T")

PATHS = "/v1/audio/"
ANSWERED_LATER = "transcribe.answered_later"
"""This key in the META of a request says that `answered` will fill in the answer."""

SHORTEST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5

# All waiting requests ask through one thread and its connection, because a question takes less than a
# millisecond.
_asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="v1-asking")
# Other threads write the answers: captions of many hours take seconds, and the other requests must go on
# asking.
_writing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="v1-writing")


class JobResponse(HttpResponse):
    """A response into which the result of a job will be written."""

    def __init__(self, job_id: uuid.UUID, wanted: Wanted) -> None:
        super().__init__()
        self.job_id = job_id
        self.wanted = wanted
        self["X-Job-Id"] = str(job_id)

    def become(self, other: HttpResponse) -> None:
        """Take over the status, headers and content of `other`, after middleware has run on this response."""
        self.status_code = other.status_code
        self.content = other.content
        for name, value in other.items():
            self[name] = value
        self["Content-Length"] = str(len(other.content))


def job_response(request: HttpRequest, job_id: uuid.UUID, wanted: Wanted) -> HttpResponse:
    """Return the response for a job. If no ASGI handler will fill it in, as in a test, this fills it in."""
    response = JobResponse(job_id, wanted)
    if ANSWERED_LATER not in request.META:
        deadline = time.monotonic() + settings.V1_TIMEOUT_S
        while (status := status_of(job_id)) in JOB_ACTIVE and time.monotonic() < deadline:
            time.sleep(SHORTEST_PAUSE_S)
        response.become(refused(TimedOut(job_id)) if status in JOB_ACTIVE else answer(job_id, wanted))
    return response


async def answered(request: ASGIRequest, getting: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    """Return the response of `getting`, with the result of its job. If the client leaves, the job is
    cancelled.
    """
    if not request.path_info.startswith(PATHS):
        return await getting
    request.META[ANSWERED_LATER] = True
    view = asyncio.ensure_future(getting)
    try:
        response = await asyncio.shield(view)
    except asyncio.CancelledError:
        # A view cannot be stopped in its thread, and may have started a job for which nobody waits any more.
        await cancel_if_client_left(request, getattr(await view, "job_id", None))
        raise
    try:
        if hasattr(response, "job_id"):
            await _let_go(request)
        if isinstance(response, JobResponse):
            response.become(await _result(response.job_id, response.wanted))
    except asyncio.CancelledError:
        await cancel_if_client_left(request, getattr(response, "job_id", None))
        raise
    return response


async def _let_go(request: ASGIRequest) -> None:
    """Give back the body, the thread and the connection of a request, because it may wait for hours."""
    # This removes the copy of the body on disk, which is as large as the stored file.
    request.close()
    await request.scope[LET_GO]()


async def _result(job_id: uuid.UUID, wanted: Wanted) -> HttpResponse:
    try:
        async with asyncio.timeout(settings.V1_TIMEOUT_S):
            since = time.monotonic()
            while await ask(lambda: status_of(job_id)) in JOB_ACTIVE:
                await asyncio.sleep(pause_s(since))
    except TimeoutError:
        return refused(TimedOut(job_id))
    return await ask(lambda: _written(job_id, wanted), _writing)


def _written(job_id: uuid.UUID, wanted: Wanted) -> HttpResponse:
    try:
        return answer(job_id, wanted)
    finally:
        # Hours may pass until the next answer, so the connection is not kept.
        connection.close()


def pause_s(since: float) -> float:
    """Return how long to wait before the next question.

    Pauses get longer with time, so that the last one is only a small part of the time that the request takes.
    """
    return min(max(SHORTEST_PAUSE_S, (time.monotonic() - since) / 20), LONGEST_PAUSE_S)


def status_of(job_id: uuid.UUID) -> str | None:
    """Return the status of a job, or None if the job was deleted."""
    return TranscriptionJob.objects.filter(pk=job_id).values_list("status", flat=True).first()


async def ask(question: Callable[[], T], threads: ThreadPoolExecutor = _asking) -> T:
    """Return what `question` reads from the database. While the database does not answer, try again."""
    while True:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, _asked, question)
        except (OperationalError, InterfaceError) as error:
            logger.warning("The database does not answer a request that waits for its job: %s", error)
        await asyncio.sleep(2 * LONGEST_PAUSE_S)


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except (OperationalError, InterfaceError):
        connection.close()
        raise


async def cancel_if_client_left(request: ASGIRequest, job_id: uuid.UUID | None) -> None:
    # If this key is not set, the server is stopping, and the job goes on.
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
