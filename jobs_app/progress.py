"""How far a job is, how long it will take, and how many are before it."""

from __future__ import annotations

import uuid

from django.db.models import F, Q, Sum
from django.utils import timezone

from jobs_app.models import (
    ChunkTranscription,
    JobStage,
    JobStatus,
    JobStep,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)

# Of 100: what decoding and planning take, and what joining takes. The windows are the rest.
PREPARE_WEIGHT = 5
FINISH_WEIGHT = 2


def percent(job_id: uuid.UUID) -> int:
    """Audio done over audio in all, weighted by stage: 0 to 99. Costs two small queries."""
    windows = ChunkTranscription.objects.filter(job=job_id).aggregate(
        total=Sum(F("end_ms") - F("start_ms")),
        done=Sum(F("end_ms") - F("start_ms"), filter=Q(status=WorkStatus.DONE)),
        running=Sum("progress_ms", filter=Q(status=WorkStatus.RUNNING)),
    )
    if total := windows["total"]:
        unplanned = TranscriptionJob.objects.filter(pk=job_id, planned=False)
        for duration_ms, finished_at in unplanned.values_list("duration_ms", "session__finished_at"):
            if finished_at is None or not duration_ms:
                return 0  # nobody knows of how much this is a part
            total = max(total, duration_ms)
        part = ((windows["done"] or 0) + (windows["running"] or 0)) / total
        return PREPARE_WEIGHT + int(min(1, part) * (100 - PREPARE_WEIGHT - FINISH_WEIGHT))
    step = (
        JobStep.objects.filter(job=job_id, kind=StepKind.PREPARE)
        .values("progress_ms", "job__duration_ms")
        .first()
    )
    if step is None or not step["job__duration_ms"]:
        return 0
    return int(min(1, step["progress_ms"] / step["job__duration_ms"]) * PREPARE_WEIGHT)


def eta_seconds(job: TranscriptionJob) -> int | None:
    """How long the rest will take if it goes on as it has; None before that can be said."""
    if job.status != JobStatus.PROCESSING or job.started_at is None:
        return None
    # A recording takes as long as it is recorded, and seconds after that.
    if job.interactive:
        return None
    # While it is being prepared the pace says nothing of the engine's; and what an earlier attempt has
    # done, this one has not taken any time for.
    if job.progress <= PREPARE_WEIGHT or job.attempt > 1:
        return None
    elapsed_s = (timezone.now() - job.started_at).total_seconds()
    return round(elapsed_s * (100 - job.progress) / job.progress)


def queue_position(job: TranscriptionJob) -> int | None:
    """1 for the job that is next; None once it has been started.

    Fairness between owners can move a job forward, so this is the latest place it has.
    """
    if job.stage != JobStage.WAITING:
        return None
    own_rank = JobStep.objects.filter(job=job).values_list("rank", flat=True).first()
    if own_rank is None:
        return None
    before = Q(rank__lt=own_rank) | Q(rank=own_rank, queued_at__lt=job.created_at)
    return 1 + JobStep.objects.filter(before, status=WorkStatus.WAITING, job__stage=JobStage.WAITING).count()
