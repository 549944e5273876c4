"""Stretches of a recording without sound: a chunk that never came, or could not be read."""

from __future__ import annotations

from dataclasses import replace

from jobs_app.models import TranscriptionJob
from jobs_app.preparation import MISSING
from speech.types import SpeechSegment

SHOWN_MS = 5_000
"""How long a caption says so."""
NOBODY = " "
"""Who says so: another speaker than all who speak, without a name, so that it stands by itself."""


def sentence(reason: str) -> str:
    what = "did not arrive" if reason == MISSING else "could not be read"
    return f"[This part of the recording {what}.]"


def gaps_json(job: TranscriptionJob) -> list[dict[str, int | str]]:
    """The gaps as the API shows them."""
    return [{name: gap[name] for name in ("start_ms", "end_ms", "chunk", "reason")} for gap in job.gaps]


def gap_segments(job: TranscriptionJob) -> list[SpeechSegment]:
    """A sentence for each gap, as if somebody said it. Chunks that are missing in a row are one gap."""
    found: list[SpeechSegment] = []
    for gap in sorted(job.gaps, key=lambda gap: gap["start_ms"]):
        text = sentence(gap["reason"])
        if found and gap["start_ms"] <= found[-1].end_ms and found[-1].text == text:
            found[-1] = replace(found[-1], end_ms=gap["end_ms"])
        else:
            found.append(SpeechSegment(gap["start_ms"], gap["end_ms"], text, speaker=NOBODY))
    return found


def gap_captions(job: TranscriptionJob) -> list[SpeechSegment]:
    """The same for a file of captions, where nothing should stand for long."""
    return [replace(gap, end_ms=min(gap.end_ms, gap.start_ms + SHOWN_MS)) for gap in gap_segments(job)]
