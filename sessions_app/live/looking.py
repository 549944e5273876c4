"""Look in the database for what sockets have to be told. Everything here runs in a thread."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from jobs_app.models import JOB_ACTIVE, JobKind, TranscriptionJob
from jobs_app.models.live import LiveText
from jobs_app.models.transcripts import Segment, SegmentKind
from sessions_app.models import LiveSender, RecordingSession
from sessions_app.models.prepared import ById
from sessions_app.transcripts.edits import changes_in
from sessions_app.transcripts.reading import read_segment

ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class LiveNow:
    """What a live host has heard that is in no segment yet; see LiveText."""

    version: int
    finals: list[dict[str, Any]]
    interim: dict[str, Any] | None
    lag_ms: int
    interims: bool


@dataclass(frozen=True)
class JobNow:
    """A job as it is now. All segments with a number below `next_number` exist, or are in `live`, or never
    will.
    """

    id: uuid.UUID
    status: str
    stage: str
    progress: int
    next_number: int
    is_recording: bool
    live: LiveNow | None

    @property
    def has_ended(self) -> bool:
        return self.status not in JOB_ACTIVE


def current_job(session_id: uuid.UUID, *, seen: int = -1) -> uuid.UUID | None:
    """Return the job that stands for the recording.

    A client that has `seen` segments goes on with them. Their numbers are those of the job that was heard
    live, also if its refinement has taken its place meanwhile.
    """
    columns = ("current_job", "current_job__kind", "current_job__created_at")
    sessions = RecordingSession.objects.filter(pk=session_id)
    job_id, kind, created_at = sessions.values_list(*columns).first() or (None, None, None)
    if kind == JobKind.REFINE and seen >= 0:
        runs = TranscriptionJob.objects.runs().filter(session=session_id, created_at__lt=created_at)
        return runs.order_by("-created_at").values_list("pk", flat=True).first() or job_id
    return job_id


_JOBS_NOW = ById(
    lambda ids: (
        TranscriptionJob.objects.filter(pk__in=ids)
        .order_by()
        .values_list(
            "pk",
            "status",
            "stage",
            "progress",
            "next_segment",
            "session__finished_at",
            "live_text__version",
            "live_text__finals",
            "live_text__interim",
            "live_text__received_ms",
            "live_text__heard_ms",
            "live_text__interims",
        )
    )
)
_VERSIONS = ById(
    lambda ids: LiveText.objects.filter(pk__in=ids).order_by().values_list("pk", "version"),
)


def look(
    job_ids: Collection[uuid.UUID], seen: Mapping[uuid.UUID, int]
) -> tuple[set[uuid.UUID], dict[uuid.UUID, JobNow]]:
    """Look at these jobs, and at those whose live texts are gone or have other versions than were `seen`.

    Return which jobs these are, and the jobs, without those that were deleted. This takes two queries.
    """
    now = versions(seen)
    ids = {*job_ids, *(pk for pk, version in seen.items() if now.get(pk) != version)}
    return ids, jobs_now(ids)


def jobs_now(job_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, JobNow]:
    """Return these jobs, without those that were deleted. This takes one query."""
    found = {}
    for pk, status, stage, progress, number, finished_at, version, *heard in _JOBS_NOW(job_ids):
        live = None if version is None else _live_now(version, *heard)
        found[pk] = JobNow(pk, status, stage, progress, number, finished_at is None, live)
    return found


def _live_now(
    version: int,
    finals: list[dict[str, Any]],
    interim: dict[str, Any] | None,
    received_ms: int,
    heard_ms: int,
    interims: bool,
) -> LiveNow:
    return LiveNow(version, finals, interim, max(received_ms - heard_ms, 0), interims)


def versions(job_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Return the versions of the live texts of these jobs, of which some may have none.

    This takes a twentieth of the processor time of `jobs_now`.
    """
    return dict(_VERSIONS(job_ids))


def segments_between(job_id: uuid.UUID, seen: int, end: int) -> list[dict[str, Any]]:
    """Return final segments with `seen` < number < `end`, in the order of their numbers, as the finals of a
    LiveText. There are at most ROWS_AT_ONCE of them.
    """
    rows = list(
        Segment.objects.filter(job=job_id, kind=SegmentKind.FINAL, number__gt=seen, number__lt=end).order_by(
            "number"
        )[:ROWS_AT_ONCE]
    )
    changes = changes_in(job_id, [row.number for row in rows]) if rows else {}
    read = ((row.number, read_segment(row, changes.get(row.number, {}))) for row in rows)
    return [
        {
            "number": number,
            "start_ms": segment.start_ms,
            "end_ms": segment.end_ms,
            "text": segment.text,
            "confidence": segment.confidence,
        }
        for number, segment in read
    ]


def still_there(session_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of the recordings that are not deleted."""
    return set(RecordingSession.objects.filter(pk__in=session_ids).values_list("pk", flat=True))


def senders_of(session_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """Return which socket sends each of the recordings."""
    return dict(LiveSender.objects.filter(session__in=session_ids).values_list("session", "sender"))
