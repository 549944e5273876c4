"""Which known voices the speakers of a job may sound like, and what was found."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping

from django.conf import settings

from jobs_app.models import KnownVoice, KnownVoiceSample, TranscriptionJob, VoiceSuggestion


def profiles_of(owner_id: int) -> dict[uuid.UUID, list[bytes]]:
    """Return the vectors of the voices that a person has saved; none if the person has not turned them on."""
    profiles: dict[uuid.UUID, list[bytes]] = {}
    if settings.KNOWN_VOICES:
        samples = KnownVoiceSample.objects.filter(voice__owner=owner_id, voice__owner__known_voices=True)
        for voice_id, packed in samples.order_by().values_list("voice_id", "packed"):
            profiles.setdefault(voice_id, []).append(bytes(packed))
    return profiles


def rejected_in(jobs: Collection[TranscriptionJob]) -> set[uuid.UUID]:
    """Return the voices that people have rejected in any of these jobs."""
    rows = VoiceSuggestion.objects.filter(job__in=jobs, rejected=True)
    return set(rows.values_list("voice_id", flat=True))


def store_suggestions(
    job: TranscriptionJob, suggested: Mapping[str, tuple[uuid.UUID, float]], rejected: Collection[uuid.UUID]
) -> None:
    """Store whom speakers sound like, by their labels. The caller holds the lock on `job`.

    `rejected` are voices that are not to be suggested, if people said so of an earlier job.
    """
    job.voice_suggestions.filter(rejected=False).delete()
    wanted = {voice_id for voice_id, _ in suggested.values()} | set(rejected)
    if not wanted:
        return
    voices = KnownVoice.objects.select_for_update().filter(pk__in=wanted).order_by("pk")
    there = set(voices.values_list("pk", flat=True))
    rows = [
        VoiceSuggestion(job=job, voice_id=voice_id, label=label, certainty=certainty)
        for label, (voice_id, certainty) in suggested.items()
    ]
    rows += [VoiceSuggestion(job=job, voice_id=voice_id, rejected=True) for voice_id in rejected]
    # One that was rejected meanwhile stays so.
    VoiceSuggestion.objects.bulk_create([row for row in rows if row.voice_id in there], ignore_conflicts=True)
