"""Count what jobs use of engines and providers: requests, minutes of audio, and their cost."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TypedDict

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F

from jobs_app.models import ChunkTranscription, TranscriptionJob, WorkStatus

MS_PER_MINUTE = 60_000
TOKENS_PER_PRICE = 1_000_000


class EngineUsed(TypedDict):
    engine: str
    model: str
    windows: int


def add(window: ChunkTranscription, requests: int, *, audio_ms: int = 0) -> None:
    """Count the requests sent for `window`, and the audio that was answered, at the provider's price.

    Call it in the transaction that stores the result, under the job's lock.
    """
    provider = settings.PROVIDERS.get(window.engine)
    if provider is None or not requests:
        return
    cost = (provider.price_per_minute * audio_ms / MS_PER_MINUTE).quantize(Decimal("0.000001"))
    ChunkTranscription.objects.filter(pk=window.pk).update(requests=F("requests") + requests)
    TranscriptionJob.objects.filter(pk=window.job_id).update(
        provider_requests=F("provider_requests") + requests,
        provider_audio_ms=F("provider_audio_ms") + audio_ms,
        provider_cost=F("provider_cost") + cost,
    )


def add_tokens(job_id: uuid.UUID, requests: int, *, input_tokens: int = 0, output_tokens: int = 0) -> None:
    """Count what a job sent to the translator, at the translator's prices.

    Call it in the transaction that stores the result, under the job's lock.
    """
    provider = settings.TRANSLATOR
    if provider is None or not requests:
        return
    cost = provider.input_price * input_tokens + provider.output_price * output_tokens
    TranscriptionJob.objects.filter(pk=job_id).update(
        provider_requests=F("provider_requests") + requests,
        translator_tokens=F("translator_tokens") + input_tokens + output_tokens,
        provider_cost=F("provider_cost") + (cost / TOKENS_PER_PRICE).quantize(Decimal("0.000001")),
    )


@transaction.atomic
def add_of_lost_run(window: ChunkTranscription, requests: int, *, audio_ms: int = 0) -> None:
    """Count the requests of a run whose work was taken away, so that it may store nothing else."""
    if not TranscriptionJob.objects.select_for_update().filter(pk=window.job_id).exists():
        return
    # This run itself has stored them, but the database failed before it could confirm that.
    stored = ChunkTranscription.objects.filter(
        pk=window.pk, status=WorkStatus.DONE, attempt=window.attempt, engine=window.engine
    )
    if not stored.exists():
        add(window, requests, audio_ms=audio_ms)


def engines_used(job_id: uuid.UUID) -> list[EngineUsed]:
    """Return which engines did the windows with speech of a job, most windows first."""
    done = ChunkTranscription.objects.filter(job=job_id, status=WorkStatus.DONE, speech_ms__gt=0).order_by()
    used = done.values("engine", "model").annotate(windows=Count("pk"))
    return list(used.order_by("-windows", "engine", "model"))
