"""Begin the step SPEAKERS of a job, and store what it hears of the voices in each window.

Each function is one short transaction, or part of one, which locks the job before its work.
"""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobs_app.leases import queue
from jobs_app.leases.held import held
from jobs_app.leases.locks import lock_job
from jobs_app.lifecycle.starting import add_step
from jobs_app.models import (
    WORK_OPEN,
    ChunkTranscription,
    JobStep,
    SpeakersState,
    StepKind,
    Transcript,
    TranscriptionJob,
    WindowVoices,
    WorkStatus,
)


def unheard(job: TranscriptionJob) -> QuerySet[ChunkTranscription]:
    """Return the windows in which somebody speaks and no voices were heard yet, as far as audio is placed."""
    windows = job.windows.filter(status=WorkStatus.DONE, speech_ms__gt=0, voices=None)
    return windows.filter(end_ms__lte=job.sound.duration_ms or 0).order_by("start_ms")


def are_speakers_due(job: TranscriptionJob) -> bool:
    """Return whether speakers are still to be told apart. It costs no query for a job without speakers."""
    transcripts = Transcript.objects.filter(job=job, speakers_state=SpeakersState.NONE)
    return job.short_options.diarize and transcripts.exists()


def hear_voices_so_far(job: TranscriptionJob, *, owner_id: int) -> None:
    """Have voices heard in windows where that was not done with the text. The caller holds the lock on `job`.

    These are windows that were heard live, or that a provider transcribes. So while a recording goes on, only
    the last of its voices are left for its end. A step that has ended its worker at each attempt is left for
    the end, too: otherwise it would end workers again with each new window.
    """
    if not job.short_options.diarize:
        return
    lost = job.steps.filter(
        kind=StepKind.SPEAKERS, status=WorkStatus.FAILED, attempt__gte=settings.MAX_ATTEMPTS
    )
    if unheard(job).exists() and not lost.exists():
        begin_speakers(job, owner_id=owner_id)


def begin_speakers(job: TranscriptionJob, *, owner_id: int) -> None:
    """Have the step SPEAKERS done, or done again. The caller holds the lock on `job`."""
    steps = job.steps.filter(kind=StepKind.SPEAKERS)
    again = steps.exclude(status__in=WORK_OPEN).update(
        status=WorkStatus.WAITING, attempt=0, not_before=Now(), error_code="", error="", finished_at=None
    )
    if not again and not steps.exists():
        add_step(job, StepKind.SPEAKERS, owner_id=owner_id)
    queue.wake_on_commit()


def keep_voices(window: ChunkTranscription, packed: bytes) -> None:
    """Keep what was heard of a window. The caller holds the lock on its job."""
    WindowVoices.objects.update_or_create(window=window, defaults={"packed": packed})


@transaction.atomic
def store_voices(step: JobStep, window: ChunkTranscription, packed: bytes) -> bool:
    """Store what was heard of a window. Return False if the step no longer belongs to this run."""
    job = lock_job(step.job_id)
    if job is None or not held(step).exists():
        return False
    # A late chunk may have taken the window away.
    if job.windows.filter(pk=window.pk).exists():
        keep_voices(window, packed)
    return True
