"""Find what the translator is still to translate, and begin the step TRANSLATE."""

from __future__ import annotations

from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import Coalesce, Now, NullIf

from jobs_app.leases import queue
from jobs_app.lifecycle.starting import add_step
from jobs_app.models import (
    WORK_OPEN,
    Segment,
    SegmentKind,
    StepKind,
    Transcript,
    TranscriptionJob,
    TranslationState,
    WorkStatus,
)
from speech.text.language_tags import read_language


def untranslated(job: TranscriptionJob) -> QuerySet[Segment]:
    """Return the segments that the translator has not been asked about yet, in the order of time.

    What is spoken in the wanted language needs no translation.
    """
    spoken = Coalesce(
        NullIf("language", Value("")),
        NullIf("window__detected_language", Value("")),
        Value(job.language),
        output_field=CharField(),
    )
    waiting = job.segments.filter(kind=SegmentKind.FINAL, translated_text=None).alias(
        said=Coalesce("corrected_text", "raw_text"), spoken=spoken
    )
    wanted = read_language(job.short_options.translate_to).code
    return waiting.exclude(said="").exclude(spoken=wanted).order_by("start_ms", "number")


def is_translation_due(job: TranscriptionJob) -> bool:
    """Return whether the translator is still to translate. It costs no query if nobody asked for that."""
    transcripts = Transcript.objects.filter(job=job, translation_state=TranslationState.NONE)
    return bool(job.short_options.translator) and transcripts.exists()


def begin_translation(job: TranscriptionJob, *, owner_id: int) -> bool:
    """Have the step TRANSLATE done, or done again. The caller holds the lock on `job`.

    Return False if there is nothing to translate, because all is said in the wanted language or nothing is.
    """
    if not untranslated(job).exists():
        if job.segments.exists():
            new = Transcript.objects.filter(job=job, translation_state=TranslationState.NONE)
            new.update(translation_state=TranslationState.SAME)
        return False
    steps = job.steps.filter(kind=StepKind.TRANSLATE)
    again = steps.exclude(status__in=WORK_OPEN).update(
        status=WorkStatus.WAITING, attempt=0, not_before=Now(), error_code="", error="", finished_at=None
    )
    if not again and not steps.exists():
        add_step(job, StepKind.TRANSLATE, owner_id=owner_id)
    queue.wake_on_commit()
    return True
