"""Measure how early the text of a recording comes without a live connection, and what that costs in words.

    make bench-early

Each recording arrives in pieces as a recorder page sends them, and is planned and transcribed as jobs are.
Time is virtual: the audio's clock, on which each window takes the processor time that it took. So the figures
are those of one recording on a free core, however busy this machine is. "Before" is without early windows,
and with half a minute of context for each window.

first       from the end of a word to the moment when its window is transcribed, in the first 40 s and in all
stop        from the end of the recording to its last word
CPU         processor seconds of the engine per second of audio
errors      words that differ from what was said

The second table has the same windows on half a minute and on the context that is chosen for them: the
recordings are cut at the longest pause of each stretch of so many seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, repeat, takewhile

import numpy as np
from faster_whisper import decode_audio

from benchmarks.long_recordings import FOLDER, manifest
from benchmarks.server import MODELS
from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.local.engine import LocalEngine
from speech.engines.models import model_path
from speech.samples import Samples
from speech.types import SpeechSegment, ms_to_samples, samples_to_ms
from speech.windows.cuts import Window
from speech.windows.planner import plan_windows
from tests.speech.wer import errors, spoken_words

CHOSEN_ON = ("en_jfk_11s.flac", "en_two_cities_44s.m4a")
"""Lengths of pauses and contexts were chosen on these recordings, so they are left out."""
BEGINNING_MS = 40_000
WHOLE_MS = 24 * 3600 * 1000
CASES = (
    # name, seconds of the pieces, windows that begin before this moment end early, short context
    ("pieces of 30 s, before", (30,), 0, False),
    ("pieces of 5, 5, 10, 20, 30 s, before", (5, 5, 10, 20, 30), 0, False),
    ("pieces of 5, 5, 10, 20, 30 s", (5, 5, 10, 20, 30), BEGINNING_MS, True),
    ("pieces of 5 s, before", (5,), 0, False),
    ("pieces of 5 s", (5,), WHOLE_MS, True),
)
LENGTHS_S = ((4, 8), (8, 13), (12, 19))


@dataclass(frozen=True, slots=True)
class Recording:
    name: str
    language: str
    said: list[str]
    samples: Samples

    @property
    def duration_ms(self) -> int:
        return samples_to_ms(len(self.samples))

    def read(self, start_ms: int, end_ms: int) -> Samples:
        return self.samples[ms_to_samples(start_ms) : ms_to_samples(end_ms)]


@dataclass
class Figures:
    said: int = 0
    errors: int = 0
    windows: int = 0
    cpu_s: float = 0.0
    audio_s: float = 0.0
    beginning_s: list[float] = field(default_factory=list)
    all_s: list[float] = field(default_factory=list)
    stop_s: list[float] = field(default_factory=list)

    def add_text(self, recording: Recording, segments: Sequence[SpeechSegment]) -> None:
        text = " ".join(segment.text for segment in segments)
        self.said += len(recording.said)
        self.errors += errors(recording.said, spoken_words(text, recording.language))
        self.audio_s += recording.duration_ms / 1000


class Ear:
    """The engine, which hears each window once for each context."""

    def __init__(self, model: str) -> None:
        settings = EngineSettings(model=model, model_dir=model_path(model, MODELS))
        engine = load_engine("local", settings)
        assert isinstance(engine, LocalEngine)
        self.engine = engine
        self._heard: dict[tuple[str, Window, bool], tuple[float, list[SpeechSegment]]] = {}

    def hear(self, recording: Recording, window: Window, *, short: bool) -> tuple[float, list[SpeechSegment]]:
        """Return the processor seconds, and segments with times in the recording."""
        key = (recording.name, window, short)
        if key not in self._heard:
            with self._context(short=short):
                began_s = time.process_time()
                heard = self.engine.transcribe(
                    recording.read(window.start_ms, window.end_ms),
                    TranscribeOptions(language=recording.language),
                )
                spent_s = time.process_time() - began_s
            self._heard[key] = spent_s, [segment.shifted(window.start_ms) for segment in heard.segments]
        return self._heard[key]

    @contextmanager
    def _context(self, *, short: bool) -> Iterator[None]:
        able = self.engine.capabilities
        self.engine.capabilities = replace(able, short_windows=able.short_windows and short)
        try:
            yield
        finally:
            self.engine.capabilities = able


def record(
    ear: Ear,
    recording: Recording,
    pieces_s: Sequence[int],
    early_until_ms: int,
    figures: Figures,
    *,
    short: bool,
) -> None:
    """Let a recording arrive in pieces, and add what was measured to `figures`."""
    able = ear.engine.capabilities.while_recording()
    ends_ms = accumulate(1000 * length for length in chain(pieces_s, repeat(pieces_s[-1])))
    arrivals_ms = [*takewhile(lambda end_ms: end_ms < recording.duration_ms, ends_ms), recording.duration_ms]
    planned_ms, now_s = 0, 0.0
    segments: list[SpeechSegment] = []
    for arrived_ms in arrivals_ms:
        now_s = max(now_s, arrived_ms / 1000)
        windows = plan_windows(
            recording.read,
            arrived_ms,
            able,
            start_ms=planned_ms,
            more_to_come=arrived_ms < recording.duration_ms,
            early_until_ms=early_until_ms,
        )
        planned_ms = max([planned_ms, *(window.end_ms for window in windows)])
        for window in (window for window in windows if window.speech_ms):
            spent_s, heard = ear.hear(recording, window, short=short)
            now_s += spent_s
            figures.cpu_s += spent_s
            figures.windows += 1
            segments += heard
            ends = [word.end_ms for segment in heard for word in segment.words]
            figures.all_s += [now_s - end_ms / 1000 for end_ms in ends]
            figures.beginning_s += [now_s - end_ms / 1000 for end_ms in ends if end_ms < BEGINNING_MS]
    figures.stop_s.append(now_s - recording.duration_ms / 1000)
    figures.add_text(recording, segments)


def in_stretches(
    ear: Ear, recording: Recording, lengths_s: tuple[int, int], figures: Figures, *, short: bool
) -> None:
    """Hear a recording in windows of such lengths, and add what was measured to `figures`."""
    able = replace(ear.engine.capabilities, min_window_s=lengths_s[0], max_window_s=lengths_s[1])
    segments: list[SpeechSegment] = []
    for window in plan_windows(recording.read, recording.duration_ms, able):
        if window.speech_ms:
            spent_s, heard = ear.hear(recording, window, short=short)
            figures.cpu_s += spent_s
            figures.windows += 1
            segments += heard
    figures.add_text(recording, segments)


def recordings() -> list[Recording]:
    return [
        Recording(
            one["file"],
            one["language"],
            spoken_words(one["text"], one["language"]),
            decode_audio(str(FOLDER / one["file"])),
        )
        for one in manifest()
        if one["expect"] == "transcript" and one["file"] not in CHOSEN_ON
    ]


def show(name: str, figures: Figures) -> None:
    times = "".join(
        f"{np.percentile(some, 50):8.1f} /{np.percentile(some, 95):5.1f}"
        for some in (figures.beginning_s, figures.all_s, figures.stop_s)
        if some
    )
    cpu = figures.cpu_s / figures.audio_s
    print(f"{name:40}{figures.said:6}{figures.errors:8}{figures.windows:9}{cpu:7.3f}{times}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="base")
    ear = Ear(parser.parse_args().model)
    some = [one for one in recordings() if one.language in ear.engine.capabilities.languages]
    print(
        f"{'':40}{'words':>6}{'errors':>8}{'windows':>9}{'CPU':>7}"
        f"{'first 40 s':>15}{'all words':>15}{'stop p50/p95':>15}"
    )
    for name, pieces_s, early_until_ms, short in CASES:
        figures = Figures()
        for recording in some:
            record(ear, recording, pieces_s, early_until_ms, figures, short=short)
        show(name, figures)
    print(f"\n{'':40}{'words':>6}{'errors':>8}{'windows':>9}{'CPU':>7}")
    for english in (True, False):
        for lengths_s in LENGTHS_S:
            for short in (False, True):
                figures = Figures()
                for recording in some:
                    if (recording.language == "en") is english:
                        in_stretches(ear, recording, lengths_s, figures, short=short)
                kind = "English" if english else "other languages"
                context = "as chosen" if short else "half a minute"
                if figures.windows:
                    show(f"{kind}, {lengths_s[0]} to {lengths_s[1]} s, {context}", figures)


if __name__ == "__main__":
    main()
