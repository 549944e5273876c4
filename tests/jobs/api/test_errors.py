"""Bad requests get JSON with a code, whatever layer refuses them."""

from __future__ import annotations

import errno

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from rest_framework import exceptions
from rest_framework.test import APIClient
from rest_framework.throttling import SimpleRateThrottle

from people_app.models import ApiToken
from speech.errors import AudioTooLong, NotSupported, UnsupportedMedia

TOKEN = "/api/auth/token/"


def answers(response) -> tuple[int, str]:
    """The status and the code, after a look at the form."""
    assert response["Content-Type"] == "application/json", response.content
    problem = response.json()
    assert isinstance(problem["detail"], str)
    assert problem["detail"].endswith((".", ")", "?")), problem["detail"]
    return response.status_code, problem["code"]


@pytest.fixture
def failing(api, monkeypatch):
    """Let the list of jobs raise an exception; the answer."""

    def ask(exception):
        def fail(self):
            raise exception

        monkeypatch.setattr("jobs_app.api.jobs.ReadJobs.get_queryset", fail)
        return api.get("/api/jobs/")

    return ask


@pytest.mark.parametrize(
    "credentials", ["Bearer wrong", "Bearer a b", "Token wrong", "Token ", "Token a b", "Token \xff"]
)
def test_a_wrong_token_is_refused(db, credentials):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=credentials)
    response = client.get("/api/jobs/")
    assert answers(response) == (401, "authentication_failed")
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "TOKEN"])
@pytest.mark.parametrize("path", ["/api/jobs/", "/api/sessions/", "/api/job-history/", "/v1/models"])
def test_a_key_may_be_sent_under_both_names(alice, scheme, path):
    key = ApiToken.objects.issue(alice).key
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"{scheme} {key}")
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("body", ["{", "", "nonsense", '{"username": NaN}', "\x00", "[" * 100_000])
def test_malformed_json_is_refused(db, client, body):
    response = client.post(TOKEN, body, content_type="application/json")
    assert answers(response) == (400, "malformed_json" if body else "invalid")


def test_bytes_that_are_no_text_are_malformed_json(db, client):
    response = client.post(TOKEN, b'{"username": "\xff\xfe"}', content_type="application/json")
    assert answers(response) == (400, "malformed_json")


@pytest.mark.parametrize("content", [[], [1], "text", 1, None, {"username": {"a": 1}, "password": []}])
def test_json_of_the_wrong_shape_is_invalid(db, content):
    assert answers(APIClient().post(TOKEN, content, format="json")) == (400, "invalid")


def test_a_broken_form_is_refused(db, client):
    response = client.post(TOKEN, b"nonsense", content_type="multipart/form-data")
    assert answers(response) == (400, "parse_error")


def test_refused_values_are_named(db):
    response = APIClient().post(TOKEN, {"username": "a" * 151})
    assert answers(response) == (400, "invalid")
    fields = response.json()["fields"]
    assert set(fields) == {"username", "password"}
    assert fields["password"] == ["This field is required."]
    assert "password" in response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"), [("put", "/api/jobs/"), ("post", "/api/job-history/"), ("get", TOKEN)]
)
def test_a_method_that_is_not_there_is_answered_in_json(api, method, path):
    response = getattr(api, method)(path)
    assert answers(response) == (405, "method_not_allowed")
    # The sentence names each method that the header does.
    for allowed in set(response["Allow"].split(", ")) - {"OPTIONS", "HEAD"}:
        assert allowed in response.json()["detail"]


@pytest.mark.parametrize("path", ["/api/uploads/", "/v1/audio/transcriptions"])
def test_who_puts_a_file_is_told_to_post_it(api, path):
    response = api.put(path, b"RIFF", content_type="application/octet-stream")
    assert response.status_code == 405
    assert "POST, as a form: `curl -F file=@" in response.content.decode()


def test_content_of_another_type_is_answered_in_json(db, client):
    response = client.post(TOKEN, "a: b", content_type="text/yaml")
    assert answers(response) == (415, "unsupported_media_type")
    assert response.json()["detail"].startswith("A body of the type text/yaml is not read here. Send app")


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_what_takes_a_file_names_the_form_it_reads(api, kind):
    response = api.post("/api/uploads/", "{}", content_type=kind)
    assert answers(response) == (415, "unsupported_media_type")
    sent, send = response.json()["detail"].split("Send ")
    assert kind in sent
    assert send.startswith("multipart/form-data")


def test_html_is_not_to_be_had(api):
    assert answers(api.get("/api/jobs/", headers={"Accept": "text/html"})) == (406, "not_acceptable")


@pytest.mark.parametrize("path", ["/api/nothing/", "/api/", "/api/jobs/nonsense/"])
def test_an_unknown_address_is_answered_in_json(api, path):
    assert answers(api.get(path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("exception", "status", "code"),
    [
        (UnsupportedMedia(), 415, "unsupported_media"),
        (NotSupported(), 422, "not_supported"),
        (AudioTooLong(), 422, "audio_too_long"),
        (OSError(errno.ENOSPC, "No space left on device"), 507, "storage_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 507, "storage_full"),
        (OperationalError("connection refused"), 503, "try_again"),
        (InterfaceError("connection already closed"), 503, "try_again"),
        (PermissionDenied(), 403, "permission_denied"),
        (exceptions.PermissionDenied(), 403, "permission_denied"),
        (SuspiciousOperation("odd"), 400, "bad_request"),
        (ZeroDivisionError("a bug"), 500, "server_error"),
        (OSError(errno.EIO, "a broken disk"), 500, "server_error"),
    ],
)
def test_what_goes_wrong_inside_has_a_status_and_a_code(failing, exception, status, code):
    response = failing(exception)
    assert answers(response) == (status, code)
    if status == 500:
        assert str(exception) not in response.content.decode()


def test_a_full_sqlite_is_a_full_disk(failing):
    error = OperationalError("database or disk is full")
    error.__cause__ = type("Full", (Exception,), {"sqlite_errorcode": 13})()
    assert answers(failing(error)) == (507, "storage_full")


def test_a_database_that_is_away_says_when_to_come_back(failing):
    assert int(failing(OperationalError("away"))["Retry-After"]) > 0


def test_a_database_that_is_away_before_any_view_is_no_bug(client, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("away")

    monkeypatch.setattr("people_app.timezones._zone", fail)
    client.raise_request_exception = False
    response = client.get("/api/jobs/")
    assert answers(response) == (503, "try_again")
    assert response["Retry-After"]


def test_a_post_with_a_session_but_without_its_csrf_token_is_refused(alice, new_job):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(alice)
    job = new_job(alice, "pending")
    assert answers(client.post(f"/api/jobs/{job.pk}/cancel/")) == (403, "permission_denied")
    assert client.get(f"/api/jobs/{job.pk}/").json()["status"] == "pending"


@pytest.mark.parametrize("path", ["/nothing-here/", "/jobs/nonsense/", "/apiary"])
def test_outside_of_the_api_an_unknown_address_gets_a_page(client, db, path):
    response = client.get(path)
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("exception", "status"),
    [(ZeroDivisionError("a bug"), 500), (OperationalError("away"), 503), (SuspiciousOperation("odd"), 400)],
)
def test_outside_of_the_api_what_goes_wrong_inside_gets_a_page(client, monkeypatch, exception, status):
    def fail(*args, **kwargs):
        raise exception

    monkeypatch.setattr("people_app.timezones._zone", fail)
    client.raise_request_exception = False
    # Without the mark `django_db` any query of the page would fail.
    response = client.get("/")
    assert response.status_code == status
    assert response["Content-Type"].startswith("text/html")
    assert str(exception) not in response.content.decode()


# --- Throttles -----------------------------------------------------------------------------------


@pytest.fixture
def rates(monkeypatch):
    """DRF reads its rates once, when it is imported."""

    def use(**rates):
        for name, rate in rates.items():
            monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, name, rate)

    return use


def test_too_many_requests_are_told_when_to_come_back(api, client_of, bob, rates):
    rates(user="2/hour")
    assert [api.get("/api/jobs/").status_code for _ in range(2)] == [200, 200]
    response = api.get("/api/jobs/")
    assert answers(response) == (429, "throttled")
    assert 0 < int(response["Retry-After"]) <= 3600
    # Each person has their own measure.
    assert client_of(bob).get("/api/jobs/").status_code == 200


def test_a_throttle_that_cannot_say_when_still_says_something(failing):
    response = failing(exceptions.Throttled())
    assert answers(response) == (429, "throttled")
    assert int(response["Retry-After"]) > 0
