"""What this app keeps of people, and what goes with them: recordings, their files, unfinished uploads."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from jobs_app.models import KnownVoice, TranscriptionJob
from people_app.models import User
from sessions_app.arrival.intake import delete_session
from sessions_app.models import AudioChunk, RecordingSession
from sessions_app.tus import uploads as tus


def owned_by(sessions: QuerySet[RecordingSession]) -> dict[str, int]:
    """Return how many rows are deleted with `sessions`, for the page that asks whether to delete them."""
    return {
        "audio chunks, with their files": AudioChunk.objects.filter(session__in=sessions).count(),
        "jobs, with their transcripts": TranscriptionJob.objects.filter(session__in=sessions).count(),
    }


def count(people: Iterable[User]) -> dict[str, int]:
    owners = [person.pk for person in people]
    sessions = RecordingSession.objects.filter(owner__in=owners)
    voices = KnownVoice.objects.filter(owner__in=owners).count()
    return {"recordings": sessions.count(), **owned_by(sessions), "saved voices": voices}


def delete(person: User) -> None:
    for session in person.recording_sessions.all():
        delete_session(session)
    for upload in person.resumable_uploads.all():
        tus.remove(upload)
