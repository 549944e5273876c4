"""Measure whether the language that is spoken is found: in short recordings, and where it changes.

    python -m benchmarks.languages [--model base] [--only short|mixed]

**short**: each recording whole, and cut to its first 1, 2, 3 and 5 seconds of speech. `alone` is what is
found without knowing anything, `English` what is found for a person whose account and browser are in English,
`recent` for one whose last recordings were in the language that is spoken, and `wrong` for one whose account,
browser and last recordings are all in another language than that. Each counts recordings.

**mixed**: files of several languages, made of recordings with pauses between them. `first` is what comes out
if all of each window is in the language of its first half minute, `whole` is faster-whisper on the whole file
by itself, and `here` is what a job makes of it. Each counts the words that are wrong, of those that were
said; in Chinese and Japanese, characters count. `foreign` is how many words were transcribed in another
language than their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from faster_whisper import decode_audio

from benchmarks.long_recordings import FOLDER, PAUSE_S, manifest
from benchmarks.server import MODELS
from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.local.decoder import BEAM_SIZE
from speech.engines.local.engine import LocalEngine
from speech.engines.models import model_path
from speech.languages.prior import LanguagePrior, likely_odds
from speech.languages.vote import Vote, vote_odds
from speech.samples import Samples
from speech.types import SAMPLE_RATE, Span, SpeechSegment, ms_to_samples, samples_to_ms
from speech.voice.activity import SpeechDetector
from speech.windows.planner import plan_windows
from tests.speech.wer import errors, spoken_words

LENGTHS_S = (1, 2, 3, 5, 0)
"""0: the whole recording."""
BEFORE_MS = 200
MIXED = {
    "English and Chinese in turn": ["en_jfk", "zh", "en_jfk", "zh", "en_jfk", "zh"],
    "Chinese, then English": ["zh", "en_two_cities"],
    "English, a Chinese sentence": ["en_two_cities", "zh"],
    "Spanish, Portuguese, Japanese": ["es", "pt", "ja", "es", "pt", "ja"],
    "French, English, French": ["fr", "en_jfk", "fr"],
    "German, then English": ["de", "en_two_cities"],
    "English only": ["en_jfk", "en_two_cities", "en_ivr"],
}


@dataclass(frozen=True, slots=True)
class Part:
    """A recording as part of a mixed file."""

    span: Span
    language: str
    text: str


def recordings() -> list[dict[str, str]]:
    return [one for one in manifest() if one["expect"] == "transcript" and one["language"] != "und"]


def short(engine: LocalEngine) -> None:
    columns: dict[str, Callable[[str], dict[str, float]]] = {
        "alone": lambda spoken: {},
        "English": lambda spoken: likely_odds(account="en", browser=["en"]),
        "recent": lambda spoken: likely_odds(account="en", browser=["en"], recent=[spoken] * 10),
        "wrong": lambda spoken: likely_odds(
            account=_other(spoken), browser=[_other(spoken)], recent=[_other(spoken)] * 10
        ),
    }
    print(f"{'length':>8}{'of':>5}" + "".join(f"{name:>9}" for name in columns))
    for length_s in LENGTHS_S:
        n, right = 0, dict.fromkeys(columns, 0)
        missed: list[str] = []
        for one in recordings():
            sound = _from_speech_on(decode_audio(str(FOLDER / one["file"])))
            if length_s and len(sound) < (length_s - 0.5) * SAMPLE_RATE:
                continue
            sound = sound[: length_s * SAMPLE_RATE] if length_s else sound
            heard = engine.transcribe(sound, TranscribeOptions())
            if not heard.language_probabilities:
                missed.append(f"{one['file']}: nothing was heard, or several languages")
                continue
            n += 1
            for name, odds in columns.items():
                weighed = LanguagePrior(odds=odds(one["language"])).weigh(heard.language_probabilities)
                found = next(iter(weighed))
                right[name] += found == one["language"]
                if found != one["language"]:
                    missed.append(f"{one['file']}, {name}: {found} {weighed[found]:.2f}")
        print(
            f"{length_s or 'whole':>8}{n:>5}" + "".join(f"{right[name]:>9}" for name in columns), flush=True
        )
        print("".join(f"        {line}\n" for line in missed), end="", flush=True)


def _other(language: str) -> str:
    return "de" if language == "en" else "en"


def _from_speech_on(sound: Samples) -> Samples:
    detector = SpeechDetector()
    detector.feed(sound)
    start_ms = max(0, detector.finish()[0].start_ms - BEFORE_MS)
    return sound[ms_to_samples(start_ms) :]


def mixed(engine: LocalEngine) -> None:
    print(f"{'file':32}{'words':>6}{'first':>7}{'whole':>7}{'here':>6}{'foreign':>9}")
    for name, stems in MIXED.items():
        sound, parts = _joined(stems)
        said = sum(len(spoken_words(part.text, part.language)) for part in parts)
        here = list(_in_windows(engine, sound, one_language=False))
        print(
            f"{name:32}{said:>6}{_wrong(parts, _in_windows(engine, sound, one_language=True)):>7}"
            f"{_wrong(parts, _whole(engine, sound)):>7}{_wrong(parts, here):>6}{_foreign(parts, here):>9}",
            flush=True,
        )


def _joined(stems: Sequence[str]) -> tuple[Samples, list[Part]]:
    by_name = {one["file"]: one for one in recordings()}
    sounds: list[Samples] = []
    parts: list[Part] = []
    at = 0
    for stem in stems:
        one = by_name[next(name for name in by_name if name.startswith(stem))]
        sound = decode_audio(str(FOLDER / one["file"]))
        pause = np.zeros(int(PAUSE_S * SAMPLE_RATE), dtype=np.float32)
        sounds += [sound, pause]
        end = at + len(sound) + len(pause)
        parts.append(Part(Span(samples_to_ms(at), samples_to_ms(end)), one["language"], one["text"]))
        at = end
    return np.concatenate(sounds), parts


def _in_windows(engine: LocalEngine, sound: Samples, *, one_language: bool) -> Iterator[SpeechSegment]:
    """Yield the segments of a job; with `one_language`, each window is in that of its first half minute."""
    able = engine.capabilities
    votes: list[Vote] = []

    def read(start_ms: int, end_ms: int) -> Samples:
        return sound[ms_to_samples(start_ms) : ms_to_samples(end_ms)]

    for window in plan_windows(read, samples_to_ms(len(sound)), able):
        samples = read(window.start_ms, window.end_ms)
        options = TranscribeOptions(prior=LanguagePrior(odds=vote_odds(votes)))
        if one_language:
            features = engine._model.feature_extractor(samples)
            options = replace(options, language=engine._model.detect_language(features=features)[0])
        heard = engine.transcribe(samples, options)
        if heard.language_probabilities:
            votes.append(Vote(window.speech_ms, heard.language_probabilities))
        yield from (segment.shifted(window.start_ms) for segment in heard.segments)


def _whole(engine: LocalEngine, sound: Samples) -> Iterator[SpeechSegment]:
    engine._model.prior = LanguagePrior()
    segments, _ = engine._model.transcribe(
        sound, beam_size=BEAM_SIZE, vad_filter=True, condition_on_previous_text=False, word_timestamps=True
    )
    for segment in segments:
        yield SpeechSegment(round(segment.start * 1000), round(segment.end * 1000), segment.text.strip())


def _wrong(parts: Sequence[Part], segments: Iterator[SpeechSegment] | list[SpeechSegment]) -> int:
    """Return how many words are wrong, each part of the file compared with what was heard in its time."""
    heard = list(segments)
    return sum(
        errors(
            spoken_words(part.text, part.language),
            spoken_words(" ".join(one.text for one in heard if _inside(one, part)), part.language),
        )
        for part in parts
    )


def _foreign(parts: Sequence[Part], segments: Sequence[SpeechSegment]) -> int:
    return sum(
        len(spoken_words(one.text, part.language))
        for part in parts
        for one in segments
        if _inside(one, part) and one.language != part.language
    )


def _inside(segment: SpeechSegment, part: Part) -> bool:
    return part.span.start_ms <= (segment.start_ms + segment.end_ms) / 2 < part.span.end_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--only", choices=("short", "mixed"))
    given = parser.parse_args()
    settings = EngineSettings(model=given.model, model_dir=model_path(given.model, MODELS))
    engine = load_engine("local", settings)
    assert isinstance(engine, LocalEngine)
    for name, measure in (("short", short), ("mixed", mixed)):
        if given.only in (None, name):
            measure(engine)


if __name__ == "__main__":
    main()
