"""What of a recording is transcribed so far: how much of it, and the text of a span."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import Q

from jobs_app.models import SegmentKind, TranscriptionJob, WorkStatus
from sessions_app.models import RecordingSession
from speech.cues import join_texts

ENOUGH = 0.8
"""The share of a span that must be transcribed before its text is given."""


def _newest_job(session: RecordingSession) -> TranscriptionJob | None:
    return session.jobs.order_by("-created_at", "-pk").only("gaps").first()


def _covered_ms(spans: list[tuple[int, int]], start_ms: int, end_ms: int) -> int:
    """How much of `[start_ms, end_ms)` lies in at least one of `spans`."""
    covered, at = 0, start_ms
    for first, last in sorted(spans):
        first, last = max(first, at), min(last, end_ms)
        if first < last:
            covered += last - first
            at = last
    return covered


def _settled(job: TranscriptionJob, windows: list[tuple[str, int, int]]) -> list[tuple[int, int]]:
    """The spans of which no more text will come: the windows that are done, and where there is no audio."""
    gaps = [(gap["start_ms"], gap["end_ms"]) for gap in job.gaps]
    return [(start, end) for status, start, end in windows if status == WorkStatus.DONE] + gaps


def _windows(job: TranscriptionJob) -> list[tuple[str, int, int]]:
    return list(job.chunktranscriptions.order_by().values_list("status", "start_ms", "end_ms"))


def cache_statistics(session: RecordingSession) -> dict[str, Any]:
    """How far the newest job is. `session` from `with_summary()`."""
    job = _newest_job(session)
    windows = _windows(job) if job else []
    by_status = Counter(status for status, *_ in windows)
    duration_ms = session.total_ms or 0
    covered_ms = _covered_ms(_settled(job, windows), 0, duration_ms) if job else 0
    return {
        "windows": len(windows),
        **{name: by_status[name] for name in ("done", "running", "waiting", "failed")},
        "covered_ms": covered_ms,
        "duration_ms": duration_ms,
        "coverage": round(covered_ms / duration_ms, 4) if duration_ms else 0.0,
    }


def text_of_span(session: RecordingSession, start_ms: int, end_ms: int | None) -> dict[str, Any]:
    """The text of `[start_ms, end_ms)`, and how much of the span it covers; None: to the end so far.

    Of a finished recording only what there is of the span counts. `session` from `with_summary()`.
    """
    duration_ms = session.total_ms or 0
    if end_ms is None or session.finished_at is not None:
        end_ms = min(duration_ms, duration_ms if end_ms is None else end_ms)
    job = _newest_job(session)
    if job is None or start_ms >= end_ms:
        return {"text": None, "coverage": 0.0}
    coverage = _covered_ms(_settled(job, _windows(job)), start_ms, end_ms) / (end_ms - start_ms)
    text = _text(job, start_ms, end_ms) if coverage >= ENOUGH else None
    return {"text": text, "coverage": round(coverage, 4)}


def _text(job: TranscriptionJob, start_ms: int, end_ms: int) -> str:
    """The words whose middle lies in the span; of segments without word times, those whose own does."""

    def inside(first_ms: int, last_ms: int) -> bool:
        return start_ms <= (first_ms + last_ms) / 2 < end_ms

    found = job.segments.filter(
        Q(start_ms__lt=end_ms), Q(end_ms__gte=start_ms), kind=SegmentKind.FINAL
    ).order_by("start_ms", "number", "pk")
    texts = []
    for first_ms, last_ms, text, words in found.values_list("start_ms", "end_ms", "text", "words"):
        heard = [word["word"] for word in words if inside(word["start_ms"], word["end_ms"])]
        # As a whole where it is whole: between its words there need be no spaces.
        whole = len(heard) == len(words) if words else inside(first_ms, last_ms)
        texts.append(text if whole else join_texts(heard))
    return join_texts(texts)
