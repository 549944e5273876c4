"""What the parts of `speech.speakers` give each other and their callers.

Times are milliseconds on the timeline of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from speech.samples import Samples
from speech.types import Span, SpeechSegment


class Hearing(Protocol):
    """Hears the voices in a window."""

    def hear(self, samples: Samples) -> bytes:
        """Return what `tell_apart` needs of a window: packed, with a version; b"" if nobody speaks.

        It takes at most 264 bytes for each second of speech and .04 seconds of a processor for each second of
        sound. It is personal (biometric) data.
        """
        ...


@dataclass(frozen=True, slots=True)
class HeardWindow:
    """A window with what `Hearing.hear` returned for it."""

    start_ms: int
    end_ms: int
    voices: bytes


@dataclass(frozen=True, slots=True)
class Count:
    """What is known of the number of speakers. `exactly` goes before the others."""

    exactly: int | None = None
    at_least: int | None = None
    at_most: int | None = None

    def allows(self, n: int) -> bool:
        if self.exactly is not None:
            return n == self.exactly
        return (self.at_least or 0) <= n <= (n if self.at_most is None else self.at_most)


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """A stretch in which one person speaks. Speakers are counted from 0 in the order in which they begin."""

    start_ms: int
    end_ms: int
    speaker: int


@dataclass(frozen=True, slots=True)
class Voice:
    """How one speaker sounds: a packed vector with a version, personal (biometric) data.

    `vector` is the mean of `clean_s` seconds in which nobody else is heard. Both are empty if there are none.
    """

    vector: bytes = b""
    clean_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Speakers:
    """Who speaks when. Turns are in order of time; those of different speakers may overlap.

    `overlaps` are the stretches in which two speak at once. `unsure` are those in which another voice fits
    nearly as well, so that words in them are better left without a speaker. `hard_to_tell` says that people
    are so far from the microphone that many turns may be wrong. `voices` has one entry for each speaker.
    """

    turns: tuple[Turn, ...] = ()
    overlaps: tuple[Span, ...] = ()
    voices: tuple[Voice, ...] = ()
    hard_to_tell: bool = False
    unsure: tuple[Span, ...] = ()

    @property
    def n(self) -> int:
        return len(self.voices)


@dataclass(frozen=True, slots=True)
class Said:
    """A segment, or the part of one, that one speaker says.

    `speaker` is None, and `segment.speaker` empty, if it is not known who speaks. `source` is the index of
    the segment that it is a part of. `overlapped` are the indexes of its words during which two people speak.
    """

    segment: SpeechSegment
    speaker: int | None
    source: int
    overlapped: Sequence[int] = ()


def label_of(speaker: int) -> str:
    """Return the label under which a speaker stands in a transcript: S1, S2, ..."""
    return f"S{speaker + 1}"
