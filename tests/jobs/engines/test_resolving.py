"""What a job may be asked to do: engines, providers, fallbacks."""

from __future__ import annotations

import pytest

from jobs_app.engines.offered import capabilities_of, engine_for, engine_models
from jobs_app.engines.resolving import resolve_options, script_of, transcribe_options
from speech.engines.providers import Provider
from speech.errors import NotSupported


@pytest.fixture(autouse=True)
def two_providers(settings):
    settings.ENGINES = ["fake", "local"]
    settings.DEFAULT_ENGINE = "fake"
    settings.LOCAL_MODELS = ["base", "tiny.en"]
    settings.PROVIDERS = {
        "openai": Provider(
            name="openai", base_url="https://api.openai.com/v1", models=("whisper-1", "gpt-4o-transcribe")
        ),
        "gpu": Provider(
            name="gpu", base_url="http://127.0.0.1:9000/v1", models=("large-v3",), window_s=(20, 50)
        ),
    }


def chosen(**given) -> tuple[str, str]:
    found = resolve_options(**given)
    return found.engine, found.model


def fallback(**given) -> tuple[str, str]:
    found = resolve_options(**given)
    return found.fallback_engine, found.fallback_model


def test_providers_are_offered_beside_the_built_in_engines():
    assert engine_models() == {
        "fake": ["fake"],
        "local": ["base", "tiny.en"],
        "openai": ["whisper-1", "gpt-4o-transcribe"],
        "gpu": ["large-v3"],
    }


def test_a_provider_is_chosen_by_its_name_with_its_first_model(settings):
    assert chosen(engine="openai") == ("openai", "whisper-1")
    assert chosen(engine="openai", model="gpt-4o-transcribe") == ("openai", "gpt-4o-transcribe")
    settings.DEFAULT_ENGINE = "gpu"
    assert chosen() == ("gpu", "large-v3")


def test_each_provider_has_an_engine_of_its_own():
    gpu, openai = engine_for("gpu", "large-v3"), engine_for("openai", "whisper-1")
    assert gpu is engine_for("gpu", "large-v3")
    assert gpu is not openai


def test_the_settings_of_a_provider_decide_what_it_can_do():
    able = capabilities_of("gpu", "large-v3")
    assert (able.min_window_s, able.max_window_s) == (20, 50)


def test_a_provider_that_is_gone_is_said_to_be_gone(settings):
    settings.PROVIDERS = {}
    for ask in (engine_for, capabilities_of):
        with pytest.raises(NotSupported, match="no engine 'gpu' here any more"):
            ask("gpu", "large-v3")


def test_nothing_falls_back_unless_asked():
    assert fallback(engine="openai") == ("", "")


def test_a_job_names_its_fallback():
    assert fallback(engine="openai", fallback_engine="local") == ("local", "base")
    assert fallback(engine="openai", fallback_engine="local", fallback_model="tiny.en") == (
        "local",
        "tiny.en",
    )
    assert fallback(engine="openai", fallback_engine="openai", fallback_model="gpt-4o-transcribe") == (
        "openai",
        "gpt-4o-transcribe",
    )


def test_the_settings_name_a_fallback_that_a_job_may_decline(settings):
    settings.FALLBACK_ENGINE, settings.FALLBACK_MODEL = "local", "tiny.en"
    assert fallback(engine="openai") == ("local", "tiny.en")
    assert fallback(engine="openai", fallback_engine="gpu") == ("gpu", "large-v3")
    assert fallback(engine="openai", fallback_engine="none") == ("", "")


def test_the_fallback_of_the_settings_is_left_out_where_it_is_of_no_use(settings):
    settings.FALLBACK_ENGINE, settings.FALLBACK_MODEL = "local", "tiny.en"
    assert fallback(engine="local", model="tiny.en") == ("", "")
    assert fallback(engine="openai", language="de") == ("", "")  # tiny.en knows English


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"fallback_engine": "telepathy"}, "There is no engine 'telepathy' here"),
        ({"fallback_engine": "local", "fallback_model": "huge"}, "has no model 'huge' here"),
        ({"fallback_engine": "openai"}, "The fallback is the engine itself"),
        ({"fallback_model": "base"}, "needs its `fallback_engine`"),
        ({"fallback_engine": "none", "fallback_model": "base"}, "needs its `fallback_engine`"),
        (
            {"fallback_engine": "local", "fallback_model": "tiny.en", "language": "de"},
            "does not know the language",
        ),
        ({"language": "klingon"}, "no language 'klingon'"),
        ({"translate_to": "klingon"}, "no language 'klingon'"),
        ({"temperature": 1.01}, "not from 0 to 1"),
        ({"temperature": -0.1}, "not from 0 to 1"),
        ({"temperature": float("nan")}, "not from 0 to 1"),
    ],
)
def test_what_cannot_be_met_is_refused_with_a_sentence(given, why):
    with pytest.raises(NotSupported, match=why):
        resolve_options(engine="openai", **given)


def test_a_temperature_reaches_the_engine():
    assert transcribe_options(resolve_options(temperature=0.4)).temperature == 0.4
    assert transcribe_options(resolve_options()).temperature is None


def test_a_language_is_asked_of_the_engine_by_its_code_and_kept_as_it_was_written():
    wanted = resolve_options(language=" pt_BR ", translate_to="English", engine="openai")
    assert (wanted.language, wanted.language_wish, wanted.translate_to) == ("pt", "pt_BR", "en")
    assert transcribe_options(wanted).language == "pt"


@pytest.mark.parametrize(
    ("given", "script"),
    [
        ({"language": "zh-TW"}, "Hant"),
        ({"language": "zh-CN"}, "Hans"),
        ({"language": "zh"}, ""),
        ({"language": "zh-TW", "translate_to": "en"}, "Hant"),
        ({"language": "zh-TW", "translate_to": "en", "keep_original": False}, ""),
        ({}, ""),
    ],
)
def test_a_wish_may_name_the_script(given, script):
    assert script_of(resolve_options(engine="openai", **given)) == script
