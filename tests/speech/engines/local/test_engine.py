"""The engine with its real models, on real recordings. English where tiny.en is enough."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import BatchedInferencePipeline, WhisperModel, decode_audio

from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.local.engine import LocalEngine
from speech.engines.models import model_path
from speech.errors import EngineFailed, ModelUnavailable, SpeechError
from speech.languages.prior import LanguagePrior
from speech.samples import Samples
from speech.types import SAMPLE_RATE, Transcription, Word, samples_to_ms
from speech.voice.activity import SpeechDetector
from tests.speech.wer import spoken_words, wer

pytestmark = [pytest.mark.slow, pytest.mark.recordings]

JFK = (
    "And so, my fellow Americans, ask not what your country can do for you; "
    "ask what you can do for your country."
)
EITHER = pytest.mark.parametrize("model", ["tiny.en", "base"])


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("models")
    yield {name: model_path(name, folder) for name in ("tiny.en", "base")}
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def engines(paths: dict[str, str]) -> dict[str, LocalEngine]:
    return {
        name: load_engine("local", EngineSettings(model=name, model_dir=path)) for name, path in paths.items()
    }


@pytest.fixture
def tiny(engines: dict[str, LocalEngine]) -> LocalEngine:
    return engines["tiny.en"]


@pytest.fixture
def base(engines: dict[str, LocalEngine]) -> LocalEngine:
    return engines["base"]


@pytest.fixture(scope="session")
def jfk(recordings: Path) -> Samples:
    return decode_audio(str(recordings / "en_jfk_11s.flac"))


@pytest.fixture(scope="session")
def spanish(recordings: Path) -> Samples:
    return decode_audio(str(recordings / "es_short_9s.wav"))


@pytest.fixture(scope="session")
def german(recordings: Path) -> Samples:
    return decode_audio(str(recordings / "de_simplicissimus_68s.mp3"))[10 * SAMPLE_RATE : 22 * SAMPLE_RATE]


@pytest.fixture(scope="session")
def german_minute(recordings: Path) -> Samples:
    return decode_audio(str(recordings / "de_simplicissimus_68s.mp3"))[: 55 * SAMPLE_RATE]


@pytest.fixture
def encoded(base: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for each time that the base model encodes half a minute."""
    calls: list[int] = []
    encode = WhisperModel.encode

    def counted(self: WhisperModel, features: np.ndarray) -> object:
        calls.extend([features.shape[-1]] * (len(features) if features.ndim == 3 else 1))
        return encode(self, features)

    monkeypatch.setattr(WhisperModel, "encode", counted)
    # Else it remembers what it has encoded for another test.
    base._model._encoded.clear()
    yield calls


def silence(length_s: float) -> Samples:
    return np.zeros(int(length_s * SAMPLE_RATE), dtype=np.float32)


def text(heard: Transcription) -> str:
    return " ".join(segment.text for segment in heard.segments)


def words(heard: Transcription) -> list[Word]:
    return [word for segment in heard.segments for word in segment.words]


# Without speech


@EITHER
@pytest.mark.parametrize("name", ["silence_10s.wav", "noise_pink_10s.wav", "music_synth_12s.ogg", None])
def test_without_speech_it_says_nothing_and_does_not_ask_the_model(
    engines, recordings, model, name, monkeypatch
):
    def not_asked(*_: object, **__: object) -> None:
        raise AssertionError("the model was asked")

    monkeypatch.setattr(engines[model]._model, "transcribe", not_asked)
    samples = decode_audio(str(recordings / name)) if name else silence(0)
    assert engines[model].transcribe(samples, TranscribeOptions()) == Transcription()


# Speech


@EITHER
def test_it_hears_every_word(engines, jfk, model):
    heard = engines[model].transcribe(jfk, TranscribeOptions())
    assert spoken_words(text(heard)) == spoken_words(JFK)
    assert heard.language == "en"


@EITHER
def test_times_are_in_order_and_inside_the_window(engines, recordings, model):
    samples = decode_audio(str(recordings / "en_three_speakers_20s.wav"))
    heard = engines[model].transcribe(samples, TranscribeOptions(language="en"))
    assert len(heard.segments) > 1
    for segment in heard.segments:
        assert (segment.start_ms, segment.end_ms) == (segment.words[0].start_ms, segment.words[-1].end_ms)
        assert " ".join(word.text for word in segment.words) == segment.text
    said = words(heard)
    assert said[0].start_ms >= 0
    assert said[-1].end_ms <= samples_to_ms(len(samples))
    assert all(word.start_ms <= word.end_ms for word in said)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(said))


def test_words_are_where_they_are_said_also_behind_a_long_silence(tiny, jfk):
    usual = words(tiny.transcribe(jfk, TranscribeOptions()))
    late = words(tiny.transcribe(np.concatenate([silence(7), jfk, silence(4)]), TranscribeOptions()))
    assert [word.text for word in late] == [word.text for word in usual]
    shifts_ms = [b.start_ms - a.start_ms for a, b in zip(usual, late, strict=True)]
    assert np.median(shifts_ms) == pytest.approx(7_000, abs=100)
    assert all(6_000 <= shift_ms <= 8_000 for shift_ms in shifts_ms)


def test_a_word_behind_a_pause_does_not_begin_in_it(tiny, recordings):
    sound = decode_audio(str(recordings / "en_sonnet1_53s.mp3"))
    detector = SpeechDetector()
    detector.feed(sound)
    speech = detector.finish()
    said = words(tiny.transcribe(sound, TranscribeOptions()))
    onsets = [next((span.start_ms for span in speech if span.end_ms > word.start_ms), 0) for word in said]
    begun = zip(said, onsets, strict=True)
    assert [word for word, onset in begun if word.start_ms + 100 < onset < word.end_ms] == []
    assert all(a.start_ms <= a.end_ms <= b.start_ms for a, b in pairwise(said))


def test_speech_up_to_both_edges_of_the_window_is_heard(tiny, jfk):
    said = words(tiny.transcribe(jfk, TranscribeOptions()))
    first, last = said[0].start_ms * 16, said[-1].end_ms * 16
    heard = tiny.transcribe(jfk[first:last], TranscribeOptions())
    assert spoken_words(text(heard)) == spoken_words(JFK)
    assert words(heard)[-1].end_ms <= samples_to_ms(last - first)


SKIPS = {
    "the end": lambda segments: [s for s in segments if s.end < 9],
    "the middle": lambda segments: [s for s in segments if s.end < 9 or s.start > 14],
    "from within a segment": lambda segments: [
        replace(segments[0], words=[w for s in segments for w in s.words if not 4 < w.start < 9])
    ],
}


@pytest.mark.parametrize("kept", SKIPS.values(), ids=SKIPS)
def test_speech_that_the_model_skips_is_heard_again(tiny, recordings, monkeypatch, kept):
    samples = decode_audio(str(recordings / "en_two_cities_44s.m4a"))[: 21 * SAMPLE_RATE]
    usual = tiny.transcribe(samples, TranscribeOptions())
    transcribe, calls = tiny._model.transcribe, []

    def skip_at_first(samples: Samples, **options: object) -> object:
        segments, info = transcribe(samples, **options)
        calls.append(len(samples))
        return (kept(list(segments)) if len(calls) == 1 else segments), info

    monkeypatch.setattr(tiny._model, "transcribe", skip_at_first)
    heard = tiny.transcribe(samples, TranscribeOptions())
    assert len(calls) == 2
    assert wer(text(usual), text(heard)) < 0.04
    assert [word.text for s in heard.segments for word in s.words] == text(heard).split()
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(words(heard)))


def test_a_model_that_hears_next_to_nothing_is_not_asked_for_ever(tiny, jfk, monkeypatch):
    transcribe, calls = tiny._model.transcribe, []

    def hear_one_word(samples: Samples, **options: object) -> object:
        segments, info = transcribe(samples, **options)
        calls.append(len(samples))
        first = next(iter(segments))
        return [replace(first, words=first.words[:1], text=first.words[0].word)], info

    monkeypatch.setattr(tiny._model, "transcribe", hear_one_word)
    heard = tiny.transcribe(jfk, TranscribeOptions())
    assert len(calls) <= 4
    assert len(words(heard)) == len(calls)


def test_the_result_can_be_stored_as_json(tiny, jfk):
    heard = tiny.transcribe(jfk, TranscribeOptions())
    assert json.loads(json.dumps(asdict(heard)))["segments"][0]["words"]
    assert all(type(word.confidence) is float and 0 <= word.confidence <= 1 for word in words(heard))
    assert all(type(s.confidence) is float and 0 <= s.confidence <= 1 for s in heard.segments)
    assert type(heard.language_confidence) is float


def test_hint_words_are_accepted(tiny, jfk):
    heard = tiny.transcribe(jfk, TranscribeOptions(prompt="John F. Kennedy, inauguration."))
    assert wer(JFK, text(heard)) < 0.1


# Languages


def test_it_finds_the_language_and_encodes_half_a_minute_once_for_that_and_the_text(base, german, encoded):
    heard = base.transcribe(german, TranscribeOptions())
    assert heard.language == "de"
    assert heard.language_confidence > 0.9
    # Whether it is English is found on a short context.
    short, half_a_minute = encoded
    assert short < 1_500 < half_a_minute == 3_000


def test_short_english_is_encoded_once_on_a_short_context(base, jfk, encoded):
    heard = base.transcribe(jfk, TranscribeOptions())
    assert wer(JFK, text(heard)) < 0.1
    assert heard.language == "en"
    assert heard.language_confidence > 0.9
    assert len(encoded) == 1
    assert encoded[0] < 1_500


@pytest.mark.parametrize(
    "options",
    [{"language": "de"}, {"language": "en", "translate_to": "en"}, {"language": "en", "temperature": 0.2}],
)
def test_other_languages_translations_and_temperatures_get_half_a_minute(base, jfk, encoded, options):
    base.transcribe(jfk, TranscribeOptions(**options))
    assert set(encoded) == {3_000}


def test_what_comes_out_badly_on_a_short_context_is_heard_on_half_a_minute(tiny, jfk, monkeypatch):
    usual = tiny.transcribe(jfk, TranscribeOptions())
    monkeypatch.setattr("speech.engines.local.decoder.heard_well", lambda parts, limit: False)
    heard = tiny.transcribe(jfk, TranscribeOptions())
    assert spoken_words(text(heard)) == spoken_words(text(usual))
    shifts_ms = [a.start_ms - b.start_ms for a, b in zip(words(usual), words(heard), strict=True)]
    assert max(map(abs, shifts_ms)) < 500


def test_a_longer_window_is_encoded_once_for_each_half_minute(base, german_minute, encoded):
    heard = base.transcribe(german_minute, TranscribeOptions())
    assert heard.language == "de"
    assert len(encoded) == 2


def test_what_is_remembered_does_not_change_the_text(base, paths, spanish, jfk, german_minute, monkeypatch):
    sounds = (spanish, jfk, german_minute, spanish)
    plain = WhisperModel(paths["base"], device="cpu", compute_type="int8", cpu_threads=1)
    plain.runs_on = base.runs_on
    # It has no short context.
    monkeypatch.setattr(base, "capabilities", replace(base.capabilities, short_windows=False))
    heard = [base.transcribe(samples, TranscribeOptions()) for samples in sounds]
    monkeypatch.setattr(base, "_model", plain)
    again = [base.transcribe(samples, TranscribeOptions()) for samples in sounds]
    assert [(text(one), one.language) for one in again] == [(text(one), one.language) for one in heard]


def test_spanish_is_translated_into_english(base, spanish):
    said = spoken_words(text(base.transcribe(spanish, TranscribeOptions(language="es", translate_to="en"))))
    assert {"the", "sands", "are", "and"} & set(said)
    assert not {"las", "arenas", "son", "y"} & set(said)


def test_every_language_of_the_recordings_is_found(base, recordings):
    for entry in json.loads((recordings / "manifest.json").read_text()):
        if entry["expect"] == "transcript" and entry["language"] not in ("en", "de"):
            samples = decode_audio(str(recordings / entry["file"]))
            heard = base.transcribe(samples, TranscribeOptions())
            assert heard.language == entry["language"], entry["file"]


def in_turn(*sounds: Samples) -> Samples:
    """One after the other, with pauses."""
    return np.concatenate([part for sound in sounds for part in (sound, silence(0.7))])


@pytest.fixture(scope="session")
def chinese(recordings: Path) -> Samples:
    return decode_audio(str(recordings / "zh_weather_3s.wav"))


def languages_of(heard: Transcription) -> list[str]:
    return [language for language, _ in groupby(segment.language for segment in heard.segments)]


def test_sentences_of_two_languages_in_turn_are_heard_each_in_its_own(base, jfk, chinese):
    heard = base.transcribe(in_turn(jfk, chinese, jfk, chinese), TranscribeOptions())
    assert languages_of(heard) == ["en", "zh", "en", "zh"]
    assert text(heard).count("今天天") == 2
    assert spoken_words(text(heard)).count("fellow") == 2
    assert heard.language == "en"
    assert heard.language_probabilities == {}


def test_a_window_that_changes_its_language_once_is_right_in_both(base, german_minute, jfk):
    half = german_minute[: 20 * SAMPLE_RATE]
    heard = base.transcribe(in_turn(half, jfk), TranscribeOptions())
    assert languages_of(heard) == ["de", "en"]
    assert spoken_words(text(heard))[-10:] == spoken_words(JFK)[-10:]


def test_a_language_that_is_not_allowed_is_not_heard(base, jfk, chinese):
    options = TranscribeOptions(prior=LanguagePrior(allowed=frozenset({"en", "de"})))
    heard = base.transcribe(in_turn(jfk, chinese), options)
    assert {segment.language for segment in heard.segments} <= {"en", "de"}
    assert heard.language == "en"
    only = TranscribeOptions(prior=LanguagePrior(allowed=frozenset({"en"})))
    assert base.transcribe(jfk, only).language == "en"


def test_one_word_leans_on_what_is_known_beforehand(base, recordings):
    word = decode_audio(str(recordings / "en_browser_chrome_test_3s.webm"))
    alone = base.transcribe(word, TranscribeOptions())
    known = base.transcribe(word, TranscribeOptions(prior=LanguagePrior(odds={"en": 6.0})))
    assert known.language == "en"
    assert known.language_confidence > alone.language_confidence
    # What was heard is the same.
    assert known.language_probabilities == alone.language_probabilities
    finals = [
        base.transcribe_utterance(word, TranscribeOptions(prior=LanguagePrior(allowed=frozenset({one}))))
        for one in ("en", "de")
    ]
    assert [final.language for final in finals] == ["en", "de"]


# Failures


def test_it_gives_each_segment_when_it_is_heard_and_stops_where_that_raises(tiny, recordings):
    samples = decode_audio(str(recordings / "en_three_speakers_20s.wav"))
    seen = []
    heard = tiny.transcribe(samples, TranscribeOptions(), seen.append)
    assert tuple(seen) == heard.segments

    class EnoughError(Exception):
        pass

    def stop(segment: object) -> None:
        seen.append(segment)
        raise EnoughError

    seen.clear()
    with pytest.raises(EnoughError):
        tiny.transcribe(samples, TranscribeOptions(), stop)
    assert len(seen) == 1


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("bad"), MemoryError()])
def test_what_goes_wrong_inside_the_model_may_be_tried_again(tiny, jfk, monkeypatch, error):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(tiny._model, "generate_with_fallback", fail)
    with pytest.raises(EngineFailed) as failed:
        tiny.transcribe(jfk, TranscribeOptions())
    assert not failed.value.permanent
    assert failed.value.__cause__ is error


@pytest.mark.parametrize("files", [[], ["model.bin"], ["model.bin", "config.json", "vocabulary.txt"]])
def test_a_directory_without_a_whole_model_is_said_in_a_sentence(tmp_path, files):
    for name in files:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(SpeechError, match=r"`make setup`.*LOCAL_MODEL") as failed:
        LocalEngine(EngineSettings(model="mine", model_dir=str(tmp_path)))
    assert isinstance(failed.value, ModelUnavailable)


# Several half minutes at once


@pytest.fixture(scope="session")
def cities(recordings: Path) -> Samples:
    return decode_audio(str(recordings / "en_two_cities_44s.m4a"))


def test_a_window_of_several_half_minutes_has_its_sentences_in_order(tiny, cities):
    heard = tiny.transcribe(cities, TranscribeOptions())
    assert len(heard.segments) > 1
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(words(heard)))
    assert [word.text for word in words(heard)] == text(heard).split()
    assert words(heard)[-1].end_ms <= samples_to_ms(len(cities))


def spoilt(segments: list, how: str) -> list:
    first = segments[0]
    if how == "guessed":
        return [replace(first, avg_logprob=-1.5, words=first.words[:1]), *segments[1:]]
    if how == "repeated":
        return [replace(first, compression_ratio=3.0, words=first.words[:1] * 50), *segments[1:]]
    return [replace(first, words=[w for w in first.words if not 5 < w.start < 12]), *segments[1:]]


@pytest.mark.parametrize("how", ["guessed", "repeated", "left out"])
def test_a_half_minute_that_came_out_badly_is_heard_again(tiny, cities, monkeypatch, how):
    usual = tiny.transcribe(cities, TranscribeOptions())
    together = BatchedInferencePipeline.transcribe
    alone, calls = tiny._model.transcribe, []

    def badly(self, samples: Samples, **options: object) -> object:
        segments, info = together(self, samples, **options)
        return spoilt(list(segments), how), info

    def counted(samples: Samples, **options: object) -> object:
        calls.append(len(samples))
        return alone(samples, **options)

    monkeypatch.setattr(BatchedInferencePipeline, "transcribe", badly)
    monkeypatch.setattr(tiny._model, "transcribe", counted)
    heard = tiny.transcribe(cities, TranscribeOptions())
    # Only that one, and not the half minute behind it.
    assert calls
    assert all(n <= 30 * SAMPLE_RATE for n in calls)
    assert wer(text(usual), text(heard)) < 0.1
