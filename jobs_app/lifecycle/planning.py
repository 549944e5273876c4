"""Store the result of a preparation: the windows of a job, and the facts about its sound.

Each function is one short transaction, which locks the job before its work.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from jobs_app.leases import queue
from jobs_app.leases.held import held, release
from jobs_app.leases.locks import lock_job, lock_sound
from jobs_app.leases.ranks import note_left, set_rank
from jobs_app.lifecycle.finishing import close_if_complete
from jobs_app.lifecycle.joining import begin_joining
from jobs_app.lifecycle.live import is_live, was_live_since
from jobs_app.lifecycle.sound_tracks import store_peaks, store_places
from jobs_app.lifecycle.starting import work_columns
from jobs_app.lifecycle.voices import hear_voices_so_far
from jobs_app.models import ChunkTranscription, JobStage, JobStep, SoundTrack, TranscriptionJob, WorkStatus
from speech.windows.cuts import Window

if TYPE_CHECKING:
    from jobs_app.work.preparation import Preparation

FASTEST_RECORDING = 2
"""A recording may be sent, on the whole, this many times as fast as it is spoken and still come first."""


@transaction.atomic
def finish_preparation(step: JobStep, found: Preparation) -> bool:
    """Store the result. Return False, and store nothing, if the step no longer belongs to this run."""
    job = lock_job(step.job_id)
    if job is None:
        return False
    session = job.session
    n_chunks, last = session.newest_chunk()
    # The last chunk is compared as well as the number of chunks, because one may have been removed and
    # another one stored meanwhile.
    more = (session.finished_at is not None) != found.finished_seen or (
        n_chunks != found.chunks_seen or found.last_seen not in (None, last)
    )
    live = is_live(job)
    if not found.live and was_live_since(job, step.started_at):
        # Live hosts hear, or have heard, what this run has planned. The next run finds that.
        queue.wake_on_commit()
        return release(step, WorkStatus.WAITING, not_before=Now(), attempt=0, error_code="", error="")
    live_ended = found.live and not live
    complete = found.complete and not live and (not live_ended or job.planned_ms >= found.duration_ms)
    again: dict[str, Any] = {}
    if not complete and (more or live_ended or found.wait_s is not None):
        wait_s = 0 if more or live_ended else found.wait_s
        again = {"not_before": Now() + timedelta(seconds=wait_s or 0)}
    if not release(
        step,
        WorkStatus.WAITING if again else WorkStatus.DONE,
        progress_ms=found.duration_ms,
        # This run has succeeded. If the step runs again, that is not another attempt at the same work.
        attempt=0,
        error_code="",
        error="",
        **again,
    ):
        return False
    sound = _store_sound(job, found)
    if not found.live:
        job.planned_ms = found.planned_ms
    job.planned_version = sound.version
    for start_ms, end_ms in found.dropped:
        job.windows.filter(start_ms__lt=end_ms, end_ms__gt=start_ms).delete()
    _add_windows(job, found.windows, owner_id=step.owner_id)
    job.planned = complete
    job.stage = JobStage.TRANSCRIBING
    job.save(update_fields=["planned_ms", "planned_version", "planned", "stage"])
    _set_rank_by_length(job, found.duration_ms)
    # What live hosts left to workers can be read now.
    job.windows.filter(
        status=WorkStatus.WAITING, started_at=None, not_before__gt=Now(), end_ms__lte=found.duration_ms
    ).update(not_before=Now())
    note_left(job)
    hear_voices_so_far(job, owner_id=step.owner_id)
    close_if_complete(job, owner_id=step.owner_id)
    if complete:
        begin_joining(sound, job, owner_id=step.owner_id)
    queue.wake_on_commit(max(1, len(found.windows)))
    return True


def _store_sound(job: TranscriptionJob, found: Preparation) -> SoundTrack:
    """Store the facts about the sound of `job`, and keep the lock on it."""
    sound = lock_sound(job.sound_id)
    assert sound is not None  # noqa: S101  a locked job has its sound
    sound.duration_ms, sound.report, sound.gaps = found.duration_ms, found.report, found.gaps
    sound.version += found.moved
    sound.save(update_fields=["duration_ms", "report", "gaps", "version"])
    store_places(sound, found.places)
    if found.peaks:
        store_peaks(sound, found.peaks)
    job.sound = sound
    return sound


@transaction.atomic
def publish_windows(step: JobStep, windows: Sequence[Window], starts: Mapping[uuid.UUID, int]) -> bool:
    """Let other workers transcribe these windows while the rest is planned.

    Return False if the step no longer belongs to this run. `starts` has the samples of the timeline on which
    chunks begin, where they are new.
    """
    job = lock_job(step.job_id)
    if job is None or not held(step).exists():
        return False
    if windows[-1].end_ms <= job.planned_ms:
        return True  # stored, but the database's answer was lost
    if starts:
        store_places(job.sound, {chunk_id: (start_sample, None) for chunk_id, start_sample in starts.items()})
    _set_rank_by_length(job, windows[-1].end_ms)
    _add_windows(job, windows, owner_id=step.owner_id)
    job.planned_ms = windows[-1].end_ms
    job.save(update_fields=["planned_ms"])
    queue.wake_on_commit(len(windows))
    return True


def _set_rank_by_length(job: TranscriptionJob, measured_ms: int) -> None:
    """Rank an interactive job with all uploads while it is longer than anybody can be waiting for.

    That is a file that is longer than its header says, or a recording that is sent much faster than it can be
    spoken, such as somebody's archive. A recording gets its rank back when enough time has passed.
    """
    if not job.interactive:
        return
    spoken_ms = (measured_ms - settings.V1_INTERACTIVE_MAX_S * 1000) / FASTEST_RECORDING
    begun_before = Now() - timedelta(milliseconds=max(0, spoken_ms))
    sessions = type(job.session)._default_manager.filter(pk=job.session_id, started_at__lte=begun_before)
    yields = spoken_ms > 0 and not sessions.exists()
    if yields != job.yields:
        job.yields = yields
        job.save(update_fields=["yields"])
        set_rank(job)


def _add_windows(job: TranscriptionJob, windows: Sequence[Window], *, owner_id: int) -> None:
    last = job.windows.aggregate(last=Max("number"))["last"]
    first = 0 if last is None else last + 1
    columns = work_columns(job, owner_id)
    if windows:
        # For the rest of the job, only the length in the header is known.
        columns["left_ms"] = max(job.duration_ms or 0, windows[-1].end_ms) - windows[0].start_ms
    ChunkTranscription.objects.bulk_create(
        ChunkTranscription(
            number=number,
            start_ms=w.start_ms,
            end_ms=w.end_ms,
            speech_ms=w.speech_ms,
            # A window without speech needs no work.
            status=WorkStatus.WAITING if w.speech_ms else WorkStatus.DONE,
            engine=job.engine,
            model=job.model,
            **columns,
        )
        for number, w in enumerate(windows, start=first)
    )
