"""Measure what somebody sees who speaks: when words appear, how they change, what they cost, and the errors.

    make bench-live

Time is virtual: the audio's clock, on which each call of the model takes the processor time that it took.
So the figures are those of one recording on a free core, however busy this machine is.

first       from the end of a word to the first text that shows it; a word that the texts before had wrong
            counts from the final that has it right
final       from the end of a word to the final that holds it
flicker     words of an interim that the next one has otherwise, per 100 words of the finals
firm        words that were marked as firm and are otherwise in the final, per 100 words
CPU         processor seconds per second of audio, for interims and for finals
errors      of the finals, and of the product's own engine on the whole file
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, fields
from difflib import Match, SequenceMatcher
from itertools import pairwise

import numpy as np
from faster_whisper import decode_audio

from benchmarks.long_recordings import FOLDER, manifest
from benchmarks.server import MODELS
from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.local.engine import LocalEngine
from speech.engines.models import model_path
from speech.live.listening import Final, Interim, Listening
from speech.samples import Samples
from speech.types import SAMPLE_RATE
from tests.speech.wer import errors, spoken_words

FRAME_MS = 100
INTERIM_EVERY_MS = 1000


@dataclass
class Figures:
    """What was measured of one recording, or of several."""

    audio_s: float = 0.0
    interim_cpu_s: float = 0.0
    final_cpu_s: float = 0.0
    words: int = 0
    first_s: list[float] = field(default_factory=list)
    final_s: list[float] = field(default_factory=list)
    flicker: int = 0
    firm_changed: int = 0
    said: int = 0
    final_errors: int = 0
    whole_errors: int = 0

    def add(self, other: Figures) -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def add_utterance(self, interims: list[tuple[float, Interim]], at_s: float, final: Final) -> None:
        """Count an utterance: its `interims`, each with its moment, and its `final`, which came at `at_s`."""
        words = [word for segment in final.segments for word in segment.words]
        plain = [_plain(word.text) for word in words]
        texts = [[_plain(word) for word in interim.text.split()] for _, interim in interims]
        first_s = [at_s] * len(words)
        for (moment_s, _), text in reversed(list(zip(interims, texts, strict=True))):
            for block in _matches(plain, text):
                first_s[block.a : block.a + block.size] = [moment_s] * block.size
        self.words += len(words)
        self.first_s += [seen - word.end_ms / 1000 for seen, word in zip(first_s, words, strict=True)]
        self.final_s += [at_s - word.end_ms / 1000 for word in words]
        for before, now in pairwise([*texts, plain]):
            self.flicker += len(_changed(before, now))
        changed: set[tuple[int, str]] = set()
        for _, interim in interims:
            changed |= _changed([_plain(word) for word in interim.text[: interim.firm].split()], plain)
        self.firm_changed += len(changed)


def _plain(word: str) -> str:
    return word.casefold().strip(" .,;:!?-…\"'")


def _matches(one: list[str], other: list[str]) -> list[Match]:
    return SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()


def _changed(before: list[str], now: list[str]) -> set[tuple[int, str]]:
    """Return the words of `before`, with their places, that `now` does not have."""
    kept = {n for block in _matches(before, now) for n in range(block.a, block.a + block.size)}
    return {(n, word) for n, word in enumerate(before) if n not in kept}


def listen(engine: LocalEngine, samples: Samples, language: str) -> tuple[str, Figures]:
    """Speak `samples` to a session on a free core. Return the text of its finals, and what was measured."""
    figures = Figures(audio_s=len(samples) / SAMPLE_RATE)
    listening = Listening(options=TranscribeOptions(language=language))
    interims: list[tuple[float, Interim]] = []
    texts: list[str] = []
    frame = FRAME_MS * SAMPLE_RATE // 1000
    now_s, fed, finished = 0.0, 0, False
    while True:
        while fed < len(samples) and min(fed + frame, len(samples)) <= now_s * SAMPLE_RATE:
            listening.feed(samples[fed : fed + frame])
            fed += frame
        if fed >= len(samples) and not finished:
            listening.finish()
            finished = True
        began_s = time.process_time()
        if (final := listening.hear_final(engine)) is not None:
            spent_s = time.process_time() - began_s
            now_s += spent_s
            figures.final_cpu_s += spent_s
            figures.add_utterance(interims, now_s, final)
            interims = []
            texts += [segment.text for segment in final.segments]
        elif finished:
            return " ".join(texts), figures
        elif listening.wants_interim(INTERIM_EVERY_MS):
            interim = listening.hear_interim(engine)
            spent_s = time.process_time() - began_s
            now_s += spent_s
            figures.interim_cpu_s += spent_s
            if interim is not None:
                interims.append((now_s, interim))
        else:
            now_s += FRAME_MS / 1000


def _whole(engine: LocalEngine, samples: Samples, language: str) -> str:
    heard = engine.transcribe(samples, TranscribeOptions(language=language))
    return " ".join(segment.text for segment in heard.segments)


HEADINGS = (
    f"{'':38}{'words':>6}{'errors':>8}{'whole':>7}{'first p50/p95':>16}{'final p50/p95':>16}"
    f"{'flicker':>9}{'firm':>6}{'CPU':>14}"
)


def row(name: str, figures: Figures) -> str:
    first = np.percentile(figures.first_s or [0], (50, 95))
    final = np.percentile(figures.final_s or [0], (50, 95))
    per_100 = 100 / max(figures.words, 1)
    return (
        f"{name:38}{figures.said:6}{figures.final_errors:8}{figures.whole_errors:7}"
        f"{first[0]:8.2f} /{first[1]:6.2f}{final[0]:8.2f} /{final[1]:6.2f}"
        f"{figures.flicker * per_100:9.1f}{figures.firm_changed * per_100:6.1f}"
        f"{figures.interim_cpu_s / figures.audio_s:8.3f} +{figures.final_cpu_s / figures.audio_s:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="base")
    parser.add_argument("names", nargs="*", help="recordings; without any, all that have a text")
    asked = parser.parse_args()
    settings = EngineSettings(model=asked.model, model_dir=model_path(asked.model, MODELS))
    engine = load_engine("local", settings)
    assert isinstance(engine, LocalEngine)
    print(HEADINGS)
    everything = Figures()
    for recording in manifest():
        name, language = recording["file"], recording.get("language") or "en"
        if recording.get("expect") != "transcript" or (asked.names and name not in asked.names):
            continue
        samples = decode_audio(str(FOLDER / name))
        text, figures = listen(engine, samples, language)
        said = spoken_words(recording["text"], language)
        figures.said = len(said)
        figures.final_errors = errors(said, spoken_words(text, language))
        figures.whole_errors = errors(said, spoken_words(_whole(engine, samples, language), language))
        print(row(name, figures), flush=True)
        everything.add(figures)
    print(row("all", everything))


if __name__ == "__main__":
    main()
