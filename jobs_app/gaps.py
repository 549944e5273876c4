"""Stretches of a recording without sound: a chunk that never came, or could not be read."""

from __future__ import annotations

from jobs_app.models import TranscriptionJob
from jobs_app.preparation import MISSING
from speech.types import SpeechSegment

SHOWN_MS = 5_000
"""How long a caption says so."""


def sentence(reason: str) -> str:
    what = "did not arrive" if reason == MISSING else "could not be read"
    return f"[This part of the recording {what}.]"


def gaps_json(job: TranscriptionJob) -> list[dict[str, int | str]]:
    """The gaps as the API shows them."""
    return [{name: gap[name] for name in ("start_ms", "end_ms", "chunk", "reason")} for gap in job.gaps]


def gap_segments(job: TranscriptionJob) -> list[SpeechSegment]:
    """A sentence for each gap, as if somebody said it, for those who read a file of the transcript."""
    return [
        SpeechSegment(
            gap["start_ms"], min(gap["end_ms"], gap["start_ms"] + SHOWN_MS), sentence(gap["reason"])
        )
        for gap in job.gaps
    ]
