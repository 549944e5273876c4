"""Gaps: stretches of a recording without sound. A chunk never came, could not be read, or did not fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from jobs_app.models.sound import LEFT_OUT, MISSING, SoundTrack
from speech.types import SpeechSegment

SHOWN_MS = 5_000
"""A caption shows the sentence of a gap for at most this long."""
SHORTEST_MS = 1_000
NOBODY = " "
"""The speaker of the sentence of a gap. It equals no real speaker, so that the sentence stands by itself; it
is blank, so that no name is shown.
"""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without sound. `reason` is one of the reasons in `jobs_app.models.sound`."""

    start_ms: int
    end_ms: int
    chunk: int
    reason: str

    @property
    def sentence(self) -> str:
        if self.reason == LEFT_OUT:
            return "[This part is more than a recording may have, and was left out.]"
        what = "did not arrive" if self.reason == MISSING else "could not be read"
        return f"[This part of the recording {what}.]"


def gaps_of(sound: SoundTrack) -> tuple[Gap, ...]:
    return tuple(Gap(gap["start_ms"], gap["end_ms"], gap["chunk"], gap["reason"]) for gap in sound.gaps)


def gap_segments(gaps: Iterable[Gap]) -> list[SpeechSegment]:
    """Return a segment with a sentence for each gap. Neighbouring gaps with the same sentence become one."""
    found: list[SpeechSegment] = []
    for gap in sorted(gaps, key=lambda gap: gap.start_ms):
        text = gap.sentence
        if found and gap.start_ms <= found[-1].end_ms and found[-1].text == text:
            found[-1] = replace(found[-1], end_ms=max(found[-1].end_ms, gap.end_ms))
        else:
            # A part that was left out takes no time on the timeline, but people should see its sentence.
            end_ms = max(gap.end_ms, gap.start_ms + SHORTEST_MS)
            found.append(SpeechSegment(gap.start_ms, end_ms, text, speaker=NOBODY))
    return found


def gap_captions(gaps: Iterable[Gap]) -> list[SpeechSegment]:
    """Return the segments of `gap_segments`, shortened for captions, where no text should stand for long."""
    return [replace(gap, end_ms=min(gap.end_ms, gap.start_ms + SHOWN_MS)) for gap in gap_segments(gaps)]
