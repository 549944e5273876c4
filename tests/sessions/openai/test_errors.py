"""Under /v1/ every error has the form that OpenAI's clients read."""

from __future__ import annotations

import threading

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.test import Client
from rest_framework.throttling import UserRateThrottle

from jobs_app.models import TranscriptionJob
from jobs_app.work import unit
from people_app.models import ApiToken
from sessions_app.models import RecordingSession
from sessions_app.openai import api as openai_api
from tests.sessions.conftest import sound, storage  # noqa: F401  a storage of each test's own

pytestmark = pytest.mark.django_db

TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"


@pytest.fixture
def key(alice) -> str:
    return ApiToken.objects.issue(alice).key


@pytest.fixture
def client(key) -> Client:
    return Client(headers={"Authorization": f"Bearer {key}"}, raise_request_exception=False)


def form(content: bytes = b"", name: str = "talk.wav", **fields: object) -> dict:
    file = SimpleUploadedFile(name, content or sound())
    return {"file": file, "model": "whisper-1", **fields}


def error_of(answer, status: int) -> dict:
    """The error, whose form is checked."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"].endswith(".")
    return error


@pytest.mark.parametrize(
    ("method", "path"), [("post", TRANSCRIPTIONS), ("post", TRANSLATIONS), ("get", "/v1/models")]
)
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Token wrong", "Bearer", "Basic YTpi"])
def test_without_a_valid_key_it_is_401(db, method, path, header):
    headers = {"Authorization": header} if header else {}
    answer = getattr(Client(headers=headers), method)(path)
    error = error_of(answer, 401)
    assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")
    assert answer["WWW-Authenticate"] in ("Bearer", "Token")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token"])
def test_the_key_is_the_token_of_the_api(key, scheme):
    assert Client().get("/v1/models", headers={"Authorization": f"{scheme} {key}"}).status_code == 200


def test_a_session_cookie_is_no_key(alice):
    client = Client()
    client.force_login(alice)
    error_of(client.get("/v1/models"), 401)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        (
            {"response_format": "diarized_json", "known_speaker_references[]": "data:audio/wav;base64,AAAA"},
            "known_speaker_references[]",
            "known_speaker_names[]",
        ),
        ({"response_format": "xml"}, "response_format", "verbose_json"),
        ({"temperature": "2"}, "temperature", "1"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"stream": "perhaps"}, "stream", "boolean"),
        (
            {"timestamp_granularities[]": "letter", "response_format": "verbose_json"},
            "timestamp_granularities[]",
            "letter",
        ),
        (
            {"timestamp_granularities[0]": "letter", "response_format": "verbose_json"},
            "timestamp_granularities[]",
            "letter",
        ),
        ({"file": "not a file"}, "file", "file"),
        ({"language": "de-x" + "-abcdefgh" * 5}, "language", "40"),
        ({"language": "Klingon"}, "language", "'Klingon'"),
        ({"languages[]": "Klingon"}, "language", "'Klingon'"),
        ({"prompt": "\0"}, "prompt", "Null"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(client, fields, param, words):
    error = error_of(client.post(TRANSCRIPTIONS, form(**fields)), 400)
    assert error["param"] == param
    assert words in error["message"]
    assert not TranscriptionJob.objects.exists()


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS])
def test_a_missing_file_is_named(client, path):
    error = error_of(client.post(path, {"model": "whisper-1"}), 400)
    assert (error["param"], "file name" in error["message"]) == ("file", True)


@pytest.mark.parametrize("file", ['name="file"', 'name="file"; filename=""'])
def test_a_part_without_a_file_name_is_told_so(client, file):
    body = f"--b\r\nContent-Disposition: form-data; {file}\r\n\r\nRIFF\r\n--b--\r\n"
    answer = client.post(TRANSCRIPTIONS, body.encode(), content_type="multipart/form-data; boundary=b")
    error = error_of(answer, 400)
    assert (error["param"], "file name" in error["message"]) == ("file", True)


@pytest.mark.parametrize("name", ["whisper-2", "fake", "fake/none", "nobody/whisper-1", "local/base"])
def test_an_unknown_model_is_404(client, name):
    for answer in (client.post(TRANSCRIPTIONS, form(model=name)), client.get(f"/v1/models/{name}")):
        error = error_of(answer, 404)
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert "/v1/models" in error["message"]


def test_what_a_model_cannot_do_is_refused_at_once(client):
    error = error_of(client.post(TRANSLATIONS, form(model="tiny.en")), 400)
    assert error["code"] == "not_supported"
    assert "translate" in error["message"]
    error = error_of(client.post(TRANSCRIPTIONS, form(model="tiny.en", language="fr")), 400)
    assert (error["param"], "English" in error["message"]) == ("language", True)
    assert not RecordingSession.objects.exists()


@pytest.mark.parametrize("content", [b"This is no audio. " * 100, b"\0", sound()[:40]])
def test_what_is_no_audio_is_400(client, content):
    error = error_of(client.post(TRANSCRIPTIONS, form(content)), 400)
    assert error["code"] in ("unsupported_media", "unreadable_audio", "no_audio")
    assert not RecordingSession.objects.exists()


def test_a_file_that_is_too_large_is_413(client, settings):
    settings.MAX_UPLOAD_BYTES = 1000
    assert error_of(client.post(TRANSCRIPTIONS, form()), 413)["code"] == "file_too_large"


def test_a_full_disk_is_507(client, settings):
    settings.MIN_FREE_DISK_BYTES = 2**60
    error = error_of(client.post(TRANSCRIPTIONS, form()), 507)
    assert (error["code"], error["type"]) == ("storage_full", "server_error")


def test_a_body_that_is_no_form_is_415(client):
    for kind in ("application/json", "application/x-www-form-urlencoded", "audio/wav", "text/plain"):
        message = error_of(client.post(TRANSCRIPTIONS, "{}", content_type=kind), 415)["message"]
        # What it was, and what is read here, which is not the same.
        assert message.index(kind) < message.index("Send multipart/form-data")


def test_a_broken_form_is_400(client):
    broken = client.post(TRANSCRIPTIONS, b"--x", content_type="multipart/form-data")
    error_of(broken, 400)


def test_too_many_requests_are_429_and_say_when(client, monkeypatch):
    monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", {"user": "1/hour", "upload": "100/hour"})
    error_of(client.post(TRANSCRIPTIONS, form(model="nobody's")), 404)
    answer = client.post(TRANSCRIPTIONS, form(model="nobody's"))
    assert error_of(answer, 429)["code"] == "rate_limit_exceeded"
    assert int(answer["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", TRANSCRIPTIONS),
        ("head", TRANSCRIPTIONS),
        ("put", TRANSLATIONS),
        ("delete", "/v1/models"),
        ("post", "/v1/models/whisper-1"),
    ],
)
def test_other_methods_are_405_and_say_which_are_not(client, method, path):
    answer = getattr(client, method)(path)
    assert answer.status_code == 405
    assert "POST" in answer["Allow"] if "audio" in path else "GET" in answer["Allow"]
    if method != "head":
        message = error_of(answer, 405)["message"]
        assert ("POST" if "audio" in path else "GET") in message


def test_options_and_head_are_answered(client):
    assert client.options(TRANSCRIPTIONS).status_code == 200
    head = client.head("/v1/models")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", ["/v1/", "/v1/chat/completions", "/v1/audio/speech"])
def test_what_is_not_there_is_404(client, method, path):
    assert error_of(getattr(client, method)(path), 404)["code"] == "not_found"


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS, "/v1/models"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_slash_at_the_end_is_not_redirected_but_explained(client, method, path):
    message = error_of(getattr(client, method)(f"{path}/"), 404)["message"]
    assert f"{path} without a slash" in message


def test_a_bug_is_500(client, monkeypatch):
    monkeypatch.setattr(openai_api, "models_by_name", lambda: 1 / 0)
    error = error_of(client.get("/v1/models"), 500)
    assert (error["code"], error["type"]) == ("server_error", "server_error")
    assert "division" not in error["message"]


def test_a_database_that_is_away_is_503_and_says_when(client, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError("no connection")

    monkeypatch.setattr(openai_api, "store_upload", lambda *_, **__: away())
    answer = client.post(TRANSCRIPTIONS, form())
    assert error_of(answer, 503)["code"] == "try_again"
    assert int(answer["Retry-After"]) > 0


@pytest.mark.django_db(transaction=True)
def test_it_waits_without_an_asgi_server_too(client):
    def run() -> None:
        while not TranscriptionJob.objects.filter(status="completed").exists() and not given_up.wait(0.02):
            unit.do_next()
        connection.close()

    given_up = threading.Event()
    worker = threading.Thread(target=run)
    worker.start()
    try:
        answer = client.post(TRANSCRIPTIONS, form(response_format="text"))
    finally:
        given_up.set()
        worker.join()
    job = TranscriptionJob.objects.get()
    assert (answer.status_code, answer.content.decode()) == (200, f"{job.transcript.text}\n")
    assert answer["X-Job-Id"] == str(job.pk)
    # A second of sound: somebody waits for it.
    assert job.interactive


def test_a_long_file_does_not_come_before_all_others(client, settings):
    settings.V1_INTERACTIVE_MAX_S = 1
    settings.V1_TIMEOUT_S = 0
    error_of(client.post(TRANSCRIPTIONS, form(sound(1))), 504)
    error_of(client.post(TRANSCRIPTIONS, form(sound(2))), 504)
    jobs = TranscriptionJob.objects.order_by("sound__duration_ms")
    assert [(job.duration_ms, job.interactive) for job in jobs] == [(1000, True), (2000, False)]


def test_a_translation_is_a_job_that_translates_into_english(client, settings):
    settings.V1_TIMEOUT_S = 0
    error_of(client.post(TRANSLATIONS, form(model="base")), 504)
    job = TranscriptionJob.objects.get()
    assert (job.engine, job.model, job.options.translate_to, job.language) == ("local", "base", "en", "")


def test_of_a_long_prompt_the_end_counts(client, settings):
    settings.V1_TIMEOUT_S = 0
    error_of(client.post(TRANSCRIPTIONS, form(prompt="x" * 3000 + " the end")), 504)
    assert TranscriptionJob.objects.get().options.prompt.endswith("x the end")
