"""Store what the translator answers about the segments of a job.

Each function is one short transaction, or part of one, which locks the job before its work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction
from django.db.models.functions import Now

from jobs_app.engines import usage
from jobs_app.leases.held import held, release
from jobs_app.leases.locks import lock_job
from jobs_app.lifecycle.finishing import close_if_complete
from jobs_app.lifecycle.summary import summarise
from jobs_app.lifecycle.untranslated import untranslated
from jobs_app.models import (
    JobStatus,
    JobStep,
    Segment,
    Transcript,
    TranscriptionJob,
    TranslationState,
    WorkStatus,
)
from speech.translation.prompt import Line
from speech.translation.translator import Cost


@transaction.atomic
def store_translations(step: JobStep, lines: Sequence[Line], texts: Mapping[int, str], cost: Cost) -> bool:
    """Store the translations of `lines`, and what they cost. Lines without a text cannot be translated.

    Their ids are those of segments. Return False, and store only the cost, if the step no longer belongs to
    this run.
    """
    job = lock_job(step.job_id)
    if job is None:
        return False
    usage.add_tokens(job.pk, cost.requests, input_tokens=cost.input_tokens, output_tokens=cost.output_tokens)
    if not held(step).exists():
        return False
    sent = {line.id: line.text for line in lines}
    # What was corrected or cut meanwhile is asked about again.
    rows = [row for row in job.segments.filter(pk__in=sent) if row.text == sent[row.pk]]
    for row in rows:
        row.translated_text = texts.get(row.pk, "")
    Segment.objects.bulk_update(rows, ["translated_text"])
    return True


@transaction.atomic
def end_translating(step: JobStep) -> bool:
    """End a run. The step waits for its next one if there is more to translate; else the job goes on.

    Return False if the step no longer belongs to this run.
    """
    job = lock_job(step.job_id)
    if job is None or not held(step).exists():
        return False
    if untranslated(job).exists():
        # Attempts are counted for each run, because each one is a piece of work of its own.
        return release(
            step, WorkStatus.WAITING, attempt=0, outage_since=None, not_before=Now(), error_code="", error=""
        )
    release(step, WorkStatus.DONE, outage_since=None, error_code="", error="")
    note_translation(job, owner_id=step.owner_id)
    close_if_complete(job, owner_id=step.owner_id)
    return True


def note_translation(job: TranscriptionJob, *, owner_id: int) -> None:
    """Store how much of a job the translator has translated. The caller holds the lock on `job`.

    The translator is asked no more. A translation never costs a job its text.
    """
    failed = job.segments.filter(translated_text="").count() + untranslated(job).count()
    state = TranslationState.PARTLY if failed else TranslationState.DONE
    if not job.segments.filter(translated_text__gt="").exists():
        state = TranslationState.FAILED
    Transcript.objects.filter(job=job).update(translation_state=state, n_untranslated=failed)
    if job.status == JobStatus.COMPLETED:
        summarise(job, owner_id=owner_id)
