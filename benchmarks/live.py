"""Measure what somebody sees who speaks: when words appear, how they change, what they cost, and the errors.

    make bench-live

Time is virtual: the audio's clock, on which each call of the model takes the processor time that it took.
So the figures are those of one recording on a free core, however busy this machine is.

first       from the end of a word to the first text that shows it; a word that the texts before had wrong
            counts from the final that has it
final       from the end of a word to the final that holds it
flicker     words of an interim that the next one has otherwise, per 100 words of the finals; a final and the
            interim that follows it count as one text
firm        words that were marked as firm and are otherwise in the final, per 100 words
CPU         processor seconds per second of audio, for interims and for finals
errors      of the finals, and of the product's own engine on the whole file
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
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
from speech.text.spacing import is_unspaced
from speech.types import SAMPLE_RATE
from tests.speech.wer import errors, spoken_words

FRAME_MS = 100
INTERIM_EVERY_MS = 1000
CHOSEN_ON = ("en_jfk_11s.flac", "en_two_cities_44s.m4a")
"""The recordings on which pauses and contexts were chosen."""


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

    def add_events(self, events: Sequence[tuple[float, Interim | Final]]) -> None:
        """Count what was shown of a recording, each text with its moment. The last one is a final."""
        shown: list[Shown] = []
        earlier: list[Shown] = []
        before: list[str] = []
        for number, (at_s, event) in enumerate(events):
            if isinstance(event, Interim):
                shown.append(Shown(at_s, _plain(event.text), _plain(event.text[: event.firm])))
                continue
            timed = [
                (one, word.end_ms / 1000)
                for segment in event.segments
                for word in segment.words
                for one in _plain(word.text)
            ]
            words = [word for word, _ in timed]
            first_s = [at_s] * len(words)
            _note_first(first_s, shown, [], words)
            # The interims of the utterance before may have shown words behind its cut.
            _note_first(first_s, earlier, before, words)
            self.words += len(words)
            self.first_s += [seen_s - end_s for seen_s, (_, end_s) in zip(first_s, timed, strict=True)]
            self.final_s += [at_s - end_s for _, end_s in timed]
            behind = _texts_behind(events[number + 1 :])
            texts = [*(one.words for one in shown), words + (behind[0] if behind else [])]
            self.flicker += sum(len(_changed(one, other)) for one, other in pairwise(texts))
            said = words + (behind[-1] if behind else [])
            self.firm_changed += len({change for one in shown for change in _changed(one.firm, said)})
            before, earlier, shown = words, shown, []


@dataclass(frozen=True, slots=True)
class Shown:
    """The words of an interim, and those of them that were marked as firm."""

    at_s: float
    words: list[str]
    firm: list[str]


def _note_first(first_s: list[float], shown: list[Shown], before: list[str], words: list[str]) -> None:
    """Put into `first_s` when each of `words`, which follow `before`, was first shown."""
    for one in reversed(shown):
        for block in _matches(before + words, one.words):
            for place in range(max(block.a, len(before)), block.a + block.size):
                first_s[place - len(before)] = one.at_s


def _plain(text: str) -> list[str]:
    """Return the words without case and punctuation; each character of a script without spaces is one.

    "d'un" is two words: finals have them apart, with a time for each.
    """
    words = re.findall(r"\w+", text.casefold())
    return [one for word in words for one in (word if any(map(is_unspaced, word)) else [word])]


def _matches(one: list[str], other: list[str]) -> list[Match]:
    return SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()


def _changed(before: list[str], now: list[str]) -> set[tuple[int, str]]:
    """Return the words of `before`, with their places, that `now` does not have."""
    kept = {n for block in _matches(before, now) for n in range(block.a, block.a + block.size)}
    return {(n, word) for n, word in enumerate(before) if n not in kept}


def _texts_behind(events: Sequence[tuple[float, Interim | Final]]) -> list[list[str]]:
    """Return the words of what is shown behind a final, up to the next final and with it."""
    texts: list[list[str]] = []
    for _, event in events:
        if isinstance(event, Final):
            return [*texts, _plain(" ".join(segment.text for segment in event.segments))]
        texts.append(_plain(event.text))
    return texts


def listen(engine: LocalEngine, samples: Samples, language: str) -> tuple[str, Figures]:
    """Speak `samples` to a session on a free core. Return the text of its finals, and what was measured."""
    figures = Figures(audio_s=len(samples) / SAMPLE_RATE)
    listening = Listening(options=TranscribeOptions(language=language))
    events: list[tuple[float, Interim | Final]] = []
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
            events.append((now_s, final))
            texts += [segment.text for segment in final.segments]
        elif finished:
            figures.add_events(events)
            return " ".join(texts), figures
        elif listening.wants_interim(INTERIM_EVERY_MS):
            interim = listening.hear_interim(engine)
            spent_s = time.process_time() - began_s
            now_s += spent_s
            figures.interim_cpu_s += spent_s
            if interim is not None:
                events.append((now_s, interim))
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
    sums = {"English": Figures(), "on which nothing was chosen": Figures(), "all": Figures()}
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
        sums["all"].add(figures)
        if language == "en":
            sums["English"].add(figures)
        if name not in CHOSEN_ON:
            sums["on which nothing was chosen"].add(figures)
    for what, figures in sums.items():
        print(row(what, figures))


if __name__ == "__main__":
    main()
