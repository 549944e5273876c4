"""Names of hosts, probes, and addresses that are not there: what is decided before any view."""

from __future__ import annotations

import pytest
from django.test import Client

PROBES = ("/healthz", "/readyz", "/metrics")


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.fixture(autouse=True)
def example_org(settings):
    settings.ALLOWED_HOSTS = ["transcribe.example.org"]


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "10.1.2.3", "my_web:8000", "transcribe.example.org", "x" * 300]
)
def test_probes_answer_under_every_name_and_without_https(client, db, settings, path, host, caplog):
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code in ((503,) if path == "/readyz" else (200,))
    assert "ALLOWED_HOSTS" not in caplog.text


HOSTS = ["other.example.org", "127.0.0.1:8000", "my_web", "a b", "<script>alert(1)</script>"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/", lambda answer: answer.content.decode()),
        ("/login/", lambda answer: answer.content.decode()),
        ("/nothing/", lambda answer: answer.content.decode()),
        ("/api/jobs/", lambda answer: answer.json()["detail"]),
        ("/v1/models", lambda answer: answer.json()["error"]["message"]),
    ],
)
@pytest.mark.parametrize("https", [True, False])
def test_another_name_is_refused_by_its_name_and_with_one_line_in_the_log(
    client, db, settings, host, path, read, https, caplog
):
    settings.SECURE_SSL_REDIRECT = https
    answer = client.get(path, headers={"Host": host}, REMOTE_ADDR="10.0.0.9")
    assert answer.status_code == 400
    said = read(answer)
    assert "does not answer to the name" in said
    assert "ALLOWED_HOSTS" not in said
    assert "<script>alert" not in answer.content.decode() or path.startswith(("/api/", "/v1/"))
    [line] = caplog.records
    assert line.name == "django.security.DisallowedHost"
    assert repr(host) in line.getMessage()
    assert (line.exc_info, line.exc_text) == (None, None)


def test_who_sits_at_the_machine_is_told_the_setting(client, settings):
    assert b"ALLOWED_HOSTS" in client.get("/", headers={"Host": "elsewhere"}).content
    settings.BEHIND_PROXY = True
    assert b"ALLOWED_HOSTS" not in client.get("/", headers={"Host": "elsewhere"}).content


@pytest.fixture
def here(settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/html"])
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/audio/translations/", "/v1/audio/translations"),
        ("/models", "/v1/models"),
        ("/models/whisper-1", "/v1/models/whisper-1"),
        ("/v1/v1/models", "/v1/models"),
        ("/v1/v1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("//v1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/api/v1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/openai/v1/models", "/v1/models"),
    ],
)
def test_a_wrong_base_address_is_answered_in_json_with_the_right_one(
    client, here, accept, method, path, right
):
    headers = {"Host": "speech.example.org"} | ({"Accept": accept} if accept else {})
    answer = getattr(client, method)(path, headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    message = answer.json()["error"]["message"]
    assert f"Send this to {right}:" in message
    assert "http://speech.example.org/v1," in message


@pytest.mark.parametrize(
    "path", ["/chat/completions", "/v1/chat/completions", "/audio/speech", "/embeddings"]
)
def test_what_openai_has_and_this_server_has_not_is_named(client, here, path):
    message = client.post(path).json()["error"]["message"]
    assert path.removeprefix("/v1") in message
    assert "/v1/audio/transcriptions" in message


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_programs_get_json_where_people_get_a_page(client, db, here, accept):
    answer = client.get("/nothing/", headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = client.get("/nothing/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")
