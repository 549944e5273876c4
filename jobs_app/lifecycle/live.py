"""Begin and end the step LIVE of a job, in which live hosts hear a recording while it is spoken.

Each function is one short transaction, or part of one, which locks the job before its work.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Now

from jobs_app.engines.offered import capabilities_of
from jobs_app.leases import queue
from jobs_app.leases.held import release
from jobs_app.leases.locks import lock_job, lock_sound
from jobs_app.lifecycle.finals import write_batch
from jobs_app.lifecycle.finishing import close_if_complete
from jobs_app.lifecycle.joining import begin_joining
from jobs_app.lifecycle.starting import add_step, prepare_again
from jobs_app.models import (
    WORK_OPEN,
    JobStep,
    LiveHost,
    LiveText,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.recordings import Recording
from rest.refusals import Refusal
from speech.errors import NotSupported

logger = logging.getLogger(__name__)

UNHEARD_AFTER = timedelta(seconds=30)
"""A recording that waits so long for a live host is transcribed in windows."""


class LiveUnavailable(Refusal):
    """The recording cannot be heard live. It goes on as any other."""

    status = 503
    code = "live_unavailable"
    sentence = "There are no live words now; the text follows. The recording goes on, and nothing is lost."


def open_live(session: Recording) -> None:
    """Have live hosts hear a recording from where its text ends. If they do already, nothing changes.

    Raises:
        LiveUnavailable: its engine cannot do that, or no live host has time for it.
    """
    with transaction.atomic():
        jobs = TranscriptionJob.objects.active().select_for_update(of=("self",)).select_related("session")
        job = jobs.filter(session=session.pk).first()
        if job is not None:
            # This is read after the job is locked, because whoever ends the recording locks it, too.
            job.session.refresh_from_db(fields=["finished_at"])
        if job is None or job.session.finished_at is not None:
            raise LiveUnavailable("This recording has ended, so there is nothing to hear any more.")
        _check_engine(job)
        step = job.steps.filter(kind=StepKind.LIVE).first()
        if step is not None and step.status == WorkStatus.RUNNING:
            return
        _check_hosts(job)
        LiveText.objects.get_or_create(job=job)
        if step is None:
            add_step(job, StepKind.LIVE, owner_id=session.owner_id)
        elif step.status != WorkStatus.WAITING:
            job.steps.filter(pk=step.pk).update(
                status=WorkStatus.WAITING,
                attempt=0,
                not_before=Now(),
                error_code="",
                error="",
                finished_at=None,
            )


def _check_engine(job: TranscriptionJob) -> None:
    options = job.short_options
    try:
        able = capabilities_of(options.engine, options.model)
    except NotSupported as e:
        raise LiveUnavailable from e
    if not able.live:
        raise LiveUnavailable(
            f"The engine {options.engine} does not hear recordings while they are spoken; the text follows. "
            "Choose the engine of this server for live words."
        )
    if options.translate_to and not options.translator:
        raise LiveUnavailable("Translations are made when the recording is longer; the text follows.")


def _check_hosts(job: TranscriptionJob) -> None:
    hosts = LiveHost.objects.alive()
    if not hosts.exists():
        raise LiveUnavailable("This server hears nothing live at the moment; the text follows.")
    free = hosts.filter(finals_share__lt=settings.LIVE_FINALS_PERCENT).aggregate(
        n=Count("pk"), sessions=Sum("sessions")
    )
    waiting = JobStep.objects.filter(kind=StepKind.LIVE, status=WorkStatus.WAITING).exclude(job=job)
    if free["n"] * settings.LIVE_SESSIONS - (free["sessions"] or 0) <= waiting.count():
        raise LiveUnavailable("Too much is going on for live words; the text follows.")


def is_live(job: TranscriptionJob) -> bool:
    """Return whether live hosts hear the job's recording, or will do so soon."""
    return job.steps.filter(kind=StepKind.LIVE, status__in=WORK_OPEN).exists()


def was_live_since(job: TranscriptionJob, moment: datetime | None) -> bool:
    """Return whether live hosts hear the job's recording, or have heard it after `moment`."""
    steps = job.steps.filter(kind=StepKind.LIVE)
    return steps.filter(Q(status__in=WORK_OPEN) | Q(finished_at__gte=moment)).exists()


@transaction.atomic
def end_live(step: JobStep, end_ms: int) -> bool:
    """End the step: all audio before `end_ms` is heard. Workers do what comes behind, if more comes.

    Return False if the step no longer belongs to this run.
    """
    job = lock_job(step.job_id)
    if job is None or not release(step, WorkStatus.DONE, error_code="", error=""):
        return False
    write_batch(job, end_ms)
    _go_on_in_windows(job, owner_id=step.owner_id)
    return True


def hand_over(job: TranscriptionJob, *, owner_id: int) -> None:
    """Have workers go on in windows where live hosts, which gave up, have stopped.

    The caller holds the lock on `job`, and has ended its step LIVE.
    """
    write_batch(job)
    _go_on_in_windows(job, owner_id=owner_id)


def _go_on_in_windows(job: TranscriptionJob, *, owner_id: int) -> None:
    LiveText.objects.filter(job=job).update(version=F("version") + 1, interim=None, final_ms=0)
    if _has_ended(job):
        # Live hosts have heard all of it, and all of it has its place. This saves one more preparation, while
        # somebody waits.
        job.planned = True
        job.save(update_fields=["planned"])
        sound = lock_sound(job.sound_id)
        if sound is not None:
            begin_joining(sound, job, owner_id=owner_id)
        close_if_complete(job, owner_id=owner_id)
    else:
        prepare_again(job, owner_id=owner_id)
    queue.wake_on_commit()


def _has_ended(job: TranscriptionJob) -> bool:
    """Return whether the recording has ended, is placed and is planned to its end."""
    prepared = job.steps.filter(kind=StepKind.PREPARE, status=WorkStatus.DONE).exists()
    return (
        job.session.finished_at is not None
        and prepared
        and job.sound.duration_ms is not None
        and job.planned_ms >= job.sound.duration_ms
    )


def hand_over_unheard() -> int:
    """Have workers transcribe the recordings that no live host takes. Return how many.

    Otherwise a recording would wait for ever, if the server is started again without live hosts.
    """
    waiting = JobStep.objects.filter(kind=StepKind.LIVE, status=WorkStatus.WAITING)
    unheard = waiting.filter(not_before__lt=Now() - UNHEARD_AFTER)
    n = 0
    for step in unheard:
        with transaction.atomic():
            job = lock_job(step.job_id)
            if job is None or not unheard.filter(pk=step.pk).update(
                status=WorkStatus.DONE, finished_at=Now(), not_before=Now()
            ):
                continue
            logger.warning("%s: no live host took it; its text follows in windows", job)
            hand_over(job, owner_id=step.owner_id)
            n += 1
    return n
