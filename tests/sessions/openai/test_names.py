"""The names of models under /v1/."""

from __future__ import annotations

import pytest

from sessions_app.openai.names import ModelNotFound, find_model, models_by_name
from speech.engines.providers import Provider


@pytest.fixture(autouse=True)
def engines(settings):
    settings.ENGINES = ["local"]
    settings.LOCAL_MODELS = ["base", "tiny.en"]
    settings.DEFAULT_ENGINE = "local"
    settings.PROVIDERS = {
        name: Provider(name=name, base_url="http://127.0.0.1:1/v1", models=models)
        for name, models in {
            "openai": ("gpt-4o-transcribe", "whisper-1"),
            "groq": ("org/whisper-large",),
        }.items()
    }
    settings.V1_MODEL_ALIASES = ["whisper-1", "gpt-4o-transcribe"]


def test_local_models_have_their_own_names_and_others_their_engines_before_them():
    assert list(models_by_name()) == [
        *("base", "tiny.en"),
        *("openai/gpt-4o-transcribe", "openai/whisper-1", "groq/org/whisper-large"),
        *("whisper-1", "gpt-4o-transcribe"),
    ]
    assert find_model("groq/org/whisper-large") == ("groq", "org/whisper-large")
    assert find_model("tiny.en") == ("local", "tiny.en")


def test_the_names_of_openais_models_stand_for_the_default_engines_first_model():
    assert find_model("whisper-1") == find_model("gpt-4o-transcribe") == ("local", "base")


def test_they_stand_for_the_very_model_where_the_default_engine_has_it(settings):
    settings.DEFAULT_ENGINE = "openai"
    assert find_model("whisper-1") == ("openai", "whisper-1")


def test_an_alias_hides_no_model(settings):
    settings.V1_MODEL_ALIASES = ["tiny.en"]
    settings.DEFAULT_ENGINE = "groq"
    assert find_model("tiny.en") == ("local", "tiny.en")


@pytest.mark.parametrize("name", ["default", "local/base", "openai", "openai/", "whisper-2", "x" * 1000])
def test_other_names_do_not_exist(name):
    with pytest.raises(ModelNotFound) as unknown:
        find_model(name)
    assert (unknown.value.status, unknown.value.code) == (404, "model_not_found")
    assert len(str(unknown.value)) < 400
    assert "V1_MODEL_ALIASES" in str(unknown.value)


def test_without_a_name_it_is_the_default_engines_first_model(settings):
    assert find_model("") == ("local", "base")
    settings.DEFAULT_ENGINE = "groq"
    assert find_model("") == ("groq", "org/whisper-large")
