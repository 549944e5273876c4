from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES

from speech.engines import capabilities, check_options, load_engine
from speech.engines.base import Capabilities, EngineSettings, TranscribeOptions
from speech.engines.fake import FakeEngine, make_numbered_audio
from speech.engines.models import model_path
from speech.errors import EngineFailed, NotSupported
from speech.text.languages import CANTONESE, WHISPER_LANGUAGES, languages_of
from speech.types import SAMPLE_RATE
from speech.windows.planner import plan_windows
from tests.services import ROOT
from tests.speech.sounds import Track, decoded, write_media

FAKE = EngineSettings(model="fake")


def python(script: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, timeout=60, **options)


def words(samples, prompt: str = "") -> list[str]:
    heard = FakeEngine(FAKE).transcribe(samples, TranscribeOptions(prompt=prompt))
    return [word.text for segment in heard.segments for word in segment.words]


def numbers(first: int, count: int) -> list[str]:
    return [f"w{n:04d}" for n in range(first, first + count)]


# The registry


def test_neither_importing_nor_asking_what_a_model_can_do_loads_an_inference_library():
    script = """
import sys
import speech.engines
for model in ("base", "tiny.en", sys.argv[1]):
    speech.engines.capabilities("local", model)
loaded = {"django", "faster_whisper", "ctranslate2", "onnxruntime", "av"} & set(sys.modules)
assert not loaded, loaded
"""
    python(script, model_path("tiny.en", ROOT), check=True)


def test_an_engine_is_loaded_once_per_process_and_settings():
    engine = load_engine("fake", FAKE)
    assert load_engine("fake", EngineSettings(model="fake")) is engine
    assert load_engine("fake", EngineSettings(model="fake", threads=2)) is not engine


def test_an_engine_does_not_survive_a_fork():
    script = """
import os
from speech.engines import load_engine
from speech.engines.base import EngineSettings
settings = EngineSettings(model="fake")
mine = load_engine("fake", settings)
child = os.fork()
if child == 0:
    os._exit(load_engine("fake", settings) is mine)
assert os.waitpid(child, 0)[1] == 0
"""
    python(script, check=True)


@pytest.mark.parametrize("ask", [capabilities, lambda name, model: load_engine(name, FAKE)])
def test_an_engine_that_there_is_not_is_refused_with_those_there_are(ask):
    with pytest.raises(NotSupported, match=r"no engine 'os:system'.*fake, local"):
        ask("os:system", "base")


def test_the_languages_are_those_of_faster_whisper():
    assert set(_LANGUAGE_CODES) == WHISPER_LANGUAGES | CANTONESE


@pytest.mark.parametrize(
    ("model", "known", "not_known"),
    [
        ("base", "de", "yue"),
        ("tiny.en", "en", "de"),
        ("distil-small.en", "en", "de"),
        ("large-v2", "de", "yue"),
        ("large-v3", "yue", ""),
        ("large-v3-turbo", "yue", ""),
    ],
)
def test_a_models_name_says_which_languages_it_knows(model, known, not_known):
    languages = languages_of(model)
    assert known in languages
    assert not_known not in languages


@pytest.mark.parametrize(("tokens", "known"), [(51_864, 1), (51_865, 99), (51_866, 100)])
@pytest.mark.parametrize("kind", ["txt", "json"])
def test_a_directorys_vocabulary_says_which_languages_it_knows(tmp_path, tokens, known, kind):
    entries = [f"t{n}" for n in range(tokens)]
    as_json = "[" + ",".join(f'"{entry}"' for entry in entries) + "]"
    (tmp_path / f"vocabulary.{kind}").write_text(as_json if kind == "json" else "\n".join(entries) + "\n")
    assert len(languages_of(str(tmp_path))) == known


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("base", {"language": "xx"}, "does not know the language 'xx'"),
        ("base", {"language": "English"}, "ISO 639-1"),
        ("base", {"language": "yue"}, "does not know"),
        ("base", {"translate_to": "de"}, "cannot translate into 'de'; it can translate into en"),
        ("tiny.en", {"language": "fr"}, "it knows only English"),
        ("tiny.en", {"translate_to": "en"}, "no other language"),
    ],
)
def test_what_a_model_cannot_do_is_refused_with_a_sentence(model, options, said):
    with pytest.raises(NotSupported, match=said):
        check_options(capabilities("local", model), TranscribeOptions(**options))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("base", {}),
        ("base", {"language": "de", "translate_to": "en"}),
        ("tiny.en", {"language": "en", "prompt": "Names: Grimmelshausen."}),
    ],
)
def test_what_a_model_can_do_is_not_refused(model, options):
    check_options(capabilities("local", model), TranscribeOptions(**options))


def test_an_engine_that_knows_any_language_refuses_none():
    check_options(Capabilities(), TranscribeOptions(language="tlh"))


# The fake engine


def test_the_fake_hears_each_number_where_it_is():
    heard = FakeEngine(FAKE).transcribe(make_numbered_audio(41, 7), TranscribeOptions())
    found = [word for segment in heard.segments for word in segment.words]
    assert [word.text for word in found] == numbers(41, 7)
    assert [(word.start_ms, word.end_ms) for word in found] == [(n * 1000, n * 1000 + 1000) for n in range(7)]
    assert heard.language == "en"


def test_the_fake_hears_nothing_in_silence():
    assert words(np.zeros(5 * SAMPLE_RATE, dtype=np.float32)) == []


@pytest.mark.parametrize(
    ("kind", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 16_000),
        ("mp3", "mp3", 44_100),
        ("webm", "libopus", 48_000),
        ("mp4", "aac", 44_100),
    ],
)
def test_the_fake_hears_numbers_through_a_codec(tmp_path, kind, codec, rate):
    sixteen = make_numbered_audio(9_970, 30)
    at = np.arange(30 * rate) / rate
    pcm = (np.interp(at, np.arange(len(sixteen)) / SAMPLE_RATE, sixteen) * 32767).astype(np.int16)
    file = write_media(tmp_path / "numbers", Track(pcm, rate, codec), kind=kind)
    samples = decoded(file)[0] / np.float32(32768)
    assert words(samples)[:30] == numbers(9_970, 30)


@pytest.mark.parametrize("seconds", [1, 60, 61, 99, 130, 241])
def test_the_fakes_windows_give_each_number_once(seconds):
    samples = make_numbered_audio(0, seconds)
    windows = plan_windows(
        lambda start_ms, end_ms: samples[start_ms * 16 : end_ms * 16],
        seconds * 1000,
        capabilities("fake", "fake"),
    )
    heard = [word for w in windows for word in words(samples[w.start_ms * 16 : w.end_ms * 16])]
    assert heard == numbers(0, seconds)


def test_a_cut_through_a_number_shows():
    samples = make_numbered_audio(0, 4)
    cut = 5 * SAMPLE_RATE // 2
    assert words(samples[:cut]) + words(samples[cut:]) != numbers(0, 4)


def test_the_fake_fails_when_asked_to():
    for prompt, error in (("fake:fail", EngineFailed), ("fake:fail=permanent", NotSupported)):
        with pytest.raises(error) as failed:
            words(make_numbered_audio(0, 1), prompt)
        assert failed.value.permanent == (error is NotSupported)


def test_the_fake_misbehaves_only_once_when_asked_to(tmp_path):
    prompt = f"fake:once={tmp_path / 'once'} fake:fail"
    with pytest.raises(EngineFailed):
        words(make_numbered_audio(0, 1), prompt)
    assert words(make_numbered_audio(0, 1), prompt) == numbers(0, 1)


def test_the_fake_is_slow_when_asked_to():
    start = time.monotonic()
    assert words(make_numbered_audio(0, 7), "fake:slow=0.3") == numbers(0, 7)
    assert time.monotonic() - start >= 0.3


def test_what_on_segment_raises_ends_the_fakes_work():
    seen = []

    def stop(segment):
        seen.append(segment)
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        FakeEngine(FAKE).transcribe(make_numbered_audio(0, 20), TranscribeOptions(), stop)
    assert len(seen) == 1


MISBEHAVE = """
import signal, sys
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.fake import FakeEngine, make_numbered_audio
def alarm(number, frame):
    raise TimeoutError
signal.signal(signal.SIGALRM, alarm)
signal.alarm(1)
options = TranscribeOptions(prompt=sys.argv[1])
FakeEngine(EngineSettings(model="fake")).transcribe(make_numbered_audio(0, 1), options)
"""


def test_the_fake_kills_its_process_when_asked_to():
    assert python(MISBEHAVE, "fake:crash").returncode == -signal.SIGKILL


def test_the_fake_hangs_when_asked_to_and_hears_no_exception():
    command = [sys.executable, "-c", MISBEHAVE, "fake:hang"]
    with subprocess.Popen(command, cwd=ROOT) as hanging:
        with pytest.raises(subprocess.TimeoutExpired):
            hanging.wait(timeout=5)
        hanging.kill()
