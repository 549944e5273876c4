"""What programs come with: what is stored of it, what it allows, and when it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.models import QuerySet
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from people_app.models import ApiToken, User
from people_app.tokens import person, who
from sessions_app.transcripts.formats import find_formats
from tests.samples import completed_job, words_on
from tests.site.urls_of_the_site import patterns

TOKENS = "/api/tokens/"
METHODS = ("get", "post", "put", "patch", "delete")
# What a token that sends may ask for; all else is refused whatever the address stands for.
SENDS = {
    ("post", "api/uploads/"),
    *((method, "api/uploads/tus/") for method in ("get", "post", "patch", "delete")),
    *((method, "api/uploads/tus/<str:pk>/") for method in ("get", "post", "patch", "delete")),
    ("post", "api/^sessions/$"),
    *((method, "api/^sessions/(?P<pk>[^/.]+)/$") for method in ("get", "patch")),
    ("post", "api/^sessions/(?P<pk>[^/.]+)/jobs/$"),
    *((method, "api/sessions/<str:pk>/chunks/") for method in ("get", "post")),
    ("post", "api/sessions/<str:pk>/finish/"),
    ("get", "api/sessions/<str:pk>/cache/"),
    ("get", "api/sessions/<str:pk>/text/"),
    ("get", "api/jobs/<uuid:pk>/"),
    ("get", "api/jobs/<uuid:pk>/status/"),
    ("get", "api/jobs/<uuid:pk>/segments/"),
    ("post", "api/jobs/<uuid:pk>/retry/"),
    *(("get", f"api/jobs/<uuid:pk>/transcript.{ending}") for ending in find_formats()),
    ("get", "api/engines/"),
    *((method, "v1/audio/transcriptions") for method in ("get", "post")),
    *((method, "v1/audio/translations") for method in ("get", "post")),
    *((method, route) for method in ("get", "post") for route in ("v1/models", "v1/models/<path:name>")),
}
# For everybody.
OPEN = {"api/auth/token/", "api/schema/", "api/docs/"}


def client_with(token: ApiToken) -> APIClient:
    return APIClient(raise_request_exception=False, headers={"Authorization": f"Bearer {token.key}"})


@pytest.fixture(autouse=True)
def no_throttle(monkeypatch):
    rates = dict.fromkeys(("user", "anon", "upload", "chunk", "login"), "100000/hour")
    monkeypatch.setattr("rest_framework.throttling.SimpleRateThrottle.THROTTLE_RATES", rates)


# --- What is stored -------------------------------------------------------------------------------


def test_the_key_is_in_no_column(alice):
    token = ApiToken.objects.issue(alice, "A script")
    row = ApiToken.objects.filter(pk=token.pk).values().get()
    assert not [value for value in row.values() if token.key in str(value)]
    assert token.key.startswith(row["first_characters"])
    assert ApiToken.objects.with_key(token.key) == token


def test_a_request_costs_one_query_to_know_who_sends_it(alice, rf):
    key = ApiToken.objects.issue(alice).key
    with CaptureQueriesContext(connection) as asked:
        user, token = who(rf.get("/", headers={"Authorization": f"Bearer {key}"}))
        assert (user, token.user) == (alice, alice)
    assert len(asked) == 1


def test_its_use_is_noted_once_a_minute(alice):
    token = ApiToken.objects.issue(alice)
    client = client_with(token)
    client.get("/api/engines/")
    token.refresh_from_db()
    first = token.last_used_at
    assert timezone.now() - first < timedelta(seconds=30)
    client.get("/api/engines/")
    token.refresh_from_db()
    assert token.last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    client.get("/api/engines/")
    token.refresh_from_db()
    assert token.last_used_at >= first


def test_where_nothing_can_be_written_people_still_read(alice, monkeypatch):
    client = client_with(ApiToken.objects.issue(alice))

    def fail(*args, **kwargs):
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(QuerySet, "update", fail)
    assert client.get("/api/engines/").status_code == 200


# --- When it ends ---------------------------------------------------------------------------------


def test_a_token_is_refused_after_its_end(alice):
    token = ApiToken.objects.issue(alice, expires_at=timezone.now() + timedelta(hours=1))
    assert client_with(token).get("/api/jobs/").status_code == 200
    ApiToken.objects.update(expires_at=timezone.now())
    assert client_with(token).get("/api/jobs/").status_code == 401


def test_every_way_to_a_new_password_ends_the_tokens(alice, monkeypatch):
    ApiToken.objects.issue(alice)
    alice.set_password("another good one 7")
    alice.save()
    assert not alice.api_tokens.exists()
    ApiToken.objects.issue(alice)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "a third good one 7")
    call_command("changepassword", "alice", verbosity=0)
    assert not alice.api_tokens.exists()


def test_a_new_hash_of_the_old_password_ends_nothing(alice, settings):
    ApiToken.objects.issue(alice)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    before = alice.password
    assert alice.check_password("alices password")
    alice.refresh_from_db()
    assert alice.password != before
    assert alice.api_tokens.exists()


def test_nobody_makes_a_token_for_a_guest(db):
    with pytest.raises(ValueError, match="guest"):
        ApiToken.objects.issue(User.objects.create_guest())


# --- What it allows -------------------------------------------------------------------------------


def routes() -> dict[str, str]:
    return {route: at for route, at in patterns() if route.startswith(("api/", "v1/")) and route not in OPEN}


def asked(client: APIClient, method: str, address: str) -> int:
    return getattr(client, method)(address, headers={"Tus-Resumable": "1.0.0"}).status_code


def test_a_token_that_sends_may_do_what_the_table_says_and_nothing_else(alice):
    client = client_with(ApiToken.objects.issue(alice, rights="send"))
    allowed = {
        (method, route)
        for route, address in routes().items()
        for method in METHODS
        if asked(client, method, address) != 403
    }
    assert allowed == SENDS


def test_a_token_that_reads_changes_nothing(alice):
    client = client_with(ApiToken.objects.issue(alice, rights="read"))
    for route, address in routes().items():
        for method in METHODS:
            assert (asked(client, method, address) == 403) is (method != "get"), (method, route)


def test_a_token_that_sends_reads_a_job_and_no_list(alice):
    job = completed_job(alice)
    client = client_with(ApiToken.objects.issue(alice, rights="send"))
    assert client.get(f"/api/jobs/{job.pk}/transcript.txt").status_code == 200
    assert client.head(f"/api/jobs/{job.pk}/transcript.txt").status_code == 200
    refused = client.get("/api/jobs/")
    assert (refused.status_code, refused.json()["code"]) == (403, "token_rights")
    assert refused.json()["detail"] == (
        "This token may only send recordings, and read those whose ids it knows. Use one with more rights; "
        "you make it on your account page."
    )


def test_below_v1_it_is_said_as_openai_does(alice):
    client = client_with(ApiToken.objects.issue(alice, rights="read"))
    refused = client.post("/v1/audio/transcriptions")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "token_rights"
    assert client.get("/v1/models").status_code == 200


# --- Through the API ------------------------------------------------------------------------------


def test_tokens_are_made_listed_and_ended(alice):
    client = APIClient()
    client.force_authenticate(alice)
    made = client.post(TOKENS, {"name": "Backup", "rights": "read"})
    assert made.status_code == 201
    assert "no-store" in made["Cache-Control"]
    token = ApiToken.objects.with_key(made.json()["key"])
    assert (token.user, token.rights, token.expires_at) == (alice, "read", None)
    (listed,) = client.get(TOKENS).json()["results"]
    assert listed == {name: value for name, value in made.json().items() if name != "key"}
    assert client.delete(f"{TOKENS}{token.pk}/").status_code == 204
    token.key = made.json()["key"]
    assert client_with(token).get("/api/jobs/").status_code == 401


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"rights": "read"}, "name"),
        ({"name": "x"}, "rights"),
        ({"name": "x", "rights": "everything"}, "rights"),
        ({"name": "x", "rights": "all", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_what_makes_no_token_is_refused(alice, given, field):
    client = APIClient()
    client.force_authenticate(alice)
    answer = client.post(TOKENS, given)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]
    assert not ApiToken.objects.exists()


def test_a_token_that_ends_makes_none_that_lasts_longer(alice):
    ends_at = timezone.now() + timedelta(days=1)
    client = client_with(ApiToken.objects.issue(alice, expires_at=ends_at))
    wanted = {"name": "x", "rights": "all"}
    assert client.post(TOKENS, wanted).status_code == 400
    assert client.post(TOKENS, wanted | {"expires_at": ends_at + timedelta(hours=1)}).status_code == 400
    assert client.post(TOKENS, wanted | {"expires_at": ends_at - timedelta(hours=1)}).status_code == 201


# --- On the page ----------------------------------------------------------------------------------


def make_on_page(client: Client, **given: str):
    return client.post(reverse("make-token"), {"name": "A script", "rights": "all", "lasts": "30"} | given)


def test_the_page_shows_a_key_once(client, alice):
    client.force_login(alice)
    made = make_on_page(client)
    key = made.context["token"].key
    assert f'<code id="token">{key}</code>' in made.content.decode()
    assert "no-store" in made["Cache-Control"]
    token = ApiToken.objects.with_key(key)
    assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=30)
    page = client.get(reverse("account"))
    assert key not in page.content.decode()
    assert f"{key[:6]}… · Everything" in words_on(page)
    assert "http://testserver/api/uploads/" in page.content.decode()


def test_a_token_without_an_end_is_made_on_purpose(client, alice):
    client.force_login(alice)
    make_on_page(client, lasts="")
    assert alice.api_tokens.get().expires_at is None


def test_a_token_without_a_name_is_not_made(client, alice):
    client.force_login(alice)
    assert "This field is required." in words_on(make_on_page(client, name=" "))
    assert not ApiToken.objects.exists()


def test_the_page_revokes_one_of_several(client, alice):
    client.force_login(alice)
    lost, kept = (ApiToken.objects.issue(alice, name) for name in ("Lost phone", "Backup"))
    said = words_on(client.post(reverse("revoke-token", args=[lost.pk]), follow=True))
    assert "The token “Lost phone” has ended." in said
    assert list(alice.api_tokens.all()) == [kept]


def test_a_view_for_people_never_takes_a_stranger_for_one(alice):
    request = RequestFactory().get("/")
    request.user = alice
    assert person(request) == alice
    request.user = AnonymousUser()
    with pytest.raises(TypeError):
        person(request)
