"""Compute how far a job is, how long it will take, and how many jobs are before it."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from functools import reduce
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Q, Sum, Value, When
from django.utils import timezone

from jobs_app.lifecycle.live import is_live
from jobs_app.models import (
    WORK_OPEN,
    ChunkTranscription,
    JobStage,
    JobStatus,
    JobStep,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)

# These are the parts of 100 for decoding and planning, for speakers where they are asked for, and for joining
# the results. The windows are the rest.
PREPARE_WEIGHT = 5
SPEAKERS_WEIGHT = 10
FINISH_WEIGHT = 2
# The part of a translation by the translator, where there is one.
TRANSLATE_WEIGHT = 20
SOON_MS = 30_000
"""So much audio is transcribed in seconds: a window or two."""


def percents(job_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Return the percentage of each job, 0 to 99: audio done divided by all audio, weighted by stage.

    This costs three small queries.
    """
    windows = ChunkTranscription.objects.filter(job__in=job_ids).order_by().values("job")
    by_job = {
        row["job"]: (row["total"] or 0, (row["done"] or 0) + (row["running"] or 0))
        for row in windows.annotate(
            total=Sum(F("end_ms") - F("start_ms")),
            done=Sum(F("end_ms") - F("start_ms"), filter=Q(status=WorkStatus.DONE)),
            running=Sum("progress_ms", filter=Q(status=WorkStatus.RUNNING)),
        )
    }
    steps = JobStep.objects.filter(
        job__in=job_ids, kind__in=(StepKind.PREPARE, StepKind.SPEAKERS, StepKind.TRANSLATE)
    ).values(
        "job",
        "kind",
        "status",
        "progress_ms",
        "job__planned",
        "job__sound__duration_ms",
        "job__session__finished_at",
        "job__stored_options",
    )
    by_kind = {(step["job"], step["kind"]): step for step in steps}
    return {
        job: _percent(
            step,
            *by_job.get(job, (0, 0)),
            telling=by_kind.get((job, StepKind.SPEAKERS)),
            translating=by_kind.get((job, StepKind.TRANSLATE)),
        )
        for (job, kind), step in by_kind.items()
        if kind == StepKind.PREPARE
    }


def _percent(
    step: Mapping[str, Any],
    total: int,
    done: int,
    *,
    telling: Mapping[str, Any] | None,
    translating: Mapping[str, Any] | None,
) -> int:
    """Return the percentage of one job.

    `total` and `done` are the audio of its windows in milliseconds; `telling` and `translating` are its steps
    SPEAKERS and TRANSLATE, if there are any.
    """
    prepared = 1.0
    if not step["job__planned"]:
        if step["job__session__finished_at"] is None or not step["job__sound__duration_ms"]:
            return 0  # the total is not known
        # The length in a header may be too small.
        total = max(total, step["job__sound__duration_ms"], step["progress_ms"])
        prepared = step["progress_ms"] / total
    share = min(1, done / total) if total else 0
    heard_weight = 100 - PREPARE_WEIGHT - FINISH_WEIGHT
    behind = 0.0
    if step["job__stored_options"].get("diarize"):
        heard_weight -= SPEAKERS_WEIGHT
        # Before the text is complete, the step hears what there is, and ends.
        if telling is not None and share == prepared == 1:
            told = telling["progress_ms"] / total if telling["status"] in WORK_OPEN else 1
            behind += SPEAKERS_WEIGHT * min(1, told)
    if step["job__stored_options"].get("translator"):
        heard_weight -= TRANSLATE_WEIGHT
        if translating is not None:
            translated = translating["progress_ms"] / (step["job__sound__duration_ms"] or total or 1)
            behind += TRANSLATE_WEIGHT * min(1, translated)
    return int(prepared * PREPARE_WEIGHT + share * heard_weight + behind)


def raise_progress(percents: Mapping[uuid.UUID, int]) -> None:
    """Raise the progress of these jobs to these percentages. The progress never falls.

    A job that another transaction has locked is skipped, because the next call comes soon.
    """
    if not percents:
        return
    behind = reduce(or_, (Q(pk=pk, progress__lt=percent) for pk, percent in percents.items()))
    jobs = TranscriptionJob.objects.order_by().filter(behind, status=JobStatus.PROCESSING)
    with transaction.atomic():
        free = list(jobs.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
        TranscriptionJob.objects.filter(pk__in=free).update(
            progress=Case(*(When(pk=pk, then=Value(percents[pk])) for pk in free))
        )


def is_finishing(job: TranscriptionJob) -> bool:
    """Return whether the text of a recording stands but for its end, which takes seconds.

    The percentage of such a job is of no use: while a recording goes on nobody knows its length, so that it
    is 0 at the end of the recording. Ask only about recordings that were transcribed while they were made.
    """
    if job.stage == JobStage.WAITING or job.session.finished_at is None:
        return False
    if is_live(job):
        return True
    done_ms = job.windows.filter(status=WorkStatus.DONE).aggregate(ms=Sum(F("end_ms") - F("start_ms")))["ms"]
    return bool(done_ms) and (job.sound.duration_ms or 0) - done_ms <= SOON_MS


def eta_seconds(job: TranscriptionJob) -> int | None:
    """Return how many seconds the rest will take at the present pace; None if that is not known yet."""
    if job.status != JobStatus.PROCESSING or job.started_at is None:
        return None
    # A recording is done a few seconds after it ends, and nobody knows when that will be.
    if job.interactive:
        return None
    # During the preparation, the pace says nothing about the engine's pace. In a later attempt, the progress
    # contains work of earlier attempts, which took no time in this one.
    if job.progress <= PREPARE_WEIGHT or job.attempt > 1:
        return None
    elapsed_s = (timezone.now() - job.started_at).total_seconds()
    return round(elapsed_s * (100 - job.progress) / job.progress)


def queue_position(job: TranscriptionJob) -> int | None:
    """Return the place of the job in the queue: 1 for the job that is next, None once it has been started.

    Fairness between owners can move a job forward, so this is the last place that it can have.
    """
    if job.stage != JobStage.WAITING:
        return None
    steps = JobStep.objects.exclude(kind=StepKind.LIVE)
    own_rank = steps.filter(job=job).values_list("rank", flat=True).first()
    if own_rank is None:
        return None
    before = Q(rank__lt=own_rank) | Q(rank=own_rank, queued_at__lt=job.created_at)
    return 1 + steps.filter(before, status=WorkStatus.WAITING, job__stage=JobStage.WAITING).count()
