"""The engines through the REST API."""

from __future__ import annotations

from speech.engines.providers import Provider


def test_it_says_which_engines_and_models_can_be_chosen(api, settings):
    settings.ENGINES = ["local"]
    settings.DEFAULT_ENGINE = "local"
    settings.LOCAL_MODELS = ["base", "tiny.en"]
    (local,) = api.get("/api/engines/").json()
    assert (local["engine"], local["is_default"]) == ("local", True)
    base, tiny = local["models"]
    assert (base["model"], tiny["model"]) == ("base", "tiny.en")
    assert "de" in base["can"]["languages"]
    assert (base["can"]["translates_to"], tiny["can"]["languages"]) == (["en"], ["en"])


def test_with_a_translator_all_can_be_translated_into_all_languages(api, settings):
    settings.TRANSLATOR = Provider(name="translator", base_url="https://chat.example.org/v1", models=("m",))
    for engine in api.get("/api/engines/").json():
        assert engine["sends_text_to"] == "chat.example.org"
        assert all({"en", "fr", "zh"} <= set(model["can"]["translates_to"]) for model in engine["models"])


def test_it_says_of_a_speech_server_where_audio_goes_and_nothing_secret(api, settings):
    settings.FALLBACK_ENGINE = "groq"
    settings.PROVIDERS = {
        "groq": Provider(
            name="groq",
            base_url="https://user:pass-word@speech.example.org/v1",
            api_key="sk-secret",
            models=("large", "turbo"),
        )
    }
    answer = api.get("/api/engines/")
    *built_in, groq = answer.json()
    assert all(not engine["sends_audio_to"] and not engine["is_default_fallback"] for engine in built_in)
    assert (groq["engine"], groq["is_default"], groq["is_default_fallback"]) == ("groq", False, True)
    assert groq["sends_audio_to"] == "speech.example.org"
    assert [model["model"] for model in groq["models"]] == ["large", "turbo"]
    assert b"secret" not in answer.content and b"pass-word" not in answer.content
