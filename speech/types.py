"""The values that pass between the parts of `speech`, and from it to its callers.

All times are integer milliseconds on the timeline of the recording unless a name says otherwise.
Samples are mono at `SAMPLE_RATE`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

SAMPLE_RATE = 16_000
"""Samples per second of everything that voice activity, windows and engines work on."""


Timing = Literal["words", "segments", "window"]
"""The finest times that an engine gave. `window`: only where the speech of the window begins and ends."""


def ms_to_samples(ms: int) -> int:
    return ms * SAMPLE_RATE // 1000


def samples_to_ms(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of the timeline, `[start_ms, end_ms)`."""

    start_ms: int
    end_ms: int

    @property
    def duration_ms(self) -> int:
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class Word:
    """One word as the engine wrote it, with its punctuation and without surrounding spaces.

    `confidence` is a probability from 0 to 1, or None where the engine gives none.
    """

    start_ms: int
    end_ms: int
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """A stretch of speech with its text. `words` is empty where the engine gives no word times."""

    start_ms: int
    end_ms: int
    text: str
    confidence: float | None = None
    words: tuple[Word, ...] = ()
    speaker: str = ""

    def shifted(self, offset_ms: int) -> SpeechSegment:
        """The same segment, `offset_ms` later."""
        return replace(
            self,
            start_ms=self.start_ms + offset_ms,
            end_ms=self.end_ms + offset_ms,
            words=tuple(
                replace(w, start_ms=w.start_ms + offset_ms, end_ms=w.end_ms + offset_ms) for w in self.words
            ),
        )


@dataclass(frozen=True, slots=True)
class Transcription:
    """What an engine heard in one window. Without speech: no segments, language '', no timing.

    `requests`: how many were sent to a provider for it, the answered one with `audio_ms` of sound.
    """

    segments: tuple[SpeechSegment, ...] = ()
    language: str = ""
    language_confidence: float | None = None
    timing: Timing = "words"
    requests: int = 0
    audio_ms: int = 0


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file's header says. Headers lie: `duration_ms` is a hint, None where there is none."""

    container: str
    codec: str
    audio_streams: int
    video_streams: int
    sample_rate: int
    channels: int
    duration_ms: int | None = None


@dataclass(slots=True)
class DecodeReport:
    """What decoding a whole file met, filled while it goes on. Lengths are in samples at `SAMPLE_RATE`."""

    container: str = ""
    codec: str = ""
    audio_streams: int = 0
    samples: int = 0
    bad_packets: int = 0
    bad_reads: int = 0
    filled_samples: int = 0
    dropped_samples: int = 0
    format_changes: int = 0
    clock_jumps: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def duration_ms(self) -> int:
        return samples_to_ms(self.samples)

    @property
    def damaged(self) -> bool:
        return bool(self.bad_packets or self.bad_reads)

    def as_json(self) -> dict[str, Any]:
        return {
            "container": self.container,
            "codec": self.codec,
            "audio_streams": self.audio_streams,
            "duration_ms": self.duration_ms,
            "bad_packets": self.bad_packets,
            "bad_reads": self.bad_reads,
            "filled_ms": samples_to_ms(self.filled_samples),
            "dropped_ms": samples_to_ms(self.dropped_samples),
            "format_changes": self.format_changes,
            "clock_jumps": self.clock_jumps,
            "notes": list(self.notes),
        }
