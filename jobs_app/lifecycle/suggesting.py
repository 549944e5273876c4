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
    before = job.voice_suggestions.filter(rejected=False)
    if not suggested and not before.exists():
        return
    there = _lock_voices(job)
    before.delete()
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
    rejected = before.voice_suggestions.filter(rejected=True)
    if not rejected.exists():
        return
    _lock_voices(job)
    # Read only now: one that was deleted has taken its suggestions with it.
    ids = list(rejected.values_list("voice_id", flat=True))
    job.voice_suggestions.filter(voice__in=ids).update(rejected=True)
    rows = [VoiceSuggestion(job=job, voice_id=voice_id, rejected=True) for voice_id in ids]
    VoiceSuggestion.objects.bulk_create(rows, ignore_conflicts=True)


def _lock_voices(job: TranscriptionJob) -> set[uuid.UUID]:
    """Lock the voices of the owner of a job, and return which there are. Whoever deletes one waits.

    They are locked all at once and in order, and before any suggestion is changed, so that two transactions
    never wait for each other.
    """
    voices = KnownVoice.objects.select_for_update().filter(owner=job.owner_id).order_by("pk")
    return set(voices.values_list("pk", flat=True))
