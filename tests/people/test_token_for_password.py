from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework.throttling import SimpleRateThrottle

from people_app.models import ApiToken

TOKEN = "/api/auth/token/"
PASSWORD = "alices password"


def ask(username="alice", password=None, **extra):
    return APIClient().post(TOKEN, {"username": username, "password": password or PASSWORD}, **extra)


def post_json(content):
    """With what is no text escaped, as JSON may hold it."""
    return APIClient().post(TOKEN, json.dumps(content), content_type="application/json")


def test_a_password_gets_a_new_token_each_time(alice):
    first, second = ask(headers={"User-Agent": "curl/8.9.1"}), ask(headers={"User-Agent": "x" * 300})
    assert first.status_code == second.status_code == 200
    assert "no-store" in first["Cache-Control"]
    for answer in (first, second):
        client = APIClient(headers={"Authorization": f"Token {answer.json()['token']}"})
        assert client.get("/api/jobs/").status_code == 200
    assert [token.name for token in alice.api_tokens.order_by("pk")] == ["curl/8.9.1", "x" * 100]


def test_of_too_many_the_longest_unused_goes(alice):
    kept = ApiToken.objects.issue(alice, "Made by hand")
    first = [ApiToken.objects.issue_for_password(alice, str(n)) for n in range(20)]
    at = timezone.now()
    for n, token in enumerate(first):
        ApiToken.objects.filter(pk=token.pk).update(created_at=at - timedelta(days=40 - n))
    # Made first, and used since.
    ApiToken.objects.filter(pk=first[0].pk).update(last_used_at=at)
    ask(headers={"User-Agent": "one more"})
    gone = {token.pk for token in first} - set(alice.api_tokens.values_list("pk", flat=True))
    assert gone == {first[1].pk}
    assert alice.api_tokens.filter(pk=kept.pk).exists()
    assert alice.api_tokens.count() == 21


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong"),
        ("nobody", PASSWORD),
        ("alice", f"{PASSWORD} "),
    ],
)
def test_a_wrong_password_gets_none(alice, username, password):
    answer = ask(username, password)
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_password")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("name", ["\ud800", "a\x00b"])
def test_a_name_that_is_no_text_is_refused(alice, name):
    answer = post_json({"username": name, "password": "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_a_password_that_is_no_text_is_refused(alice):
    answer = post_json({"username": "alice", "password": "\ud800"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_somebody_shut_out_gets_none(alice):
    alice.is_active = False
    alice.save()
    assert ask().json()["code"] == "wrong_password"


def test_a_session_in_the_same_browser_does_not_stand_in_the_way(alice):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post(TOKEN, {"username": "alice", "password": PASSWORD}).status_code == 200


@pytest.fixture
def two_tries(monkeypatch):
    monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, "login", "2/hour")


def test_passwords_of_one_person_cannot_be_guessed_from_many_addresses(alice, two_tries):
    for n in range(2):
        assert ask("alice", "guess", REMOTE_ADDR=f"10.0.0.{n}").status_code == 400
    answer = ask(" Alice", REMOTE_ADDR="10.0.0.9")
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert int(answer["Retry-After"]) > 0
    assert ask("bob", "guess", REMOTE_ADDR="10.0.0.9").status_code == 400


def test_the_right_password_uses_up_no_try(alice, two_tries):
    assert [ask().status_code for _ in range(4)] == [200] * 4
    assert [ask(password="guess").status_code for _ in range(3)] == [400, 400, 429]


def test_passwords_of_many_people_cannot_be_guessed_from_one_address(alice, two_tries):
    for n in range(2):
        assert ask(f"person {n}", "guess").status_code == 400
    # What the client says of itself does not count.
    assert ask("alice", headers={"X-Forwarded-For": "10.0.0.9"}).status_code == 429
    assert ask("alice", REMOTE_ADDR="10.0.0.9").status_code == 200
