"""Have the translator translate some segments of a job, again and again until none is left.

Each run is short, the work of several people takes turns, and what a killed worker has stored is not
asked for again. However long a transcript is, only some segments of it are in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Protocol, TypeVar

from django.conf import settings
from django.db import connection

from jobs_app.engines import usage
from jobs_app.engines.language_names import language_name
from jobs_app.lifecycle.translation import end_translating, store_translations
from jobs_app.lifecycle.untranslated import untranslated
from jobs_app.models import JobStep, SegmentKind, TranscriptionJob
from jobs_app.vocabulary.vocabulary import targets_of
from jobs_app.work.guard import LeaseLost, Run
from speech.engines.base import TranscribeOptions
from speech.engines.providers import Provider
from speech.errors import NotSupported, SpeechError
from speech.translation.prompt import Done, Line
from speech.translation.translator import CONTEXT, Asked, batch_of, fewer, translate
from speech.types import Transcription

T = TypeVar("T")

RUN_S = 60
"""A run ends with the first answer after this time, so that other work of the translator has a turn."""
MOST_REQUESTS = 10
"""The most requests until a part of a batch is translated: a batch is halved, down to one segment."""
MOST_UNTRANSLATED = 10
"""If the translator can translate none of so many segments, it is asked about no more."""


class TranslatorUnable(SpeechError):
    code = "translation_failed"
    permanent = True
    message = "The translator answers nothing that can be used. Look at TRANSLATOR_MODEL."


class Persist(Protocol):
    """Calls a function that changes the database, again if the database does not answer."""

    def __call__(self, change: Callable[[], T], /) -> T: ...


def translate_some(step: JobStep, run: Run, persist: Persist, answered: Callable[[int], object]) -> None:
    """Translate the next segments, store them, and end the run.

    `answered` is called with the number of requests after each that the translator has answered.

    Raises:
        LeaseLost: the step no longer belongs to this run.
        SpeechError: the translator gives no answer, or there is none.
    """
    provider = settings.TRANSLATOR
    if provider is None:
        raise NotSupported("There is no translator here any more. Set TRANSLATOR_MODEL to have one.")
    job = persist(partial(_fresh, step))
    batch, ends_ms, before = persist(partial(_next, job, step.attempt))
    # What comes before the batch is translated, or needs no translation.
    run.advance(min(ends_ms.values(), default=0))
    waiting = False

    def wait() -> None:
        nonlocal waiting
        waiting = True
        run.advance(0)
        waiting = False

    parts = translate(
        chat_of(provider),
        language_name(job.short_options.translate_to),
        batch,
        before=before,
        glossary=persist(partial(targets_of, step.owner_id)),
        on_wait=wait,
    )
    began, failed = time.monotonic(), 0
    try:
        # The answers may take minutes, and other threads and processes need the connection.
        connection.close()
        for part in parts:
            answered(part.cost.requests)
            if not persist(partial(store_translations, step, part.lines, part.texts, part.cost)):
                raise LeaseLost(str(step))
            run.advance(max(ends_ms[line.id] for line in part.lines))
            failed += not part.texts
            if failed >= MOST_UNTRANSLATED and not persist(partial(_any_translated, job)):
                raise TranslatorUnable
            if time.monotonic() - began > RUN_S:
                break
            connection.close()
    except LeaseLost:
        if waiting:
            # A request is given up whose answer nobody knows.
            persist(partial(usage.add_tokens, job.pk, 1))
        raise
    if not persist(partial(end_translating, step)):
        raise LeaseLost(str(step))


@cache
def chat_of(provider: Provider) -> Asked:
    # The official client takes long to load, and only those need it who translate.
    from speech.engines.openai.chat import Chat

    return Chat(provider)


def _fresh(step: JobStep) -> TranscriptionJob:
    job = None if step.job_id is None else TranscriptionJob.objects.filter(pk=step.job_id).first()
    if job is None:
        raise LeaseLost(f"the job of {step} was deleted")
    return job


def _next(job: TranscriptionJob, attempt: int) -> tuple[list[Line], dict[int, int], list[Done]]:
    """Return the next segments to translate, when each ends, and some translated ones before them."""
    most = settings.TRANSLATOR_MAX_SEGMENTS
    rows = list(untranslated(job)[:most])
    lines = [Line(id=row.pk, text=row.text, speaker=row.speaker) for row in rows]
    batch = batch_of(lines, most=most, most_characters=settings.TRANSLATOR_MAX_CHARACTERS)
    # A translator that was late or failed may manage less.
    batch = batch[: fewer(len(batch), attempt)]
    before = job.segments.filter(kind=SegmentKind.FINAL, translated_text__gt="")
    if rows:
        before = before.filter(start_ms__lte=rows[0].start_ms)
    context = [
        Done(row.text, row.translated_text or "") for row in before.order_by("-start_ms", "-number")[:CONTEXT]
    ]
    return batch, {row.pk: row.end_ms for row in rows}, context[::-1]


def _any_translated(job: TranscriptionJob) -> bool:
    return job.segments.filter(translated_text__gt="").exists()


def with_translation(
    heard: Transcription, asked: TranscribeOptions, transcribe: Callable[[TranscribeOptions], Transcription]
) -> Transcription:
    """Return what was heard, with its translation by the engine if it is in another language than that.

    `asked` is what is asked of the engine for the translation.
    """
    languages = {segment.language or heard.language for segment in heard.segments}
    if languages <= {asked.translate_to}:
        return heard
    try:
        translated = transcribe(
            replace(asked, language=languages.pop() if len(languages) == 1 else asked.language)
        )
    except SpeechError as e:
        e.requests += heard.requests
        raise
    return replace(
        heard,
        translation=translated.segments,
        requests=heard.requests + translated.requests,
        audio_ms=heard.audio_ms + translated.audio_ms,
    )
