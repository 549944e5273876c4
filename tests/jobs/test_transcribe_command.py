from __future__ import annotations

import json
import os

import pytest
import soundfile
from django.core.management import CommandError, call_command

from speech.engines.fake import FakeEngine, make_numbered_audio
from speech.engines.providers import Provider
from speech.types import SAMPLE_RATE, SpeechSegment, Transcription
from tests.speech.numbered_speech import make_numbered_speech
from tests.speech.numbered_speech import numbers as spoken_numbers
from tests.speech.scripted_provider import ScriptedProvider, status
from tests.speech.translation.scripted_chat import provider, says, texts, translating


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "a talk.flac"
    soundfile.write(path, make_numbered_audio(0, 90), SAMPLE_RATE)
    return path


def numbers(count: int) -> list[str]:
    return [f"w{n:04d}" for n in range(count)]


def run(*arguments, **options) -> None:
    call_command("transcribe", *arguments, engine="fake", quiet=True, **options)


def test_it_writes_the_transcript_to_standard_output(talk, capsys):
    run(str(talk))
    assert capsys.readouterr().out.split() == numbers(90)


@pytest.mark.parametrize(("name", "start"), [("srt", "1\n00:00:00,000"), ("vtt", "WEBVTT")])
def test_it_writes_captions(talk, capsys, name, start):
    run(str(talk), format=name)
    assert capsys.readouterr().out.startswith(start)


def test_it_writes_json_to_a_file(talk, tmp_path, capsys):
    target = tmp_path / "out.json"
    run(str(talk), format="json", output=target)
    words = [w["word"] for s in json.loads(target.read_text())["segments"] for w in s["words"]]
    assert words == numbers(90)
    assert capsys.readouterr().out == ""


def test_it_shows_progress_on_standard_error(talk, capsys):
    call_command("transcribe", str(talk), engine="fake")
    written = capsys.readouterr()
    assert "100%" in written.err
    assert "%" not in written.out


def test_it_takes_languages_as_people_write_them(talk, capsys):
    run(str(talk), language="pt-BR")
    assert capsys.readouterr().out.split() == numbers(90)
    with pytest.raises(CommandError, match=r"no language 'klingon' .*\(unknown_language\)"):
        run(str(talk), language="klingon")


def test_it_writes_chinese_in_the_script_of_the_wish(talk, capsys, monkeypatch):
    heard = Transcription((SpeechSegment(0, 1000, "软件"),), "zh", 1.0)
    monkeypatch.setattr(FakeEngine, "transcribe", lambda *_, **__: heard)
    run(str(talk), language="zh-Hant")
    assert set(capsys.readouterr().out.split()) == {"軟件"}


def test_it_has_the_text_translated_and_says_what_was_not(talk, capsys, settings):
    with ScriptedProvider(respond=translating) as chat:
        settings.TRANSLATOR = provider(chat)
        run(str(talk), translate_to="fr", language="en", format="json")
        chat.respond = lambda request: says("no") if "w0000" in texts(request)[0] else translating(request)
        run(str(talk), translate_to="fr", language="en", format="srt")
        chat.answer_with(status(401))
        run(str(talk), translate_to="fr", language="en")
    said = capsys.readouterr()
    whole, _ = json.JSONDecoder().raw_decode(said.out)
    assert whole["original_text"].split() == numbers(90)
    assert all(one["text"] == f"fr:{one['original']}" for one in whole["segments"])
    assert "(partly_translated)" in said.err
    assert "(translation_failed)" in said.err
    assert said.out.split()[-90:] == numbers(90)


def test_it_leaves_nothing_behind(talk, settings):
    before = os.listdir(settings.WORK_DIR)
    run(str(talk))
    assert os.listdir(settings.WORK_DIR) == before


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "unreadable_audio"),
        (b"hello, this is only text", "unsupported_media"),
        (b"RIFF1234WAVE", "unreadable"),
    ],
)
def test_a_bad_file_gives_one_clear_line(tmp_path, content, code):
    path = tmp_path / "bad.mp3"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=code) as error:
        run(str(path))
    assert error.value.returncode == 1
    assert "\n" not in str(error.value)


def test_a_missing_file_gives_one_clear_line(tmp_path):
    with pytest.raises(CommandError, match="there is no such file"):
        run(str(tmp_path / "nothing.mp3"))


def test_an_impossible_wish_is_refused_before_any_work(talk):
    with pytest.raises(CommandError, match="cannot translate into 'fr'"):
        run(str(talk), translate_to="fr")


def test_a_target_that_cannot_be_written_gives_one_clear_line(talk, tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        run(str(talk), output=tmp_path / "nowhere" / "out.txt")


@pytest.fixture
def speech_server(settings):
    settings.RETRY_BACKOFF_S = 0
    settings.MAX_ATTEMPTS = 3
    # It stays out of this: the command does what it is told, with what it is told.
    settings.FALLBACK_ENGINE = "fake"
    with ScriptedProvider() as server:
        settings.PROVIDERS = {"gpu": Provider(name="gpu", base_url=server.url, models=("whisper-1",))}
        yield server


@pytest.fixture
def spoken(tmp_path):
    path = tmp_path / "spoken.flac"
    soundfile.write(path, make_numbered_speech(0, 60), SAMPLE_RATE)
    return path


def test_a_provider_transcribes_the_file_and_may_be_busy_in_between(spoken, speech_server, capsys):
    speech_server.answer_with(status(429), status(503))
    call_command("transcribe", str(spoken), engine="gpu", quiet=True)
    assert capsys.readouterr().out.split() == spoken_numbers(0, 60)


@pytest.mark.parametrize(("code", "requests"), [(503, 3), (401, 1)])
def test_a_provider_that_fails_gives_one_clear_line(spoken, speech_server, code, requests):
    speech_server.answer_with(*[status(code)] * requests)
    with pytest.raises(CommandError, match=r"provider_(unavailable|refused)\)$") as error:
        call_command("transcribe", str(spoken), engine="gpu", quiet=True)
    assert "\n" not in str(error.value)
    assert len(speech_server.requests) == requests


def test_what_the_transcript_may_lack_is_said_on_standard_error(talk, capsys):
    run(str(talk))
    assert capsys.readouterr().err == ""
    talk.write_bytes(talk.read_bytes()[: talk.stat().st_size // 2])
    run(str(talk))
    written = capsys.readouterr()
    assert written.out.split() == numbers(90)[: len(written.out.split())]
    assert "(cut_off)" in written.err
