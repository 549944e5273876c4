"""Pages of other origins: with CORS_ORIGINS they may use the API with a key, and nothing else."""

from __future__ import annotations

import pytest
from django.test import Client

from people_app.models import ApiToken
from tests.sessions.arrival.test_limits import FORM, MIB, port, send  # noqa: F401  fixtures
from tests.sessions.conftest import storage  # noqa: F401  a fixture
from transcribe_site import settings as product
from transcribe_site.bodies.cross_origin import cross_origin_headers

APP = "https://app.example.org"
ADDRESSES = ("/api/uploads/", "/api/uploads/tus/", "/api/jobs/", "/v1/audio/transcriptions", "/v1/models")


@pytest.fixture(autouse=True)
def allowed(settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [APP, "app://obsidian.md"]
    settings.CORS_URLS_REGEX = r"^/(api|v1)/"


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def preflight(client: Client, path: str, origin: str = APP, method: str = "POST", headers: str = ""):
    return client.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": headers,
        },
    )


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("origin", [APP, "app://obsidian.md"])
def test_a_preflight_is_answered_without_a_key(client, path, origin):
    # Without the mark `django_db` any query would fail.
    answer = preflight(client, path, origin)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == origin
    assert {"POST", "PATCH", "HEAD", "DELETE"} <= set(answer["Access-Control-Allow-Methods"].split(", "))
    allowed = set(answer["Access-Control-Allow-Headers"].split(", "))
    assert {"authorization", "content-type", "idempotency-key"} <= allowed
    assert {
        "tus-resumable",
        "upload-length",
        "upload-offset",
        "upload-metadata",
        "upload-checksum",
    } <= allowed
    assert "Access-Control-Allow-Credentials" not in answer
    assert "origin" in answer["Vary"].lower()


EXPOSED = {
    *("location", "etag", "retry-after", "x-job-id", "x-warnings"),
    *("tus-resumable", "tus-version", "tus-extension", "tus-max-size"),
    *("upload-offset", "upload-length", "upload-expires", "upload-session", "upload-job"),
}


def test_answers_may_be_read_with_their_headers(client, alice):
    headers = {"Origin": APP, "Authorization": f"Bearer {ApiToken.objects.issue(alice).key}"}
    answer = client.get("/api/jobs/", headers=headers)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, APP)
    assert set(answer["Access-Control-Expose-Headers"].split(", ")) >= EXPOSED
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/api/jobs/", 401),
        ("get", "/v1/models", 401),
        ("get", "/api/nothing/", 404),
        ("get", "/v1/nothing", 404),
        ("delete", "/v1/models", 401),
        ("post", "/api/uploads/tus/", 401),
    ],
)
def test_errors_may_be_read_too(client, db, method, path, status):
    answer = getattr(client, method)(path, headers={"Origin": APP})
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (status, APP)


def test_a_bug_may_be_read_too(client, db, monkeypatch):
    monkeypatch.setattr("people_app.timezones._zone", lambda name: 1 / 0)
    answer = client.get("/api/jobs/", headers={"Origin": APP})
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (500, APP)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example.org", "http://app.example.org", f"{APP}:444", "null", ""],
)
def test_other_origins_get_nothing(client, db, origin):
    for answer in (
        preflight(client, "/v1/models", origin),
        client.get("/v1/models", headers={"Origin": origin}),
    ):
        assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.parametrize("path", ["/", "/login/", "/admin/", "/healthz", "/metrics"])
def test_pages_are_for_no_other_origin(client, db, path):
    assert "Access-Control-Allow-Origin" not in client.get(path, headers={"Origin": APP})


def test_it_is_off_where_no_origin_is_named(client, db, settings):
    assert product.CORS_ORIGINS == []
    settings.CORS_URLS_REGEX = product.CORS_URLS_REGEX
    assert preflight(client, "/v1/models").status_code == 401
    answer = client.get("/v1/models", headers={"Origin": APP})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/uploads/", {"Content_Type": FORM, "Content_Length": 3 * MIB}, 401),
        ("/v1/audio/transcriptions", {"Content_Type": FORM, "Content_Length": 3 * MIB}, 401),
        ("/api/jobs/", {"Content_Type": "application/json", "Content_Length": 3 * MIB}, 413),
    ],
)
def test_answers_before_any_middleware_may_be_read_too(send, storage, path, headers, status):  # noqa: F811
    answer = send(path, Origin=APP, **headers)
    assert answer.status == status
    assert f"access-control-allow-origin: {APP}" in answer.headers
    assert "x-job-id" in answer.headers
    assert "access-control" not in send(path, Origin="https://evil.example.org", **headers).headers


def test_such_answers_of_pages_may_not():
    scope = {"type": "http", "method": "POST", "path": "/upload/", "headers": [(b"origin", APP.encode())]}
    assert cross_origin_headers(scope) == []
