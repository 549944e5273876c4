"""What a preparation finds becomes rows: the windows of a job, and the places of its chunks.

Each function is one short transaction, which locks the job's row first, as those of `lifecycle` do.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from jobs_app import claims, lifecycle, queue
from jobs_app.models import ChunkTranscription, JobStage, JobStep, TranscriptionJob, WorkStatus
from jobs_app.preparation import Preparation
from speech.types import samples_to_ms
from speech.windows import Window


@transaction.atomic
def finish_preparation(step: JobStep, found: Preparation) -> bool:
    """Store what was found. False: the step is no longer this run's, and nothing was stored."""
    job = lifecycle.lock_job(step.job_id)
    if job is None:
        return False
    session = job.session
    more = (session.finished_at is not None) != found.finished_seen or (
        session.chunks.count() != found.chunks_seen
    )
    again: dict[str, Any] = {}
    if not found.complete and (more or found.wait_s is not None):
        wait_s = 0 if more else found.wait_s
        again = {"not_before": Now() + timedelta(seconds=wait_s or 0)}
    if not lifecycle.release(
        step,
        WorkStatus.WAITING if again else WorkStatus.DONE,
        progress_ms=found.duration_ms,
        # It has succeeded; should it run again, that is not another try of the same.
        attempt=0,
        error_code="",
        error="",
        **again,
    ):
        return False
    job.duration_ms = found.duration_ms
    job.decode_report = found.report
    job.gaps = found.gaps
    job.planned_ms = found.planned_ms
    job.planned = found.complete
    job.stage = JobStage.TRANSCRIBING
    job.save(update_fields=["duration_ms", "decode_report", "gaps", "planned_ms", "planned", "stage"])
    for chunk_id, (start_sample, sample_count) in found.places.items():
        session.chunks.filter(pk=chunk_id).update(
            start_sample=start_sample, sample_count=sample_count, duration_ms=samples_to_ms(sample_count)
        )
    for start_ms, end_ms in found.dropped:
        job.chunktranscriptions.filter(start_ms__lt=end_ms, end_ms__gt=start_ms).delete()
    _add_windows(job, found.windows, owner_id=step.owner_id)
    lifecycle.close_if_complete(job, owner_id=step.owner_id)
    queue.wake_on_commit(max(1, len(found.windows)))
    return True


@transaction.atomic
def publish_windows(step: JobStep, windows: Sequence[Window], starts: Mapping[uuid.UUID, int]) -> bool:
    """Let others transcribe these windows while the rest is planned. False: the step is no longer this run's.

    `starts`: on which sample of the timeline the chunks begin, where it is new.
    """
    job = lifecycle.lock_job(step.job_id)
    if job is None or not claims.held(step).exists():
        return False
    if windows[-1].end_ms <= job.planned_ms:
        return True  # stored, but the database's answer was lost
    for chunk_id, start_sample in starts.items():
        job.session.chunks.filter(pk=chunk_id).update(start_sample=start_sample)
    _add_windows(job, windows, owner_id=step.owner_id)
    job.planned_ms = windows[-1].end_ms
    job.save(update_fields=["planned_ms"])
    queue.wake_on_commit(len(windows))
    return True


def _add_windows(job: TranscriptionJob, windows: Sequence[Window], *, owner_id: int) -> None:
    last = job.chunktranscriptions.aggregate(last=Max("number"))["last"]
    first = 0 if last is None else last + 1
    columns = lifecycle.work_columns(job, owner_id)
    ChunkTranscription.objects.bulk_create(
        ChunkTranscription(
            number=number,
            start_ms=w.start_ms,
            end_ms=w.end_ms,
            speech_ms=w.speech_ms,
            # Where nobody speaks there is nothing to do.
            status=WorkStatus.WAITING if w.speech_ms else WorkStatus.DONE,
            engine=job.engine,
            model=job.model,
            **columns,
        )
        for number, w in enumerate(windows, start=first)
    )
