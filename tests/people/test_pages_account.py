"""Signing up, logging in and out, and the password."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from people_app.login import SignUpForm
from people_app.models import ApiToken, User
from people_app.throttles import LoginByAddressThrottle, LoginByNameThrottle
from tests.samples import words_on

pytestmark = pytest.mark.django_db
GOOD = "correct horse battery"


def log_in(client: Client, password: str, name: str = "alice", **more: str):
    return client.post(reverse("login"), {"username": name, "password": password, **more})


# --- Sign up -------------------------------------------------------------------------------------


def test_a_newcomer_signs_up_and_is_logged_in(client):
    form = {"username": "carol", "password1": GOOD, "password2": GOOD}
    assert client.post(reverse("sign-up"), form).url == reverse("home")
    assert "Logged in as carol" in words_on(client.get(reverse("home")))
    assert not User.objects.get(username="carol").is_staff


def test_a_weak_password_is_refused_with_the_reason(client):
    response = client.post(
        reverse("sign-up"), {"username": "carol", "password1": "12345", "password2": "12345"}
    )
    assert response.status_code == 200
    assert "too short" in words_on(response)
    assert not User.objects.exists()


def test_signing_up_can_be_turned_off(client, settings):
    assert reverse("sign-up") in client.get(reverse("login")).content.decode()
    settings.SIGN_UP = False
    form = {"username": "carol", "password1": GOOD, "password2": GOOD}
    assert client.get(reverse("sign-up")).status_code == 404
    assert client.post(reverse("sign-up"), form).status_code == 404
    assert reverse("sign-up") not in client.get(reverse("login")).content.decode()
    assert not User.objects.exists()


def test_of_two_who_take_one_name_at_once_one_is_told(client, monkeypatch):
    is_valid = SignUpForm.is_valid

    def and_then_another_is_faster(form):
        valid = is_valid(form)
        User.objects.create_user("carol")
        return valid

    monkeypatch.setattr(SignUpForm, "is_valid", and_then_another_is_faster)
    response = client.post(reverse("sign-up"), {"username": "carol", "password1": GOOD, "password2": GOOD})
    assert response.status_code == 200
    assert "A user with that username already exists." in words_on(response)
    assert User.objects.count() == 1


# --- Log in and out ------------------------------------------------------------------------------


def test_logging_in_leads_where_one_wanted_to_go(client, alice):
    assert log_in(client, "alices password", next="/upload/").url == "/upload/"


def test_logging_in_does_not_lead_to_other_sites(client, alice):
    assert log_in(client, "alices password", next="https://example.com/").url == reverse("home")


def test_a_wrong_password_is_said(client, alice):
    response = log_in(client, "wrong")
    assert response.status_code == 200
    assert "correct username and password" in words_on(response)


def test_after_too_many_tries_even_the_right_password_must_wait(client, alice, monkeypatch):
    monkeypatch.setattr(LoginByAddressThrottle, "rate", "3/hour", raising=False)
    for _ in range(3):
        assert log_in(client, "wrong").status_code == 200
    response = log_in(client, "alices password")
    assert response.status_code == 429
    assert "Too many tries. Wait 60 minutes, then try again." in words_on(response)
    assert 3500 < int(response.headers["Retry-After"]) <= 3600


def test_who_has_to_wait_still_gets_where_they_wanted_to_go(client, alice, monkeypatch):
    monkeypatch.setattr(LoginByAddressThrottle, "rate", "1/hour", raising=False)
    log_in(client, "wrong", next="/upload/")
    response = log_in(client, "alices password", next="/upload/")
    assert response.status_code == 429
    assert '<input type="hidden" name="next" value="/upload/">' in response.content.decode()


def test_those_who_know_their_password_need_not_wait(client, alice, monkeypatch):
    monkeypatch.setattr(LoginByAddressThrottle, "rate", "2/hour", raising=False)
    monkeypatch.setattr(LoginByNameThrottle, "rate", "2/hour", raising=False)
    for _ in range(4):
        assert log_in(client, "alices password").status_code == 302
        client.logout()
    # What went wrong between them still counts.
    for _ in range(2):
        assert log_in(client, "wrong").status_code == 200
    assert log_in(client, "alices password").status_code == 429


@pytest.mark.parametrize("name", ["login", "sign-up"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "nonsense"])
def test_what_is_no_form_gets_the_form(client, db, name, kind):
    response = client.post(reverse(name), b"{}", content_type=kind)
    assert response.status_code == 200
    assert "This field is required." in words_on(response)


@pytest.mark.parametrize("target", ["/login/", "/login/?next=/login/", "http://testserver/login/"])
def test_logging_in_does_not_lead_to_the_login_again(client, alice, target):
    assert log_in(client, "alices password", next=target).url == reverse("home")
    assert client.get(reverse("login"), {"next": target}).url == reverse("home")


def test_tries_at_the_api_and_on_the_page_count_together(client, alice, monkeypatch):
    monkeypatch.setattr(LoginByAddressThrottle, "rate", "2/hour", raising=False)
    log_in(client, "wrong")
    client.post("/api/auth/token/", {"username": "alice", "password": "wrong"})
    assert log_in(client, "alices password").status_code == 429


def test_logging_out_needs_a_post(client, alice):
    client.force_login(alice)
    assert client.get(reverse("logout")).status_code == 405
    assert client.post(reverse("logout")).url == reverse("login")
    assert client.get(reverse("home")).status_code == 302


def test_the_site_has_its_name_on_the_login_page(client, settings):
    assert f"<title>Log in · {settings.SITE_NAME}</title>" in client.get(reverse("login")).content.decode()


# --- Password ------------------------------------------------------------------------------------


def test_the_password_is_changed(client, alice):
    client.force_login(alice)
    form = {"old_password": "alices password", "new_password1": GOOD, "new_password2": GOOD}
    response = client.post(reverse("change-password"), form, follow=True)
    assert "Your password is changed." in words_on(response)
    alice.refresh_from_db()
    assert alice.check_password(GOOD)


def test_the_password_is_not_changed_without_the_old_one(client, alice):
    client.force_login(alice)
    form = {"old_password": "a guess", "new_password1": GOOD, "new_password2": GOOD}
    assert client.post(reverse("change-password"), form).status_code == 200
    alice.refresh_from_db()
    assert alice.check_password("alices password")


@pytest.mark.parametrize("keep", [True, False])
def test_a_new_password_ends_the_tokens_unless_they_are_kept(client, alice, keep):
    ApiToken.objects.issue(alice)
    client.force_login(alice)
    form = {"old_password": "alices password", "new_password1": GOOD, "new_password2": GOOD}
    response = client.post(
        reverse("change-password"), form | ({"keep_tokens": "on"} if keep else {}), follow=True
    )
    assert ("Your API tokens have ended." in words_on(response)) is not keep
    assert alice.api_tokens.exists() is keep


def test_who_has_no_token_is_not_asked_about_them(client, alice):
    client.force_login(alice)
    assert "Keep my API tokens" not in words_on(client.get(reverse("change-password")))


# --- Cookies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        '"abcdefghijklmnop\\000qrstuvwxyz012345"',
        "'; drop table",
        "é" * 32,
        "../../../../etc/passwd",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("path", ["/", "/login/", "/api/jobs/"])
def test_a_cookie_that_is_no_session_is_as_none(client, db, settings, value, path):
    client.raise_request_exception = False
    response = client.get(path, headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={value}"})
    assert response.status_code == {"/": 302, "/login/": 200, "/api/jobs/": 401}[path]
