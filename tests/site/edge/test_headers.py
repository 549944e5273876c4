"""What every answer says to browsers about itself."""

from __future__ import annotations

import uuid

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse

from people_app.models import ApiToken
from tests.site.urls_of_the_site import addresses

pytestmark = pytest.mark.django_db

ALWAYS = {
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "Cross-Origin-Resource-Policy",
    "X-Frame-Options",
}


@pytest.mark.parametrize("who", ["anonymous", "alice", "staff"])
def test_every_address_says_all_of_it(client, alice, staff, who):
    if who != "anonymous":
        client.force_login({"alice": alice, "staff": staff}[who])
    client.raise_request_exception = False
    lacking = {}
    for address in [*addresses(), "/nowhere/", "/api/nowhere/", "/v1/nowhere", f"/jobs/{uuid.uuid4()}/"]:
        for method in ("get", "post", "options"):
            answer = getattr(client, method)(address)
            missing = ALWAYS - set(answer.headers)
            cached = answer.get("Cache-Control", "")
            if missing or not {"private"} <= {part.strip() for part in cached.split(",")}:
                lacking[f"{method} {address}"] = (answer.status_code, missing, cached)
            assert "no-store" in cached or "no-cache" in cached
    assert lacking == {}


def test_only_the_recorder_may_listen(client, alice):
    client.force_login(alice)
    assert "microphone=(self)" in client.get(reverse("record"))["Permissions-Policy"]
    for name in ("home", "upload", "account"):
        policy = client.get(reverse(name))["Permissions-Policy"]
        assert "microphone=()" in policy
        assert "camera=()" in policy


def test_a_refused_host_says_it_too(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    answer = Client(SERVER_NAME="evil.example").get("/")
    assert answer.status_code == 400
    assert set(answer.headers) >= ALWAYS


def test_what_is_for_everybody_may_be_kept(client, settings):
    settings.WHITENOISE_USE_FINDERS = True
    settings.WHITENOISE_AUTOREFRESH = True
    answer = Client().get("/static/favicon.svg")
    assert answer.status_code == 200
    assert "public" in answer["Cache-Control"]
    assert set(answer.headers) >= ALWAYS


def test_answers_of_tokens_are_not_given_to_others(client, alice):
    answer = client.get("/api/jobs/", headers={"Authorization": f"Token {ApiToken.objects.issue(alice).key}"})
    assert answer.status_code == 200
    assert {"Authorization", "Cookie"} <= {name.strip() for name in answer["Vary"].split(",")}


def test_https_binds_no_other_name_unless_asked_to():
    assert not django_settings.SECURE_HSTS_INCLUDE_SUBDOMAINS
    assert not django_settings.SECURE_HSTS_PRELOAD
