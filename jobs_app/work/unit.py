"""Do one unit of work: prepare a recording, transcribe a window, or finish, join or correct a job.

The slow part runs outside of any transaction. One short transaction at the end stores its result.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, cast

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import InterfaceError, OperationalError, connection

from jobs_app.engines import providers, usage
from jobs_app.engines.offered import engine_for
from jobs_app.engines.resolving import hears_twice, script_of, transcribe_options
from jobs_app.leases import claims
from jobs_app.lifecycle.failing import Unexpected, settle_failure
from jobs_app.lifecycle.finishing import finish_job, finish_window
from jobs_app.lifecycle.joining import finish_joining
from jobs_app.lifecycle.languages import prior_beside
from jobs_app.lifecycle.live import is_live
from jobs_app.lifecycle.planning import finish_preparation, publish_windows
from jobs_app.lifecycle.sound_tracks import pieces_of, wish_of
from jobs_app.lifecycle.starting import note_start, to_be_refined
from jobs_app.models import (
    ChunkTranscription,
    JobStep,
    LeasedWork,
    PlacedChunk,
    SoundTrack,
    StepKind,
    TranscriptionJob,
)
from jobs_app.storage import working_copies
from jobs_app.work import correcting, speakers, timeline, translation
from jobs_app.work.guard import GUARD, LeaseLost, Run
from jobs_app.work.placement import NOT_HEARD
from jobs_app.work.preparation import prepare
from rest.disk import is_full
from speech.errors import SpeechError
from speech.text.scripts import in_script
from speech.types import SpeechSegment, Transcription
from speech.windows.cuts import Window

logger = logging.getLogger(__name__)
T = TypeVar("T")

# A worker seems to hang if a window takes more than this many times its own length.
SLOWEST_REAL_TIME_FACTOR = 20
# An engine may send a window again in the form that the provider wants. Each request has its own timeout.
MOST_REQUESTS = 5
# Decoding and the search for speech run at least a hundred times as fast as real time. A tenth of that speed
# means a hang.
SLOWEST_PREPARATION = 0.1
# Voices are heard some 25 times as fast as real time.
SLOWEST_HEARING = 1


class DiskFull(SpeechError):
    code = "storage_full"
    message = (
        "The server's disk is full, so this recording could not be worked on. Ask its administrator to make "
        "room, then press Retry."
    )


def do_next() -> bool:
    """Claim one unit of work and do it. Return False if there is nothing to do."""
    work = claims.claim()
    if work is None:
        return False
    do_unit(work)
    return True


def do_unit(work: LeasedWork) -> None:
    """Do a unit of work that was claimed. Any thread may call this."""
    logger.info("%s: attempt %s", work, work.attempt)
    try:
        with GUARD.watch(work, deadline_s=_deadline_s(work)) as run:
            _do(work, run)
    except LeaseLost:
        logger.info("%s was taken away", work)


def _do(work: LeasedWork, run: Run) -> None:
    try:
        _persist(run, lambda: note_start(work))
        if isinstance(work, ChunkTranscription):
            result, voices = _transcribe(work, run)
            _persist(run, lambda: providers.note_answer(work, result.requests))
            if not _persist(run, lambda: finish_window(work, result, voices)):
                usage.add_of_lost_run(work, result.requests, audio_ms=result.audio_ms)
        elif isinstance(work, JobStep) and work.kind == StepKind.PREPARE:
            _prepare(work, run)
        elif isinstance(work, JobStep) and work.kind == StepKind.JOIN:
            _join(work, run)
        elif isinstance(work, JobStep) and work.kind == StepKind.CORRECT:
            _persist(run, lambda: correcting.correct(work, on_progress=run.advance))
        elif isinstance(work, JobStep) and work.kind == StepKind.SPEAKERS:
            _tell_speakers(work, run)
        elif isinstance(work, JobStep) and work.kind == StepKind.TRANSLATE:
            _translate(work, run)
        elif isinstance(work, JobStep):
            _finish(work, run)
    except LeaseLost:
        raise
    except SpeechError as e:
        logger.warning("%s, attempt %s: %s: %s", work, work.attempt, e.code, e)
        error = e
        _persist(run, lambda: providers.note_answer(work, error.requests, error))
        if not _persist(run, lambda: settle_failure(work, error)) and isinstance(work, ChunkTranscription):
            usage.add_of_lost_run(work, error.requests)
    except Exception as e:
        # This is a bug in this code or in a library. It counts as an attempt, so that the unit is not tried
        # for ever.
        logger.exception("%s, attempt %s", work, work.attempt)
        failure = DiskFull() if is_full(e) else Unexpected()
        _persist(run, lambda: settle_failure(work, failure))


def _deadline_s(work: LeasedWork) -> float:
    if isinstance(work, ChunkTranscription):
        expected = work.duration_ms / 1000 * SLOWEST_REAL_TIME_FACTOR
        if (provider := settings.PROVIDERS.get(work.engine)) is not None:
            expected = max(expected, provider.timeout_s * MOST_REQUESTS)
    elif (translator := settings.TRANSLATOR) and providers.is_translation(work):
        expected = translation.RUN_S + translator.timeout_s * translation.MOST_REQUESTS
    else:
        known = _sound_of(work).duration_ms
        hears = isinstance(work, JobStep) and work.kind == StepKind.SPEAKERS
        slowest = SLOWEST_HEARING if hears else SLOWEST_PREPARATION
        expected = known / 1000 * slowest if known else settings.PREPARATION_DEADLINE_S
    return max(settings.UNIT_DEADLINE_S, expected)


def _prepare(step: JobStep, run: Run) -> None:
    """Place the chunks on the timeline and plan windows of it."""

    def publish(windows: Sequence[Window], starts: Mapping[uuid.UUID, int]) -> None:
        if not _persist(run, lambda: publish_windows(step, windows, starts)):
            raise LeaseLost(str(step))

    pieces = _pieces(step, run)
    # This value was loaded before the chunks. If the recording has finished since then, chunks may be
    # missing, and the step runs again.
    finished = _sound_of(step).session.finished_at is not None
    job = cast(TranscriptionJob, step.job)
    live = _persist(run, lambda: is_live(job))
    # Read behind that: what live hosts have heard in the meantime is not planned once more.
    _persist(run, lambda: job.refresh_from_db(fields=["planned_ms"]))
    found = prepare(step, run, pieces, finished=finished, publish=publish, live=live)
    _persist(run, lambda: finish_preparation(step, found))


def _transcribe(window: ChunkTranscription, run: Run) -> tuple[Transcription, bytes | None]:
    """Return what is said in a window, and its voices; None if they were not heard."""
    engine = engine_for(window.engine, window.model)
    options = window.job.options
    asked = transcribe_options(options)
    if not options.language:
        asked = replace(asked, prior=_persist(run, lambda: prior_beside(window)))
    sound = _timeline(window, run)
    samples = sound.read(window.start_ms, window.end_ms, on_progress=lambda: run.advance(0))
    remote = window.engine in settings.PROVIDERS
    sent = False

    def wait() -> None:
        nonlocal sent
        sent = True
        run.advance(0)

    def hear(segment: SpeechSegment) -> None:
        if not remote:
            run.advance(segment.end_ms)

    if remote:
        # The answer may take minutes, and other threads and processes need the connection.
        connection.close()
    transcribe = partial(engine.transcribe, samples, on_segment=hear, on_wait=wait)
    try:
        heard = transcribe(asked)
        if heard.language and asked.prior.allowed and heard.language not in asked.prior.allowed:
            # A provider chooses among all languages.
            allowed = next(iter(asked.prior.weigh({})))
            again = transcribe(replace(asked, language=allowed))
            heard = replace(
                again,
                requests=heard.requests + again.requests,
                audio_ms=heard.audio_ms + again.audio_ms,
            )
        if hears_twice(options):
            wanted = replace(asked, translate_to=options.translate_to)
            heard = translation.with_translation(heard, wanted, transcribe)
    except LeaseLost:
        if sent:
            providers.note_requests(window.engine, 1)
            usage.add_of_lost_run(window, 1)
        raise
    heard = in_script(heard, script_of(options))
    # A thread that waits for a provider has no processor to spare. The step SPEAKERS hears its windows.
    voices = speakers.hear(samples, window) if options.diarize and not remote else None
    return heard.shifted(window.start_ms), voices


def _finish(step: JobStep, run: Run) -> None:
    pieces = _pieces(step, run)
    job = cast(TranscriptionJob, step.job)
    if (len(pieces) == 1 or job.sound.joined) and not _persist(run, lambda: to_be_refined(job)):
        # The copies are deleted before the job ends, because afterwards the session's next job may make its
        # own. A refinement reads them once more.
        working_copies.forget(piece.chunk.pk for piece in pieces)
    _persist(run, lambda: finish_job(step))


def _tell_speakers(step: JobStep, run: Run) -> None:
    def look() -> timeline.Timeline:
        _persist(run, lambda: _refresh(_sound_of(step)))
        return _timeline(step, run)

    speakers.tell(step, run, look, partial(_persist, run))
    job = cast(TranscriptionJob, step.job)
    if not _persist(run, TranscriptionJob.objects.active().filter(session=job.session_id).exists):
        working_copies.forget(piece.chunk.pk for piece in _pieces(step, run))


def _translate(step: JobStep, run: Run) -> None:
    def answered(requests: int) -> None:
        _persist(run, lambda: providers.note_answer(step, requests))

    translation.translate_some(step, run, partial(_persist, run), answered)


def _join(step: JobStep, run: Run) -> None:
    """Make one file of a recording that is in pieces, for people who listen to it."""
    sound = _sound_of(step)
    joined = timeline.store_joined(
        _timeline(step, run), sound.duration_ms or 0, f"{sound.session_id}", on_progress=run.advance
    )
    _persist(run, lambda: finish_joining(step, joined))
    if not _persist(run, TranscriptionJob.objects.active().filter(session=sound.session_id).exists):
        working_copies.forget(piece.chunk.pk for piece in _pieces(step, run))


def _sound_of(work: LeasedWork) -> SoundTrack:
    if isinstance(work, JobStep) and work.sound is not None:
        return work.sound
    # A constraint of the database makes sure that the work has either a sound or a job.
    return cast(TranscriptionJob, work.job).sound


def _refresh(sound: SoundTrack) -> None:
    try:
        sound.refresh_from_db(fields=["gaps"])
    except ObjectDoesNotExist as e:
        raise LeaseLost(f"{sound} was deleted") from e


def _timeline(work: LeasedWork, run: Run) -> timeline.Timeline:
    sound = _sound_of(work)
    unreadable = {gap["chunk"] for gap in sound.gaps if gap["reason"] in NOT_HEARD}
    return timeline.Timeline(_pieces(work, run), unreadable=unreadable, wish=wish_of(sound))


def _pieces(work: LeasedWork, run: Run) -> list[PlacedChunk]:
    try:
        return _persist(run, lambda: pieces_of(_sound_of(work)))
    except ObjectDoesNotExist as e:
        raise LeaseLost(f"the recording of {work} was deleted") from e


def _persist(run: Run, change: Callable[[], T]) -> T:
    """Call `change`.

    If the database is restarting, call it again, for as long as this run may hold its lease.
    """
    pause_s = 0.2
    while True:
        try:
            return change()
        except (OperationalError, InterfaceError):
            logger.warning("The database did not answer; trying again", exc_info=True)
            connection.close()
        run.advance(0)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 5)
