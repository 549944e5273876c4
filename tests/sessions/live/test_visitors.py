"""Who may open a socket, and who stays."""

from __future__ import annotations

import json
import uuid

import pytest
from django.conf import settings as django_settings
from django.test import Client

from people_app.models import ApiToken, TokenRights
from sessions_app.live import hub
from tests.sessions.live.client import Connection, by_token

pytestmark = pytest.mark.django_db(transaction=True)

OURS = "http://testserver"


@pytest.fixture
def cookie(alice) -> str:
    client = Client()
    client.force_login(alice)
    name = django_settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


@pytest.mark.parametrize(
    ("origin", "trusted", "status"),
    [
        (OURS, [], None),
        ("https://testserver", [], 403),
        ("http://evil.example", [], 403),
        ("https://words.example.org", ["https://*.example.org"], None),
        (None, [], 403),
    ],
)
def test_a_login_counts_only_from_a_page_of_this_site(connect, cookie, settings, origin, trusted, status):
    settings.CSRF_TRUSTED_ORIGINS = trusted
    headers = {"Cookie": cookie} | ({"Origin": origin} if origin else {})
    socket = connect(headers=headers)
    assert socket.status == status
    if status:
        assert json.loads(socket.body)["code"] == "foreign_origin"
    else:
        assert socket.start()["received_ms"] == 0


def test_behind_a_proxy_the_origin_is_that_of_the_outside(connect, cookie, settings):
    settings.USE_X_FORWARDED_HOST = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLOWED_HOSTS = ["words.example.org"]
    login = {"Cookie": cookie, "X-Forwarded-Host": "words.example.org", "X-Forwarded-Proto": "https"}
    assert connect(headers=login | {"Origin": "https://words.example.org"}).status is None
    assert connect(headers=login | {"Origin": OURS}).status == 403


def test_a_token_counts_from_anywhere(connect, alice):
    assert connect(headers=by_token(alice) | {"Origin": "http://evil.example"}).status is None
    key = ApiToken.objects.issue(alice).key
    assert connect(headers={"Authorization": f"Bearer {key}"}).status is None


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Token nobodys"}, {"Cookie": "sessionid=nobodys", "Origin": OURS}]
)
def test_strangers_are_refused(connect, headers):
    socket = connect(headers=headers)
    assert (socket.status, json.loads(socket.body)["code"]) == (403, "not_authenticated")


def test_a_token_in_the_address_is_no_token(live_loop, alice, recording):
    key = ApiToken.objects.issue(alice).key
    path = f"/ws/sessions/{recording.pk}/live/?token={key}"
    assert Connection(live_loop, path, {}).status == 404


def test_recordings_of_others_are_not_there(connect, bob, live_loop, alice):
    assert connect(headers=by_token(bob)).status == 404
    assert connect(uuid.uuid4()).status == 404
    for path in ("/ws/", "/ws/sessions/1/live/", f"/ws/sessions/{'-' * 36}/live/"):
        assert Connection(live_loop, path, by_token(alice)).status == 404


def test_a_server_that_cannot_answer_the_handshake_just_refuses(connect, bob):
    assert connect(headers=by_token(bob), extensions=False).status == 403


def test_the_path_is_below_the_prefix_or_cut_off(live_loop, alice, recording, settings):
    settings.URL_PREFIX = "/transcribe"
    for prefix in ("", "/transcribe"):
        path = f"{prefix}/ws/sessions/{recording.pk}/live/"
        assert Connection(live_loop, path, by_token(alice)).status is None


def test_over_http_nobody_is_let_in_where_https_is_needed(connect, settings):
    settings.SECURE_SSL_REDIRECT = True
    socket = connect()
    assert (socket.status, json.loads(socket.body)["code"]) == (403, "https_needed")


def test_a_host_that_is_not_served_is_refused(connect, settings):
    settings.ALLOWED_HOSTS = ["words.example.org"]
    assert connect().status == 400


@pytest.mark.parametrize(("rights", "code"), [(TokenRights.READ, "token_rights"), (TokenRights.SEND, None)])
def test_a_token_that_may_only_read_watches_and_does_not_send(connect, alice, rights, code):
    token = by_token(alice, rights=rights)
    watching = connect(headers=token)
    watching.say(type="watch")
    assert watching.hear()["type"] == "ready"
    sending = connect(headers=token)
    sending.say(type="start", sample_rate=16_000)
    assert sending.hear().get("code") == code
    if code:
        assert sending.hear_all() == []
        assert sending.closed == 4403


# --- Later ---------------------------------------------------------------------------------------


def revoke(alice, recording) -> None:
    ApiToken.objects.all().delete()


def deactivate(alice, recording) -> None:
    alice.is_active = False
    alice.save()


def remove(alice, recording) -> None:
    recording.delete()


@pytest.mark.parametrize("kind", ["start", "watch"])
@pytest.mark.parametrize(
    ("change", "code", "closed"),
    [
        (revoke, "not_authenticated", 4403),
        (deactivate, "not_authenticated", 4403),
        (remove, "not_found", 4404),
    ],
)
def test_who_is_not_let_in_any_more_is_closed(
    connect, alice, recording, monkeypatch, kind, change, code, closed
):
    monkeypatch.setattr(hub, "CHECK_S", 0.2)
    socket = connect()
    socket.say(type=kind, sample_rate=16_000)
    socket.hear_until("ready")
    change(alice, recording)
    assert socket.hear_all()[-1]["code"] == code
    assert socket.closed == closed


@pytest.mark.parametrize("change", ["log out", "new password"])
def test_a_login_that_has_ended_is_closed(connect, alice, cookie, monkeypatch, change):
    monkeypatch.setattr(hub, "CHECK_S", 0.2)
    staying = connect()
    socket = connect(headers={"Cookie": cookie, "Origin": OURS})
    socket.say(type="watch")
    staying.say(type="watch")
    socket.hear_until("progress")
    if change == "log out":
        client = Client()
        client.cookies[django_settings.SESSION_COOKIE_NAME] = cookie.partition("=")[2]
        client.post("/logout/")
    else:
        alice.keeps_tokens = True
        alice.set_password("another password")
        alice.save()
    assert socket.hear_all()[-1]["code"] == "not_authenticated"
    assert socket.closed == 4403
    assert staying.closed is None
    staying.hear_until("progress")


def test_one_person_and_one_process_have_a_limit(connect, alice, bob, settings):
    settings.LIVE_SOCKETS_PER_USER, settings.LIVE_SOCKETS = 2, 100
    first, second = connect(), connect()
    third = connect()
    assert third.hear_all()[-1]["code"] == "too_many"
    assert third.closed == 4429
    first.leave()
    settings.LIVE_SOCKETS = 1
    assert connect().hear_all()[-1]["code"] == "too_many"
    second.leave()
    assert connect().start()["type"] == "ready"
