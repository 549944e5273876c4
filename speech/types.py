"""The values that pass between the parts of `speech`, and from `speech` to its callers.

Times are integer milliseconds on the timeline of the recording, unless a name says otherwise. Samples are
mono at `SAMPLE_RATE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import log10
from typing import Any, Literal

SAMPLE_RATE = 16_000
"""Samples per second. Voice activity, windows and engines work at this rate."""


Container = Literal["wav", "flac", "mp3", "ogg"]
"""The kind of file in which a window is sent to a provider."""

Timing = Literal["words", "segments", "window"]
"""The finest times that an engine gave.

`window` means that only the beginning and the end of the speech in a window are known.
"""


def decibels(factor: float) -> float | None:
    """Return an amplitude in dB, to one decimal; None for 0."""
    return round(20 * log10(factor), 1) if factor > 0 else None


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

    `confidence` is a probability from 0 to 1, or None if the engine gives none.
    """

    start_ms: int
    end_ms: int
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """A stretch of speech with its text. `words` is empty if the engine gives no word times.

    `language` is the ISO 639-1 code of what is spoken; empty if that is not known, or the text is a
    translation. `original` is what was said if the text is a translation, as far as it is kept.
    """

    start_ms: int
    end_ms: int
    text: str
    confidence: float | None = None
    words: tuple[Word, ...] = ()
    speaker: str = ""
    language: str = ""
    original: str = ""

    def shifted(self, offset_ms: int) -> SpeechSegment:
        """Return the same segment, `offset_ms` later."""
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
    """What an engine heard in one window.

    If nobody speaks, there are no segments, `language` is '' and the timing means nothing. `language` is that
    of most of the speech. `language_probabilities` has what was heard of the likeliest languages; it is empty
    if the language was given, if the engine does not say, or if there are several. `requests` counts the
    requests to a provider for this window, and `audio_ms` the audio that the provider answered for.
    `translation` is that of the same engine, if the segments are what was said.
    """

    segments: tuple[SpeechSegment, ...] = ()
    language: str = ""
    language_confidence: float | None = None
    timing: Timing = "words"
    requests: int = 0
    audio_ms: int = 0
    language_probabilities: Mapping[str, float] = field(default_factory=dict)
    translation: tuple[SpeechSegment, ...] = ()

    def shifted(self, offset_ms: int) -> Transcription:
        """Return the same, `offset_ms` later."""
        segments = tuple(segment.shifted(offset_ms) for segment in self.segments)
        translation = tuple(segment.shifted(offset_ms) for segment in self.translation)
        return replace(self, segments=segments, translation=translation)


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What the header of a file says.

    Headers can be wrong: `duration_ms` is a hint, or None if the header has none.
    """

    container: str
    codec: str
    audio_streams: int
    video_streams: int
    sample_rate: int
    channels: int
    duration_ms: int | None = None


@dataclass(slots=True)
class DecodeReport:
    """What the decoder found in a whole file. It is filled while decoding goes on. Lengths are in samples at
    `SAMPLE_RATE`.

    `peak` is the largest sample of any channel as it was recorded; 1.0 is full scale. `raised` is the largest
    factor by which a soft recording was made louder, or 1.0 if it was not, and `raised_samples` is how much
    of it was made louder. `audio_tracks` is what `speech.sound.tracks.choice.Choice` says of a file with
    several audio tracks; else it is empty.
    """

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
    parts: int = 1
    """The number of files that were read. It is above 1 if files were joined to one."""
    unread_bytes: int = 0
    """The bytes behind the end of the last readable file. They may be sound."""
    cut_off: bool = False
    """Whether the headers state more than the file has. `cut_off_samples` says how much, if the headers do.
    """
    cut_off_samples: int = 0
    peak: float = 0.0
    raised: float = 1.0
    raised_samples: int = 0
    audio_tracks: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def duration_ms(self) -> int:
        return samples_to_ms(self.samples)

    @property
    def damaged(self) -> bool:
        return bool(self.bad_packets or self.bad_reads)

    def add_track(self, other: DecodeReport) -> None:
        """Add what was found in another track that is heard at the same time."""
        for name in (one.name for one in fields(self)):
            mine, its = getattr(self, name), getattr(other, name)
            if isinstance(its, list):
                setattr(self, name, [*mine, *(one for one in its if one not in mine)])
            elif isinstance(its, str | dict):
                setattr(self, name, mine or its)
            elif name == "bad_packets":
                self.bad_packets += other.bad_packets
            elif its is not None and name != "samples":
                # Both read the same file and have the same timeline: that counts once.
                setattr(self, name, its if mine is None else max(mine, its))

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
            "parts": self.parts,
            "unread_bytes": self.unread_bytes,
            "cut_off": self.cut_off,
            "cut_off_ms": samples_to_ms(self.cut_off_samples),
            "peak_dbfs": decibels(self.peak),
            "raised_db": decibels(self.raised),
            "raised_ms": samples_to_ms(self.raised_samples),
            "audio_tracks": dict(self.audio_tracks),
            "notes": list(self.notes),
        }
