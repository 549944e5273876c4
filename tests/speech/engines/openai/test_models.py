"""What jobs may ask of a provider's models, and where their windows end."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from speech.engines import capabilities, check_options, load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.openai.models import BYTES_PER_S, facts_of
from speech.engines.providers import Provider
from speech.errors import NotSupported
from speech.sound.encoding import encode_audio
from speech.text.language_tags import language_code
from tests.services import ROOT


def provider(**given: Any) -> Provider:
    return Provider(name="gpu", base_url="http://127.0.0.1:1/v1", **given)


@pytest.mark.parametrize(
    ("model", "form", "container", "window_s", "translates"),
    [
        ("whisper-1", "words", "ogg", (60, 120), True),
        ("gpt-4o-transcribe", "text", "ogg", (30, 60), False),
        ("gpt-4o-mini-transcribe", "text", "ogg", (30, 60), False),
        ("gpt-4o-mini-transcribe-2025-12-15", "text", "ogg", (30, 60), False),
        ("gpt-4o-transcribe-diarize", "diarized", "ogg", (60, 120), False),
        ("gpt-transcribe", "text", "ogg", (30, 60), False),
        ("whisper-large-v3", "words", "ogg", (60, 120), True),
        ("whisper-large-v3-turbo", "words", "ogg", (60, 120), False),
        ("openai/whisper-large-v3", "words", "ogg", (60, 120), True),
        ("Systran/faster-whisper-small", "words", "ogg", (60, 120), True),
        ("Systran/faster-distil-whisper-small.en", "words", "ogg", (60, 120), False),
        ("parakeet-tdt-0.6b", "words", "wav", (60, 120), False),
    ],
)
def test_a_models_name_says_what_it_can_do(model, form, container, window_s, translates):
    facts, able = facts_of(model), capabilities("openai", model)
    assert facts.forms[0] == form
    assert facts.containers[0] == container
    assert (able.min_window_s, able.max_window_s) == window_s
    assert bool(able.translates_to) == translates
    assert able.word_times == (form == "words")


@pytest.mark.parametrize(
    ("model", "known", "not_known"),
    [
        ("whisper-1", "de", "yue"),
        ("whisper-large-v3", "yue", "tlh"),
        ("distil-whisper-large-v3-en", "en", "de"),
        ("gpt-4o-transcribe", "tlh", ""),
        ("parakeet-tdt-0.6b", "tlh", ""),
    ],
)
def test_only_whisper_models_are_known_to_know_no_other_languages(model, known, not_known):
    able = capabilities("openai", model)
    check_options(able, TranscribeOptions(language=known))
    if not_known:
        with pytest.raises(NotSupported):
            check_options(able, TranscribeOptions(language=not_known))


def test_the_name_of_a_directory_on_the_server_is_not_looked_up_here(tmp_path):
    (tmp_path / "vocabulary.txt").write_text("one\n")
    model = f"faster-whisper:{tmp_path}"
    assert capabilities("openai", model).languages == frozenset()


def test_settings_say_what_the_table_cannot_know():
    able = capabilities("openai", "parakeet", provider(word_times=False, window_s=(20, 30)))
    assert (able.word_times, able.min_window_s, able.max_window_s) == (False, 20, 30)
    assert facts_of("parakeet", provider(container="mp3")).containers == ("mp3",)
    assert facts_of("gpt-4o-transcribe", provider(word_times=True)).forms == ("words", "segments", "text")


@pytest.mark.parametrize(
    ("given", "longest_s"),
    [
        ({"max_audio_s": 45}, 44),
        ({"max_request_bytes": 1_000_000, "container": "wav"}, 30),
        ({"max_request_bytes": 1_000_000, "container": "ogg"}, 120),
        ({"max_audio_s": 100, "window_s": (300, 600)}, 99),
    ],
)
def test_no_window_is_longer_than_the_server_takes(given, longest_s):
    able = capabilities("openai", "whisper-1", provider(**given))
    assert able.max_window_s == longest_s
    assert 0 < able.min_window_s < able.max_window_s


def test_while_recording_windows_are_as_short_as_for_any_engine():
    recorded = capabilities("openai", "whisper-1").while_recording()
    assert (recorded.min_window_s, recorded.max_window_s) == (18, 29)


@pytest.mark.parametrize("container", BYTES_PER_S)
def test_no_sound_takes_more_room_than_the_table_says(container):
    noise = np.random.default_rng(1).normal(0, 0.3, 20 * 16_000).astype(np.float32)
    header = 1_000
    assert (len(encode_audio(noise, container)) - header) / 20 <= BYTES_PER_S[container]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("english", "en"),
        ("German", "de"),
        ("pt", "pt"),
        ("en-US", "en"),
        ("haitian creole", "ht"),
        ("cantonese", "yue"),
        ("klingon", ""),
        ("", ""),
    ],
)
def test_a_language_is_known_by_its_name_or_code(name, code):
    assert language_code(name) == code


def test_neither_the_key_nor_the_address_is_in_a_providers_repr():
    shown = repr(EngineSettings(model="m", provider=provider(api_key="sk-secret")))
    assert "sk-secret" not in shown
    assert "127.0.0.1" not in shown
    assert Provider(name="gpu", base_url="https://me:pass@gpu.example:9/v1?key=k").host == "gpu.example:9"


def test_asking_what_a_model_can_do_loads_no_client():
    script = """
import sys
import speech.engines
speech.engines.capabilities("openai", "whisper-1")
loaded = {"openai", "httpx2", "pydub", "av", "onnxruntime", "faster_whisper"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=True)


def test_the_engine_needs_a_provider():
    with pytest.raises(NotSupported, match="OPENAI_API_KEY"):
        load_engine("openai", EngineSettings(model="whisper-1"))
