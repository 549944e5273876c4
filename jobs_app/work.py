"""Doing one unit of work: prepare a recording, transcribe a window, finish a job, or join its audio.

The slow part runs outside of any transaction; what it found is stored by one short one at the end.
"""

from __future__ import annotations

import errno
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F
from django.db.models.functions import Now

from jobs_app import claims, failures, lifecycle, plans, providers, timeline, usage
from jobs_app.guard import Guard, LeaseLost
from jobs_app.models import ChunkTranscription, JobStep, LeasedWork, StepKind
from jobs_app.options import engine_for, transcribe_options
from jobs_app.preparation import UNREADABLE, prepare
from speech.errors import SpeechError
from speech.types import SpeechSegment, Transcription
from speech.windows import Window

logger = logging.getLogger(__name__)
T = TypeVar("T")

# A window may take this many times its own length before its worker is thought to hang.
SLOWEST_REAL_TIME_FACTOR = 20
# An engine may send a window again in the way that the provider says it wants it. Each has its timeout.
MOST_REQUESTS = 5
# Decoding and voice activity run at a hundred times real time and more; a tenth of that is a hang.
SLOWEST_PREPARATION = 0.1


class StorageFull(SpeechError):
    code = "storage_full"
    message = (
        "The server's disk is full, so this recording could not be worked on. Ask its administrator to make "
        "room, then press Retry."
    )


class Unexpected(SpeechError):
    code = "internal_error"
    message = "Something went wrong inside the server while working on this recording. Press Retry."


def run_one() -> bool:
    """Claim one unit of work and do it. False: there is nothing to do."""
    work = claims.claim()
    if work is None:
        return False
    do(work)
    return True


def do(work: LeasedWork) -> None:
    """Do a unit of work that was claimed, in any thread."""
    logger.info("%s: attempt %s", work, work.attempt)
    try:
        with Guard(work, deadline_s=_deadline_s(work)) as guard:
            _do(work, guard)
    except LeaseLost:
        logger.info("%s was taken away", work)


def _do(work: LeasedWork, guard: Guard) -> None:
    try:
        _persist(guard, lambda: lifecycle.note_start(work))
        if isinstance(work, ChunkTranscription):
            result = _transcribe(work, guard)
            _persist(guard, lambda: _note_answer(work, result.requests))
            if not _persist(guard, lambda: lifecycle.finish_window(work, result)):
                usage.add_of_lost_run(work, result.requests, audio_ms=result.audio_ms)
        elif isinstance(work, JobStep) and work.kind == StepKind.PREPARE:
            _prepare(work, guard)
        elif isinstance(work, JobStep) and work.kind == StepKind.JOIN:
            _join(work, guard)
        elif isinstance(work, JobStep):
            _finish(work, guard)
    except LeaseLost:
        raise
    except SpeechError as e:
        logger.warning("%s, attempt %s: %s: %s", work, work.attempt, e.code, e)
        error = e
        if isinstance(work, ChunkTranscription):
            window = work
            _persist(guard, lambda: _note_answer(window, error.requests, error))
        if not _persist(guard, lambda: failures.settle(work, error)) and isinstance(work, ChunkTranscription):
            usage.add_of_lost_run(work, error.requests)
    except Exception as e:
        # A bug of ours, or a library's. It counts as an attempt, so that it cannot go round for ever.
        logger.exception("%s, attempt %s", work, work.attempt)
        full = isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT)
        _persist(guard, lambda: failures.settle(work, StorageFull() if full else Unexpected()))


def _deadline_s(work: LeasedWork) -> float:
    if isinstance(work, ChunkTranscription):
        expected = work.duration_ms / 1000 * SLOWEST_REAL_TIME_FACTOR
        if (provider := settings.PROVIDERS.get(work.engine)) is not None:
            expected = max(expected, provider.timeout_s * MOST_REQUESTS)
    else:
        audio_s = (work.job.duration_ms or settings.MAX_AUDIO_S * 1000) / 1000
        expected = audio_s * SLOWEST_PREPARATION
    return max(settings.UNIT_DEADLINE_S, expected)


def _prepare(step: JobStep, guard: Guard) -> None:
    """Place the chunks on the timeline and plan windows of it."""

    def publish(windows: Sequence[Window], starts: Mapping[uuid.UUID, int]) -> None:
        if not _persist(guard, lambda: plans.publish_windows(step, windows, starts)):
            raise LeaseLost(str(step))

    chunks = _chunks(step, guard)
    # Read before the chunks were: if it has finished since, they may not be all, and this runs again.
    finished = step.job.session.finished_at is not None
    found = prepare(step, guard, chunks, finished=finished, publish=publish)
    _persist(guard, lambda: plans.finish_preparation(step, found))


def _transcribe(window: ChunkTranscription, guard: Guard) -> Transcription:
    engine = engine_for(window.engine, window.model)
    samples = _sound(window, guard).read(window.start_ms, window.end_ms, on_progress=lambda: guard.advance(0))
    remote = window.engine in settings.PROVIDERS
    sent = False

    def wait() -> None:
        nonlocal sent
        sent = True
        guard.advance(0)

    def hear(segment: SpeechSegment) -> None:
        if not remote:
            guard.advance(segment.end_ms)

    if remote:
        # The answer may take minutes, and others need the connection.
        connection.close()
    try:
        heard = engine.transcribe(samples, transcribe_options(window.job), on_segment=hear, on_wait=wait)
    except LeaseLost:
        if sent:
            providers.note_requests(window.engine, 1)
            usage.add_of_lost_run(window, 1)
        raise
    return replace(heard, segments=tuple(segment.shifted(window.start_ms) for segment in heard.segments))


def _note_answer(window: ChunkTranscription, requests: int, error: SpeechError | None = None) -> None:
    """Tell the provider's other users how it is; before the window is released, and its slot with it."""
    if window.engine in settings.PROVIDERS:
        providers.note_requests(window.engine, requests)
        if error is not None:
            providers.note_failure(window.engine, error)
        elif requests:
            # A window in which nobody speaks asks for nothing, and proves nothing.
            providers.note_success(window.engine)


def _finish(step: JobStep, guard: Guard) -> None:
    chunks = _chunks(step, guard)
    if len(chunks) == 1:
        # Before the job ends: the next job of the session may then make its own copies.
        timeline.forget(chunk.pk for chunk in chunks)
    _persist(guard, lambda: lifecycle.finish_job(step))


def _join(step: JobStep, guard: Guard) -> None:
    """Make one file of a recording in pieces, for those who listen to it."""
    chunks = _chunks(step, guard)
    sound = _sound(step, guard)
    stored, size_bytes = timeline.store_joined(
        sound, step.job.duration_ms or 0, f"{step.job.session_id}", on_progress=guard.advance
    )
    _persist(guard, lambda: lifecycle.finish_joining(step, stored=stored, size_bytes=size_bytes))
    timeline.forget(chunk.pk for chunk in chunks)


def _sound(work: LeasedWork, guard: Guard) -> timeline.Timeline:
    unreadable = {gap["chunk"] for gap in work.job.gaps if gap["reason"] == UNREADABLE}
    return timeline.Timeline(_chunks(work, guard), unreadable=unreadable)


def _chunks(work: LeasedWork, guard: Guard) -> list[timeline.Chunk]:
    """The audio of the work's session, in order, with its `age` by the database's clock."""
    age = Now() - F("received_at")
    try:
        return _persist(guard, lambda: list(work.job.session.chunks.annotate(age=age).order_by("number")))
    except ObjectDoesNotExist as e:
        raise LeaseLost(f"the recording of {work} was deleted") from e


def _persist(guard: Guard, change: Callable[[], T]) -> T:
    """Store something although the database may be restarting, for as long as the lease may be ours."""
    pause_s = 0.2
    while True:
        try:
            return change()
        except (OperationalError, InterfaceError):
            logger.warning("The database did not answer; trying again", exc_info=True)
            connection.close()
        guard.advance(0)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 5)
