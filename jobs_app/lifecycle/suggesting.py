"""Which known voices the speakers of a job may sound like, and what was found."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from django.conf import settings

from jobs_app.models import KnownVoice, KnownVoiceSample, TranscriptionJob, VoiceSuggestion


def profiles_for(job: TranscriptionJob) -> dict[uuid.UUID, list[bytes]]:
    """Return the vectors of the voices that the owner of `job` has saved, but for those that were rejected.

    There are none if the owner, or the site, has not turned them on.
    """
    profiles: dict[uuid.UUID, list[bytes]] = {}
    if settings.KNOWN_VOICES:
        rejected = job.voice_suggestions.filter(rejected=True).values("voice_id")
        samples = KnownVoiceSample.objects.filter(voice__owner=job.owner_id, voice__owner__known_voices=True)
        rows = samples.exclude(voice_id__in=rejected).order_by().values_list("voice_id", "packed")
        for voice_id, packed in rows:
            profiles.setdefault(voice_id, []).append(bytes(packed))
    return profiles


def store_suggestions(job: TranscriptionJob, suggested: Mapping[str, tuple[uuid.UUID, float]]) -> None:
    """Store whom the speakers sound like, by their labels, in place of what was found before.

    The caller holds the lock on `job`.
    """
    job.voice_suggestions.filter(rejected=False).delete()
    if not suggested:
        return
    wanted = [voice_id for voice_id, _ in suggested.values()]
    # Whoever deletes one of them waits until this is stored.
    voices = KnownVoice.objects.select_for_update().filter(pk__in=wanted).order_by("pk")
    there = set(voices.values_list("pk", flat=True))
    rows = [
        VoiceSuggestion(job=job, voice_id=voice_id, label=label, certainty=certainty)
        for label, (voice_id, certainty) in suggested.items()
        if voice_id in there
    ]
    # One that was rejected meanwhile stays so.
    VoiceSuggestion.objects.bulk_create(rows, ignore_conflicts=True)


def carry_rejections(job: TranscriptionJob, before: TranscriptionJob) -> None:
    """Reject in `job` what people rejected in the job before it. The caller holds the lock on `job`."""
    if before.pk == job.pk:
        return
    wanted = before.voice_suggestions.filter(rejected=True).values("voice_id")
    voices = KnownVoice.objects.select_for_update().filter(pk__in=wanted).order_by("pk")
    there = list(voices.values_list("pk", flat=True))
    job.voice_suggestions.filter(voice__in=there).update(rejected=True)
    rows = [VoiceSuggestion(job=job, voice_id=voice_id, rejected=True) for voice_id in there]
    VoiceSuggestion.objects.bulk_create(rows, ignore_conflicts=True)
