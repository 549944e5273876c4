"""What the openai engine sends, how it waits, and what it keeps secret."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile

from speech.engines import capabilities
from speech.engines.base import TranscribeOptions
from speech.errors import ProviderRefused
from speech.windows.planner import plan_windows
from tests.services import ROOT
from tests.speech.numbered_speech import make_numbered_speech, numbers
from tests.speech.openai_asking import ASK, KEY, SPEECH, engine, failure, words
from tests.speech.scripted_provider import Answer, ScriptedProvider, hang, ok, status

# What is sent


def test_a_window_goes_out_as_one_request_and_comes_back_with_word_times(server):
    heard = engine(server).transcribe(
        SPEECH, TranscribeOptions(language="en", prompt="Names.", temperature=0.2)
    )
    assert words(heard) == numbers(0, 4)
    assert [w.start_ms for s in heard.segments for w in s.words] == pytest.approx(
        [0, 1500, 3000, 4500], abs=40
    )
    assert (heard.timing, heard.language, heard.requests) == ("words", "en", 1)
    [request] = server.requests
    assert request.path == "/v1/audio/transcriptions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.fields == {
        "model": ["whisper-1"],
        "language": ["en"],
        "prompt": ["Names."],
        "temperature": ["0.2"],
        "response_format": ["verbose_json"],
        "timestamp_granularities[]": ["word", "segment"],
    }
    assert request.file_name == "audio.ogg"
    assert request.file[:4] == b"OggS"


@pytest.mark.parametrize(
    ("model", "options", "path", "sent", "not_sent"),
    [
        ("gpt-4o-transcribe", {"language": "de"}, "transcriptions",
         {"response_format": "json", "language": "de"}, ["timestamp_granularities[]", "chunking_strategy"]),
        ("gpt-transcribe", {"language": "de", "prompt": "P"}, "transcriptions",
         {"response_format": "json", "languages[]": "de", "prompt": "P"}, ["language"]),
        ("gpt-4o-transcribe", {"language": "jw"}, "transcriptions", {"language": "jv"}, []),
        ("whisper-1", {"language": "jw"}, "transcriptions", {"language": "jw"}, []),
        ("gpt-4o-transcribe-diarize", {"prompt": "P"}, "transcriptions",
         {"response_format": "diarized_json", "chunking_strategy": "auto"}, ["prompt"]),
        ("whisper-1", {"language": "de", "translate_to": "en"}, "translations",
         {"response_format": "verbose_json"}, ["language", "timestamp_granularities[]"]),
    ],
)  # fmt: skip
def test_each_model_is_asked_as_it_wants_to_be(server, model, options, path, sent, not_sent):
    engine(server, model).transcribe(SPEECH, TranscribeOptions(**options))
    [request] = server.requests
    assert request.path == f"/v1/audio/{path}"
    assert {name: request.get(name) for name in sent} == sent
    assert not set(not_sent) & set(request.fields)


@pytest.mark.parametrize(("container", "magic"), [("wav", b"RIFF"), ("flac", b"fLaC"), ("mp3", b"ID3")])
def test_the_container_of_the_settings_is_sent(server, container, magic):
    assert words(engine(server, container=container).transcribe(SPEECH, ASK)) == numbers(0, 4)
    assert server.requests[0].file.startswith(magic)
    assert server.requests[0].file_name == f"audio.{container}"


def test_silence_is_not_sent(server):
    heard = engine(server).transcribe(np.zeros(160_000, dtype=np.float32), ASK)
    assert (heard.segments, heard.language, heard.requests) == ((), "", 0)
    assert server.requests == []


@pytest.mark.parametrize("quiet_s", [1, 9.95, 10, 14, 27])  # it is searched in stretches of 10 s
def test_the_silence_around_what_is_said_is_not_sent_and_times_count_from_the_window(server, quiet_s):
    quiet = np.zeros(int(quiet_s * 16_000), dtype=np.float32)
    heard = engine(server, container="wav").transcribe(np.concatenate([quiet, SPEECH, quiet]), ASK)
    assert words(heard) == numbers(0, 4)
    assert heard.segments[0].start_ms == pytest.approx(quiet_s * 1000, abs=40)
    assert len(server.requests[0].file) < 7 * 32_000


def test_a_server_without_a_key_gets_none_of_the_environment(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {KEY}")
    engine(server, name="gpu", api_key="").transcribe(SPEECH, ASK)
    sent = json.dumps(server.requests[0].headers)
    assert KEY not in sent
    assert "secret" not in sent


def test_a_query_and_a_password_of_the_base_url_are_sent(server):
    url = server.url.replace("http://", "http://me:pass@") + "?api-version=2"
    engine(server, base_url=url, api_key="").transcribe(SPEECH, ASK)
    [request] = server.requests
    assert request.path == "/v1/audio/transcriptions?api-version=2"
    assert request.headers["authorization"].startswith("Basic ")


def test_a_window_that_is_too_large_is_not_sent(server):
    error = failure(engine(server, max_request_bytes=30_000))
    assert isinstance(error, ProviderRefused)
    assert "OPENAI_WINDOW_S" in str(error)
    assert server.requests == []


def test_windows_of_a_long_recording_lose_and_double_nothing(server):
    samples = make_numbered_speech(0, 100)
    model = engine(server)
    able = capabilities("openai", "whisper-1", model._provider)
    windows = plan_windows(lambda start, end: samples[start * 16 : end * 16], len(samples) // 16, able)
    heard = [model.transcribe(samples[w.start_ms * 16 : w.end_ms * 16], ASK) for w in windows]
    assert len(windows) > 1
    assert [word for one in heard for word in words(one)] == numbers(0, 100)


# While it waits


def test_what_on_wait_raises_gives_the_request_up_at_once(server):
    class LeaseLost(Exception):
        pass

    def lost() -> None:
        if server.requests:
            raise LeaseLost

    server.answer_with(hang())
    begun = time.monotonic()
    with pytest.raises(LeaseLost):
        engine(server).transcribe(SPEECH, ASK, on_wait=lost)
    assert time.monotonic() - begun < 4
    server.wait_for(lambda s: s.requests[0].gone, timeout_s=2)


def test_on_wait_is_called_at_least_once_a_second(server):
    server.latency_s = 2.5
    calls = []
    engine(server).transcribe(SPEECH, ASK, on_wait=lambda: calls.append(time.monotonic()))
    assert len(calls) >= 3
    assert max(np.diff(calls)) < 1


def test_several_threads_use_one_engine_at_the_same_time(server):
    server.latency_s = 1.0
    model = engine(server)
    heard: dict[int, list[str]] = {}

    def run(first: int) -> None:
        heard[first] = words(model.transcribe(make_numbered_speech(first, 3), ASK))

    threads = [threading.Thread(target=run, args=(first,)) for first in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {first: numbers(first, 3) for first in range(0, 80, 10)}
    assert server.most_at_once > 1


def test_a_compressed_answer_is_read(server):
    server.answer_with(Answer(body=gzip.compress(ok("as small").body), headers={"Content-Encoding": "gzip"}))
    assert [segment.text for segment in engine(server).transcribe(SPEECH, ASK).segments] == ["as small"]


# Secrets


def test_no_secret_is_in_errors_logs_or_tracebacks(server, caplog):
    caplog.set_level(logging.DEBUG)
    url = server.url.replace("http://", "http://me:hunter2@") + "?key=query-secret"
    told = (
        f"Incorrect API key provided: {KEY}; also sk-other-123456*** and hunter2,\nquery-secret. " + "x" * 900
    )
    server.answer_with(status(401, body={"error": {"message": told}}))
    model = engine(server, base_url=url)
    error = failure(model)
    logging.getLogger("tests").exception("failed", exc_info=error)
    model.transcribe(SPEECH, ASK)
    # The server's own address stays out, too: people who transcribe have no use for it.
    for secret in (KEY, "hunter2", "query-secret", "sk-other", server.url):
        assert secret not in caplog.text + repr(error) + repr(model) + repr(model.__dict__)
    assert "Incorrect API key provided: ***; also ***" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 400


def test_a_redirect_takes_neither_the_key_nor_the_recording_elsewhere(server):
    with ScriptedProvider() as elsewhere:
        server.answer_with(status(307, headers={"Location": f"{elsewhere.url}/audio/transcriptions"}))
        failure(engine(server))
        assert elsewhere.requests == []


# Processes

FORKED = """
import os, sys
import soundfile
from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.providers import Provider
samples = soundfile.read("tests/audio/hello_5s.wav", dtype="float32")[0]
settings = EngineSettings(model="whisper-1", provider=Provider(name="openai", base_url=sys.argv[1]))
def hear():
    return len(load_engine("openai", settings).transcribe(samples, TranscribeOptions()).segments)
assert hear() == 1
child = os.fork()
if child == 0:
    os._exit(0 if hear() == 1 else 9)
assert os.waitpid(child, 0)[1] == 0
assert hear() == 1
"""


def test_a_forked_child_makes_connections_of_its_own(server):
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-c", FORKED, server.url]
    subprocess.run(run, cwd=ROOT, timeout=60, check=True, env=environ)
    assert len(server.requests) == 3


def test_real_speech_is_sent_as_well(server):
    samples = soundfile.read(ROOT / "tests/audio/hello_5s.wav", dtype="float32")[0]
    [only] = engine(server).transcribe(samples, ASK).segments
    assert "seconds of sound" in only.text
