"""Join the pieces of a recording into one file for listening.

This is a unit of work of the sound, not of a job.

It can begin as soon as all pieces have their place on the timeline. If people wait for the text of the
recording, joining comes after all interactive work of its owner and before the owner's uploads. If the
recording ranks with the uploads, joining comes after its text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models.functions import Now

from jobs_app.leases import queue
from jobs_app.leases.held import release
from jobs_app.leases.locks import lock_sound
from jobs_app.leases.ranks import rank, rank_of
from jobs_app.lifecycle.sound_tracks import store_peaks
from jobs_app.models import (
    WORK_OPEN,
    JobPriority,
    JobStep,
    SoundTrack,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.recordings import Recording
from jobs_app.storage import loose_files

if TYPE_CHECKING:
    from jobs_app.work.timeline import JoinedFile


def begin_joining(sound: SoundTrack, job: TranscriptionJob, *, owner_id: int) -> None:
    """Have the pieces of `sound` joined, unless that is done or there is only one.

    The caller holds the lock on `sound`. `job` is the job whose text comes before the joining.
    """
    if sound.joined or not sound.session.is_in_pieces():
        return
    waited_for = job.interactive and not job.yields
    columns = {
        "owner_id": owner_id,
        "rank": rank(interactive=False, priority=JobPriority.HIGH) if waited_for else rank_of(job),
        "queued_at": Now(),
        # This is more than any window of the job has left, so that joining comes after all of them.
        "left_ms": 0 if waited_for else (sound.duration_ms or 0) + 1,
        "status": WorkStatus.WAITING,
        "attempt": 0,
        "not_before": Now(),
    }
    steps = JobStep.objects.filter(sound=sound, kind=StepKind.JOIN)
    # A step that waits or runs is left alone; a step that failed is tried again.
    if steps.exclude(status__in=WORK_OPEN).update(**columns, error_code="", error="", finished_at=None):
        queue.wake_on_commit()
    elif not steps.exists():
        JobStep.objects.create(sound=sound, kind=StepKind.JOIN, **columns)
        queue.wake_on_commit()


def is_being_joined(session: Recording) -> bool:
    """Return whether a recording will soon be available as one file."""
    return JobStep.objects.filter(
        sound__session=session.pk, kind=StepKind.JOIN, status__in=WORK_OPEN
    ).exists()


@transaction.atomic
def finish_joining(step: JobStep, joined: JoinedFile) -> bool:
    """Store where the joined file is. Return False if the step no longer belongs to this run."""
    assert step.sound_id is not None  # noqa: S101  joining is of a sound
    sound = lock_sound(step.sound_id)
    if sound is None or not release(step, WorkStatus.DONE, error_code="", error=""):
        return False
    loose_files.adopt(joined.name)
    sound.joined, sound.joined_bytes = joined.name, joined.size_bytes
    sound.save(update_fields=["joined", "joined_bytes"])
    store_peaks(sound, joined.peaks)
    return True
