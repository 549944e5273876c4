"""Where one utterance ends and the next begins, while the audio still arrives.

Whisper transcribes an utterance as well as a whole file where the utterance is long enough, so the pause
that ends it must be the longer the shorter it is. The pauses were chosen on recordings, and tried on others
(docs/decisions/0022-live-words.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from speech.samples import Samples
from speech.types import Span, samples_to_ms
from speech.voice.activity import SpeechDetector
from speech.voice.band import FRAME
from speech.voice.soft import LONGEST

MARGIN_MS = 300
"""So much sound around the speech belongs to its utterance: voice activity notices consonants late."""

UNDECIDED_MS = samples_to_ms(LONGEST * FRAME) + MARGIN_MS
"""Soft speech is found so late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceOptions:
    """An utterance ends at a pause of `pause_ms` of the first row whose `below_ms` its length is below.

    An utterance that reaches `longest_ms` ends at its longest pause after `least_ms`, of `shortest_pause_ms`
    at least; without one, where speech is least likely.
    """

    pauses: tuple[tuple[int, int], ...] = ((2_500, 1_000), (8_000, 600), (12_000, 300))
    longest_ms: int = 12_000
    least_ms: int = 5_000
    shortest_pause_ms: int = 100

    def pause_ms(self, length_ms: int) -> int:
        return next((pause for below, pause in self.pauses if length_ms < below), self.pauses[-1][1])


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of sound in which somebody speaks, from `start_ms` to `end_ms`.

    `speech_start_ms` and `speech_end_ms` are where the speech in it begins and ends, so far.
    """

    start_ms: int
    end_ms: int
    speech_start_ms: int
    speech_end_ms: int


class Cutter(Protocol):
    """Cuts audio that is fed in blocks into utterances. `Utterances` says what each of these is."""

    @property
    def received_ms(self) -> int: ...

    def feed(self, samples: Samples) -> list[Utterance]: ...

    def finish(self) -> list[Utterance]: ...

    def open(self) -> Utterance | None: ...

    def pauses(self, start_ms: int, least_ms: int) -> list[Span]: ...

    def silent_until_ms(self) -> int: ...


class SoundUtterances:
    """Cuts audio for an engine that needs no voice activity: all sound counts as speech.

    An utterance ends at each full `LENGTH_MS` of the recording's timeline.
    """

    LENGTH_MS = 5_000

    def __init__(self, start_ms: int = 0) -> None:
        self._start_ms = start_ms
        self._n_samples = 0
        self._cut_ms = start_ms

    @property
    def received_ms(self) -> int:
        return self._start_ms + samples_to_ms(self._n_samples)

    def feed(self, samples: Samples) -> list[Utterance]:
        self._n_samples += len(samples)
        ended = []
        while (
            end_ms := self._cut_ms // self.LENGTH_MS * self.LENGTH_MS + self.LENGTH_MS
        ) <= self.received_ms:
            ended.append(self._until(end_ms))
            self._cut_ms = end_ms
        return ended

    def finish(self) -> list[Utterance]:
        rest = self.open()
        self._cut_ms = self.received_ms
        return [rest] if rest else []

    def open(self) -> Utterance | None:
        return self._until(self.received_ms) if self.received_ms > self._cut_ms else None

    def pauses(self, start_ms: int, least_ms: int) -> list[Span]:
        return []

    def silent_until_ms(self) -> int:
        return self._cut_ms

    def _until(self, end_ms: int) -> Utterance:
        return Utterance(self._cut_ms, end_ms, self._cut_ms, end_ms)


class Utterances:
    """Cuts audio that is fed in any blocks into utterances that lie side by side."""

    def __init__(self, start_ms: int = 0, options: UtteranceOptions | None = None) -> None:
        """`start_ms`: the position in the recording of the first sample that is fed."""
        self._options = options or UtteranceOptions()
        self._detector = SpeechDetector()
        self._start_ms = start_ms
        self._n_samples = 0
        self._cut_ms = start_ms

    @property
    def received_ms(self) -> int:
        """The position behind the last sample that was fed."""
        return self._start_ms + samples_to_ms(self._n_samples)

    @property
    def cut_ms(self) -> int:
        """Where the last utterance ended that was given out: everything before is decided."""
        return self._cut_ms

    def feed(self, samples: Samples) -> list[Utterance]:
        """Take the next samples, float32 at 16 kHz; the utterances that have ended."""
        self._detector.feed(samples)
        self._n_samples += len(samples)
        ended = []
        while utterance := self._ended():
            ended.append(utterance)
            self._cut_ms = utterance.end_ms
        return ended

    def finish(self) -> list[Utterance]:
        """The utterances that the end of the audio ends. Nothing can be fed afterwards."""
        spans = self._speech(self._detector.finish())
        ended = []
        while spans:
            utterance = self._first_ended(spans, final=True)
            if utterance is None:
                utterance = self._utterance(spans, self.received_ms)
            ended.append(utterance)
            self._cut_ms = utterance.end_ms
            spans = self._behind_cut(spans)
        self._cut_ms = self.received_ms
        return ended

    def open(self) -> Utterance | None:
        """The utterance that goes on, as far as it was fed; None where nobody speaks."""
        spans = self._speech(self._detector.so_far(self._cut_ms - self._start_ms))
        return self._utterance(spans, self.received_ms) if spans else None

    def pauses(self, start_ms: int, least_ms: int) -> list[Span]:
        """The pauses of `least_ms` or longer between the speech behind `start_ms`, in order.

        The pause that has not ended is one of them.
        """
        spans = self._speech(self._detector.so_far(self._cut_ms - self._start_ms))
        edges = [*spans, Span(self.received_ms, self.received_ms)]
        between = (Span(a.end_ms, b.start_ms) for a, b in zip(spans, edges[1:], strict=True))
        return [pause for pause in between if pause.start_ms >= start_ms and pause.duration_ms >= least_ms]

    def silent_until_ms(self) -> int:
        """The position up to which it is certain that nobody speaks behind the last cut."""
        utterance = self.open()
        return utterance.start_ms if utterance else max(self._cut_ms, self.received_ms - UNDECIDED_MS)

    def _ended(self) -> Utterance | None:
        spans = self._speech(self._detector.so_far(self._cut_ms - self._start_ms))
        return self._first_ended(spans) if spans else None

    def _first_ended(self, spans: Sequence[Span], *, final: bool = False) -> Utterance | None:
        options = self._options
        began_ms = spans[0].start_ms
        for number, span in enumerate(spans):
            last = number == len(spans) - 1
            if span.end_ms - began_ms > options.longest_ms:
                return self._cut_long(spans)
            if last and final:
                return None
            next_ms = self.received_ms if last else spans[number + 1].start_ms
            if next_ms - span.end_ms >= options.pause_ms(span.end_ms - began_ms):
                return self._utterance(spans[: number + 1], next_ms)
        return None

    def _cut_long(self, spans: Sequence[Span]) -> Utterance:
        options = self._options
        began_ms = spans[0].start_ms
        earliest_ms, latest_ms = began_ms + options.least_ms, began_ms + options.longest_ms
        pauses = [
            Span(a.end_ms, b.start_ms)
            for a, b in pairwise(spans)
            if a.end_ms >= earliest_ms and b.start_ms <= latest_ms
        ]
        longest = max(pauses, key=lambda pause: pause.duration_ms, default=Span(0, 0))
        if longest.duration_ms >= options.shortest_pause_ms:
            cut_ms = (longest.start_ms + longest.end_ms) // 2
        else:
            cut_ms = self._start_ms + self._detector.quietest(
                earliest_ms - self._start_ms, latest_ms - self._start_ms
            )
        before = [Span(s.start_ms, min(s.end_ms, cut_ms)) for s in spans if s.start_ms < cut_ms]
        return Utterance(max(self._cut_ms, began_ms - MARGIN_MS), cut_ms, began_ms, before[-1].end_ms)

    def _utterance(self, spans: Sequence[Span], next_ms: int) -> Utterance:
        """`next_ms`: where somebody speaks again, or what was fed ends."""
        began_ms, ended_ms = spans[0].start_ms, spans[-1].end_ms
        end_ms = max(
            ended_ms,
            min(ended_ms + MARGIN_MS, (ended_ms + next_ms) // 2 if next_ms < self.received_ms else next_ms),
        )
        return Utterance(max(self._cut_ms, began_ms - MARGIN_MS), end_ms, began_ms, ended_ms)

    def _speech(self, spans: Sequence[Span]) -> list[Span]:
        """Speech on the timeline of the recording, without what is decided."""
        return self._behind_cut([Span(self._start_ms + s.start_ms, self._start_ms + s.end_ms) for s in spans])

    def _behind_cut(self, spans: Sequence[Span]) -> list[Span]:
        return [Span(max(s.start_ms, self._cut_ms), s.end_ms) for s in spans if s.end_ms > self._cut_ms]
