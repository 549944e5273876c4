"""What people say of the speakers of a transcript: names, who is the same, and how many there are.

Each function is one short transaction, which locks the job.
"""

from __future__ import annotations

import uuid

from django.db import transaction

from jobs_app.engines.resolving import check_count
from jobs_app.leases import queue
from jobs_app.leases.locks import lock_job
from jobs_app.leases.ranks import rank
from jobs_app.lifecycle.carrying import tidy_name
from jobs_app.lifecycle.speakers import measure
from jobs_app.lifecycle.starting import work_columns
from jobs_app.models import (
    WORK_OPEN,
    JobPriority,
    JobStatus,
    JobStep,
    Speaker,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.models.speakers import SpeakerCount
from rest.refusals import NotReady, Refusal, WrongState


class NoSuchSpeaker(Refusal):
    """The transcript has no speaker with this label."""

    status = 422
    code = "no_such_speaker"
    sentence = "This transcript has no speaker with this label. Take a label of its speakers."


def lock_told(job_id: uuid.UUID) -> TranscriptionJob:
    """Lock a job whose speakers are told apart.

    Raises:
        NotReady: nobody is told apart in this transcript.
    """
    job = lock_job(job_id)
    if job is None or not job.speakers.exists():
        raise NotReady("Nobody is told apart in this transcript. Have its speakers told apart first.")
    return job


def find_speaker(job: TranscriptionJob, label: str) -> Speaker:
    """Return the speaker with this label.

    Raises:
        NoSuchSpeaker: there is none.
    """
    speaker = job.speakers.filter(label=label).first()
    if speaker is None:
        raise NoSuchSpeaker(f"This transcript has no speaker {label[:40]!r}. Take a label of its speakers.")
    return speaker


@transaction.atomic
def rename_speaker(job_id: uuid.UUID, label: str, name: str) -> None:
    """Give a speaker a name; an empty one takes it away.

    Raises:
        NotReady: nobody is told apart in this transcript.
        NoSuchSpeaker: it has no speaker with this label.
    """
    job = lock_told(job_id)
    speaker = find_speaker(job, label)
    speaker.name = tidy_name(name)
    speaker.save(update_fields=["name"])


@transaction.atomic
def merge_speakers(job_id: uuid.UUID, label: str, into: str | None) -> None:
    """Show a speaker, and those who are merged into it, as another one; with None, by itself again.

    Raises:
        NotReady: nobody is told apart in this transcript.
        NoSuchSpeaker: it has no speaker with one of these labels.
    """
    job = lock_told(job_id)
    speaker = find_speaker(job, label)
    if into is None:
        speaker.merged_into = None
        speaker.save(update_fields=["merged_into"])
    else:
        other = find_speaker(job, into)
        target = other.merged_into or other
        if target.pk != speaker.pk:
            job.speakers.filter(merged_into=speaker).update(merged_into=target)
            job.speakers.filter(pk=speaker.pk).update(merged_into=target)
    measure(job)


@transaction.atomic
def ask_for_speakers(job_id: uuid.UUID, count: SpeakerCount) -> None:
    """Have the speakers of a completed transcript told apart anew, or for the first time.

    Raises:
        WrongState: the job has no transcript yet, or never will.
        NotSupported: the numbers contradict each other.
    """
    check_count(count.at_least, count.at_most)
    job = lock_job(job_id)
    if job is None or job.status != JobStatus.COMPLETED:
        raise WrongState("This job has no transcript yet. Ask again when it is completed.")
    job.stored_options |= {
        "diarize": True,
        "num_speakers": count.exactly,
        "min_speakers": count.at_least,
        "max_speakers": count.at_most,
    }
    job.save(update_fields=["stored_options"])
    steps = job.steps.filter(kind=StepKind.SPEAKERS)
    # A run that goes on finds that the number has changed.
    if steps.filter(status__in=WORK_OPEN).exists():
        return
    steps.delete()
    # A person waits for this step, as for corrections.
    columns = work_columns(job, job.owner_id)
    columns |= {"rank": rank(interactive=False, priority=JobPriority.HIGH), "left_ms": 0}
    JobStep.objects.create(kind=StepKind.SPEAKERS, **columns)
    queue.wake_on_commit()


def speakers_step_of(job: TranscriptionJob) -> str:
    """Return `waiting`, `running` or `failed` if speakers are being told apart anew; else an empty text.

    It costs one query for a completed job with speakers, and none for any other.
    """
    if job.status != JobStatus.COMPLETED or not job.short_options.diarize:
        return ""
    steps = job.steps.filter(kind=StepKind.SPEAKERS, status__in=(*WORK_OPEN, WorkStatus.FAILED))
    return steps.values_list("status", flat=True).first() or ""
