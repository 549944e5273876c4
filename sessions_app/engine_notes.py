"""What people are told of a job's engines: which did it, how fine its times are, what it used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from jobs_app.models import JobStage, TranscriptionJob, WorkStatus
from jobs_app.overview import provider_states
from jobs_app.transcripts import engines_used
from sessions_app.templatetags.display import length_of

NO_WORD_TIMES = {
    "segments": "The engine gave no times of single words: the text is placed sentence by sentence.",
    "window": "The engine gave no word times: the text is placed in parts of about a minute.",
}


@dataclass(frozen=True, slots=True)
class Pause:
    """A speech server that the job waits for. `busy`: it answers, and wants fewer requests."""

    engine: str
    busy: bool
    until: datetime


def sent_to(job: TranscriptionJob) -> str:
    """The servers that get or got its audio; empty where it stays here, or nobody knows them any more."""
    names = [job.engine]
    fallback = job.fallback_engine
    if fallback in settings.PROVIDERS and job.chunktranscriptions.filter(engine=fallback).exists():
        names.append(fallback)
    hosts = [settings.PROVIDERS[name].host for name in names if name in settings.PROVIDERS]
    return ", ".join(dict.fromkeys(hosts))


def fallback_note(job: TranscriptionJob) -> str:
    """How much another engine did than the job's own, and why; empty when none did."""
    if not job.fallback_engine:
        return ""
    used = engines_used(job)
    total = sum(row["windows"] for row in used)
    others = [row for row in used if (row["engine"], row["model"]) != (job.engine, job.model)]
    if not others:
        return ""
    by = " and ".join(f"{row['windows']} by {row['engine']} ({row['model']})" for row in others)
    reasons = job.chunktranscriptions.filter(status=WorkStatus.DONE).exclude(fallback_reason="")
    reason = reasons.order_by("number").values_list("fallback_reason", flat=True).first()
    parts = f"{total} part{'s' if total > 1 else ''}"
    return f"Of {parts}, {by} instead of {job.engine}. {reason or ''}".strip()


def usage_note(job: TranscriptionJob) -> str:
    """What the job took of speech servers; empty when nothing."""
    if not job.provider_requests:
        return ""
    requests = f"{job.provider_requests} request{'s' if job.provider_requests > 1 else ''}"
    said = f"{requests}, {length_of(job.provider_audio_ms)} of audio"
    return f"{said}, cost {job.provider_cost.normalize():f}" if job.provider_cost else said


def pause_of(job: TranscriptionJob) -> Pause | None:
    """The speech server that keeps the job waiting at the moment."""
    engines = {job.engine, job.fallback_engine}
    if job.stage != JobStage.TRANSCRIBING or not settings.PROVIDERS.keys() & engines:
        return None
    waiting = job.chunktranscriptions.filter(status=WorkStatus.WAITING).order_by().values("engine")
    state = provider_states().filter(is_paused=True, name__in=waiting).first()
    return state and Pause(state.name, busy=state.down_since is None, until=state.paused_until)
