"""`manage.py engines`: what is here, what each model can do, and whether it answers."""

from __future__ import annotations

import json
import socket

import pytest
from django.core.management import CommandError, call_command

from speech.engines.providers import Provider
from tests.speech.scripted_provider import ScriptedProvider, garbage, hang, html, ok, status


@pytest.fixture
def server():
    with ScriptedProvider(models=("whisper-1", "other"), respond=lambda request: ok("Hello.")) as server:
        yield server


@pytest.fixture(autouse=True)
def engines(settings, server):
    settings.ENGINES = ["fake"]
    settings.DEFAULT_ENGINE = "fake"
    settings.FALLBACK_ENGINE = "gpu"
    settings.PROVIDERS = {"gpu": gpu(server.url)}


def gpu(url: str, *models: str, timeout_s: float = 5) -> Provider:
    return Provider(
        name="gpu",
        base_url=url,
        api_key="sk-secret-key",
        models=models or ("whisper-1",),
        timeout_s=timeout_s,
    )


@pytest.fixture
def said(capsys):
    """Run the command; what it writes to standard output."""

    def run(*arguments: str) -> str:
        call_command("engines", *arguments)
        return capsys.readouterr().out

    return run


def test_it_lists_engines_and_models_with_what_they_can_do_and_tries_each(said, server):
    written = said()
    fake, provider = written.split("gpu (")
    assert fake.startswith("fake (on this machine, default)")
    assert "ok in 0.0 s: no words" in fake
    host = server.url.removeprefix("http://").removesuffix("/v1")
    assert provider.startswith(f"audio is sent to {host}, fallback)")
    for words in ("languages", "word times", "hint words", "translates into en", "windows of 60 to 120 s"):
        assert words in provider
    assert "requests of up to 25 MB" in provider
    assert "ok in " in provider and ": Hello." in provider
    (request,) = server.requests
    assert (request.get("model"), bool(request.file)) == ("whisper-1", True)


def test_without_trying_no_server_is_asked_anything(said, settings):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nobody.settimeout(0)
        settings.PROVIDERS = {"gpu": gpu(f"http://127.0.0.1:{nobody.getsockname()[1]}/v1")}
        written = said("--no-try")
        with pytest.raises(BlockingIOError):
            nobody.accept()
    assert "whisper-1" in written
    assert "ok in" not in written


def test_one_engine_alone_is_listed_and_tried(said, server):
    assert said("--engine", "fake").count("ok in") == 1
    assert server.requests == []


def test_an_engine_that_is_not_here_is_an_error_with_the_choices(said):
    with pytest.raises(CommandError, match=r"no engine 'groq' here. Choose one of: fake, gpu\."):
        said("--engine", "groq")


@pytest.mark.parametrize(
    ("answer", "code"),
    [(status(401), "provider_refused"), (status(503), "provider_unavailable"), (html(), "provider_failed")],
)
def test_what_a_server_refuses_is_said_and_ends_with_an_error(capsys, server, answer, code):
    server.answer_with(answer)
    with pytest.raises(CommandError, match=r"1 of 2 models failed\.") as refusal:
        call_command("engines")
    written = capsys.readouterr().out
    assert refusal.value.returncode == 1
    assert f"({code})" in written
    assert "ok in 0.0 s" in written, "the others are tried nevertheless"
    assert "sk-secret" not in written


def test_a_server_that_hangs_takes_no_longer_than_its_timeout(capsys, server, settings):
    settings.PROVIDERS = {"gpu": gpu(server.url, timeout_s=1)}
    server.answer_with(hang())
    with pytest.raises(CommandError):
        call_command("engines", "--engine", "gpu")
    assert "FAILED after 1." in capsys.readouterr().out


def test_a_model_that_the_server_does_not_list_is_pointed_out(said, server, settings):
    settings.PROVIDERS = {"gpu": gpu(server.url, "whisper-1", "whisper-2")}
    first, second = said("--engine", "gpu").split("whisper-2")
    assert "NOT in the server's own list" not in first
    assert "NOT in the server's own list" in second


@pytest.mark.parametrize("models", [None, ()])
def test_a_server_without_a_list_of_models_is_not_blamed(said, settings, models):
    with ScriptedProvider(models=models, respond=lambda request: ok("Hello.")) as server:
        settings.PROVIDERS = {"gpu": gpu(server.url)}
        written = said("--engine", "gpu")
    assert "ok in" in written
    assert "NOT in" not in written


def test_a_list_of_models_in_another_shape_is_no_bug(said, server, monkeypatch):
    monkeypatch.setattr(
        server, "_answer", lambda request: garbage() if request.method == "GET" else ok("Hello.")
    )
    assert "NOT in" not in said("--engine", "gpu")


def test_programs_get_json(said):
    fake, provider = json.loads(said("--json"))
    assert (fake["engine"], fake["sends_audio_to"], fake["trial"]["ok"]) == ("fake", None, True)
    assert (provider["engine"], provider["model"], provider["listed"]) == ("gpu", "whisper-1", True)
    assert provider["can"]["translates_to"] == ["en"]
    assert (provider["trial"]["ok"], provider["trial"]["heard"]) == (True, "Hello.")
    assert provider["max_request_bytes"] == 25_000_000
    assert [row["trial"] for row in json.loads(said("--json", "--no-try"))] == [None, None]


@pytest.mark.slow
def test_the_second_of_speech_is_heard_by_a_real_model(said, settings):
    settings.ENGINES, settings.LOCAL_MODELS = ["local"], ["tiny.en"]
    assert "Hello" in said("--engine", "local")
