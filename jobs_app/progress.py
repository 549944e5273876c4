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
    step = (
        JobStep.objects.filter(job=job_id, kind=StepKind.PREPARE)
        .values("progress_ms", "job__planned", "job__duration_ms", "job__session__finished_at")
        .first()
    )
    if step is None:
        return 0
    total, prepared = windows["total"] or 0, 1.0
    if not step["job__planned"]:
        if step["job__session__finished_at"] is None or not step["job__duration_ms"]:
            return 0  # nobody knows of how much this is a part
        # What a header says may be too little.
        total = max(total, step["job__duration_ms"], step["progress_ms"])
        prepared = step["progress_ms"] / total
    done = ((windows["done"] or 0) + (windows["running"] or 0)) / total if total else 0
    return int(prepared * PREPARE_WEIGHT + min(1, done) * (100 - PREPARE_WEIGHT - FINISH_WEIGHT))


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
