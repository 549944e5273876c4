"""Close jobs that no other code would close, because a process ended between two transactions."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models import Exists, OuterRef

from jobs_app.leases.held import WORK_MODELS
from jobs_app.leases.locks import lock_job
from jobs_app.lifecycle.finishing import close_if_complete
from jobs_app.models import WORK_OPEN, TranscriptionJob

UNCLOSED_AT_ONCE = 500


def unclosed_jobs() -> list[uuid.UUID]:
    """Return active jobs without open work. A process ended between two of its transactions."""
    jobs = TranscriptionJob.objects.active().order_by()
    for model in WORK_MODELS:
        for status in WORK_OPEN:
            # There is one condition for each status. So the index of waiting or running work can answer it,
            # and the history of all finished work is not read.
            jobs = jobs.filter(~Exists(model._default_manager.filter(job=OuterRef("pk"), status=status)))
    return list(jobs.values_list("pk", flat=True)[:UNCLOSED_AT_ONCE])


@transaction.atomic
def close_job(job_id: uuid.UUID) -> None:
    """Close a job whose work has all ended, if an error kept it from closing. The sweeper calls this."""
    job = lock_job(job_id)
    if job is not None:
        close_if_complete(job, owner_id=job.session.owner_id)
