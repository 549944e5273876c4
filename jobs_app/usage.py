"""What jobs have used of providers: requests, minutes of audio, and what those cost."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import F

from jobs_app.models import ChunkTranscription, TranscriptionJob, WorkStatus

MS_PER_MINUTE = 60_000


def add(window: ChunkTranscription, requests: int, *, audio_ms: int = 0) -> None:
    """Count requests that were sent for `window`, and how much audio was answered, at the provider's price.

    To be called in the transaction that stores what came of them, under the job's lock.
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


@transaction.atomic
def add_of_lost_run(window: ChunkTranscription, requests: int, *, audio_ms: int = 0) -> None:
    """Count what was sent by a run that may store nothing else, because its work was taken away."""
    if not TranscriptionJob.objects.select_for_update().filter(pk=window.job_id).exists():
        return
    # Stored by this very run, whose database did not live to say so.
    stored = ChunkTranscription.objects.filter(
        pk=window.pk, status=WorkStatus.DONE, attempt=window.attempt, engine=window.engine
    )
    if not stored.exists():
        add(window, requests, audio_ms=audio_ms)
