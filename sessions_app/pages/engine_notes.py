"""Tell people about the engines of a job: which ones did the work, where its audio was sent, and which server
it waits for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet

from jobs_app.engines.usage import engines_used
from jobs_app.models import JobStage, ProviderState, StepKind, TranscriptionJob, WorkStatus
from jobs_app.watching.overview import provider_states
from speech.engines.providers import TRANSLATOR

NO_WORD_TIMES = {
    "segments": "The engine gave no times of single words: the text is placed sentence by sentence.",
    "window": "The engine gave no word times: the text is placed in parts of about a minute.",
}

NOT_ASKED_FOR = (
    "Who sent it asked for text without times of words: the text is placed sentence by sentence. "
    "Transcribe it again to have the times of words."
)


def timing_note(job: TranscriptionJob) -> str:
    """Return why the transcript has no times of words; empty if it has."""
    timing = job.transcript.timing
    if timing == "segments" and not job.options.word_times:
        return NOT_ASKED_FOR
    return NO_WORD_TIMES.get(timing, "")


@dataclass(frozen=True, slots=True)
class Pause:
    """A speech server that the job waits for.

    `busy` is true if the server answers, but asks for fewer requests; it is false if the server does not
    answer.
    """

    engine: str
    busy: bool
    until: datetime


def sent_to(job: TranscriptionJob) -> str:
    """Return the hosts that get or got the audio of the job.

    The text is empty if the audio stays on this machine, or if the providers are no longer in the settings.
    """
    names = [job.engine]
    fallback = job.short_options.fallback_engine
    if fallback in settings.PROVIDERS and job.windows.filter(engine=fallback).exists():
        names.append(fallback)
    hosts = [settings.PROVIDERS[name].host for name in names if name in settings.PROVIDERS]
    return ", ".join(dict.fromkeys(hosts))


def text_sent_to(job: TranscriptionJob) -> str:
    """Return the host of the translator that gets or got the text of the job; empty if none did."""
    translator = settings.TRANSLATOR
    if translator is None or not job.short_options.translator:
        return ""
    return translator.host if job.steps.filter(kind=StepKind.TRANSLATE).exists() else ""


def fallback_note(job: TranscriptionJob) -> str:
    """Return how many windows engines other than the job's own did, and why; empty if there are none."""
    if not job.short_options.fallback_engine:
        return ""
    used = engines_used(job.pk)
    total = sum(row["windows"] for row in used)
    others = [row for row in used if (row["engine"], row["model"]) != (job.engine, job.model)]
    if not others:
        return ""
    by = " and ".join(f"{row['windows']} by {row['engine']} ({row['model']})" for row in others)
    reasons = job.windows.filter(status=WorkStatus.DONE).exclude(fallback_reason="")
    reason = reasons.order_by("number").values_list("fallback_reason", flat=True).first()
    parts = f"{total} part{'s' if total > 1 else ''}"
    return f"Of {parts}, {by} instead of {job.engine}. {reason or ''}".strip()


def pause_of(job: TranscriptionJob) -> Pause | None:
    """Return the speech server that the job waits for at the moment, if there is one."""
    if job.stage == JobStage.TRANSLATING:
        return _pause(provider_states().filter(name=TRANSLATOR))
    engines = {job.engine, job.short_options.fallback_engine}
    if job.stage != JobStage.TRANSCRIBING or not settings.PROVIDERS.keys() & engines:
        return None
    waiting = job.windows.filter(status=WorkStatus.WAITING).order_by().values("engine")
    return _pause(provider_states().filter(name__in=waiting))


def _pause(states: QuerySet[ProviderState]) -> Pause | None:
    for state in states:
        if state.is_paused and state.paused_until is not None:
            return Pause(state.name, busy=state.down_since is None, until=state.paused_until)
    return None
