"""Find out how much of a recording is transcribed so far, and the text of a span of it."""

from __future__ import annotations

from collections import Counter

from jobs_app.models import TranscriptionJob, WorkStatus
from sessions_app.models import RecordingSession
from sessions_app.transcripts.reading import segments_of
from speech.text.spacing import join_texts

ENOUGH = 0.8
"""At least this share of a span must be transcribed before the API gives its text."""


def _covered_ms(spans: list[tuple[int, int]], start_ms: int, end_ms: int) -> int:
    """Return how many milliseconds of `[start_ms, end_ms)` lie in at least one of `spans`."""
    covered, at = 0, start_ms
    for first, last in sorted(spans):
        first, last = max(first, at), min(last, end_ms)
        if first < last:
            covered += last - first
            at = last
    return covered


def _settled(job: TranscriptionJob, windows: list[tuple[str, int, int]]) -> list[tuple[int, int]]:
    """Return the spans that will get no more text: windows that are done, and gaps without audio."""
    gaps = [(gap["start_ms"], gap["end_ms"]) for gap in job.sound.gaps]
    return [(start, end) for status, start, end in windows if status == WorkStatus.DONE] + gaps


def _windows(job: TranscriptionJob) -> list[tuple[str, int, int]]:
    return list(job.windows.order_by().values_list("status", "start_ms", "end_ms"))


def cache_statistics(session: RecordingSession) -> dict[str, object]:
    """Return how far the current job is. `session` must come from `with_summary()`."""
    job = session.current_job
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


def text_of_span(session: RecordingSession, start_ms: int, end_ms: int | None) -> dict[str, object]:
    """Return the text of `[start_ms, end_ms)`, and the share of this span that is transcribed.

    If `end_ms` is None, the span goes to the present end of the recording. If the recording is finished, a
    span that goes beyond its end is cut there. `session` must come from `with_summary()`.
    """
    duration_ms = session.total_ms or 0
    if end_ms is None or session.finished_at is not None:
        end_ms = min(duration_ms, duration_ms if end_ms is None else end_ms)
    job = session.current_job
    if job is None or start_ms >= end_ms:
        return {"text": None, "coverage": 0.0}
    coverage = _covered_ms(_settled(job, _windows(job)), start_ms, end_ms) / (end_ms - start_ms)
    text = _text(job, start_ms, end_ms) if coverage >= ENOUGH else None
    return {"text": text, "coverage": round(coverage, 4)}


def _text(job: TranscriptionJob, start_ms: int, end_ms: int) -> str:
    """Return the words whose middle lies in the span.

    A segment without word times is taken as a whole if its own middle lies in the span.
    """

    def inside(first_ms: int, last_ms: int) -> bool:
        return start_ms <= (first_ms + last_ms) / 2 < end_ms

    texts = []
    for segment in segments_of(job.pk, start_ms=start_ms, end_ms=end_ms):
        words = segment.words
        heard = [word.text for word in words if inside(word.start_ms, word.end_ms)]
        # If all words lie in the span, the segment's own text is taken: some languages have no spaces
        # between words.
        whole = len(heard) == len(words) if words else inside(segment.start_ms, segment.end_ms)
        texts.append(segment.text if whole else join_texts(heard))
    return join_texts(texts)
