"""The order in which rows are locked, so that no two transactions wait for each other.

    recording -> job -> its units of work -> its live text
                 job -> sound -> the unit that joins it
    provider -> a unit of work -> turn
    person -> job -> known voice

Each transaction locks the rows that it needs in one of these orders, and may leave out any of them. A
recording locks its own row (`jobs_app.recordings.Recording.lock`). The guard of a process, which renews the
leases of many jobs at once, waits for no lock.
"""

from __future__ import annotations

import uuid

from jobs_app.models import SoundTrack, TranscriptionJob


def lock_job(job_id: uuid.UUID | None) -> TranscriptionJob | None:
    """Lock a job, and return it with its sound, which is not locked; None if the job was deleted."""
    jobs = TranscriptionJob.objects.select_for_update(of=("self",)).select_related("sound")
    return None if job_id is None else jobs.filter(pk=job_id).first()


def lock_sound(sound_id: int) -> SoundTrack | None:
    """Lock a sound, and return it; None if it was deleted."""
    return SoundTrack.objects.select_for_update().filter(pk=sound_id).first()
