"""Ways to write a name, at all the doors, and what counts as the same one."""

from __future__ import annotations

import pytest
from django.contrib.auth import authenticate
from django.core.cache import caches
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client, RequestFactory
from django.urls import reverse
from rest_framework.test import APIClient
from rest_framework.throttling import SimpleRateThrottle

from people_app.names import check_new_name, same_name
from people_app.throttles import LoginByAddressThrottle, LoginByNameThrottle
from rest.throttling import StrangerThrottle

WAYS = ["Bob", "BOB", " bob ", "ｂｏｂ", "Ｂob", "𝐛𝐨𝐛", "𝕓𝕠𝕓", "ⓑⓞⓑ", "bOb"]  # noqa: RUF001


@pytest.fixture
def three_tries(monkeypatch):
    monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, "login", "3/hour")


def ask_page(name, password, address="10.0.0.1"):
    return Client(REMOTE_ADDR=address).post(reverse("login"), {"username": name, "password": password})


def ask_api(name, password, address="10.0.0.1"):
    return APIClient(REMOTE_ADDR=address).post("/api/auth/token/", {"username": name, "password": password})


@pytest.mark.parametrize("name", WAYS)
def test_people_log_in_however_they_write_their_name(bob, name):
    assert ask_page(name, "bobs password").status_code == 302
    assert ask_api(name, "bobs password").status_code == 200


@pytest.mark.django_db
def test_letters_outside_of_ascii_are_folded_too(django_user_model):
    person = django_user_model.objects.create_user("Ünal", password="unals password")
    assert authenticate(username="ünal", password="unals password") == person
    assert authenticate(username="unal", password="unals password") is None


@pytest.mark.parametrize("name", WAYS)
def test_a_name_is_taken_however_it_is_written(client, bob, name, django_user_model):
    form = {"username": name, "password1": "good enough 71", "password2": "good enough 71"}
    assert "already exists" in client.post(reverse("sign-up"), form).content.decode()
    with pytest.raises(IntegrityError), transaction.atomic():
        django_user_model.objects.create_user(name)


def test_staff_cannot_make_a_second_spelling_of_a_name_either(client, staff, bob, alice):
    client.force_login(staff)
    form = {"username": "BOB", "password1": "good enough 71", "password2": "good enough 71"}
    add = client.post(reverse("admin:people_app_user_add"), form | {"usable_password": "true"})
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    change = client.post(
        reverse("admin:people_app_user_change", args=[alice.pk]), {"username": "BOB"} | joined
    )
    for answer in (add, change):
        assert answer.status_code == 200
        assert "already exists" in answer.content.decode()


def test_a_row_without_what_names_are_compared_by_is_refused(db, django_user_model):
    with pytest.raises(IntegrityError), transaction.atomic():
        django_user_model.objects.bulk_create([django_user_model(username="carol")])


def test_a_new_name_is_compared_from_then_on(bob, django_user_model):
    bob.username = "Robert"
    bob.save(update_fields=["username"])
    assert authenticate(username="ROBERT", password="bobs password") == bob
    assert django_user_model.objects.create_user("bob")


def test_a_name_that_takes_another_spelling_of_itself_is_its_own(bob):
    bob.username = "Bob"
    bob.full_clean()


@pytest.mark.django_db
def test_a_dotless_i_is_another_letter(django_user_model):
    django_user_model.objects.create_user("alice", password="alices password")
    assert authenticate(username="alıce", password="alices password") is None  # noqa: RUF001


@pytest.mark.parametrize("ask", [ask_page, ask_api])
def test_all_ways_to_write_a_name_use_up_the_same_tries(bob, three_tries, ask):
    statuses = [ask(name, "wrong", f"10.0.0.{n}").status_code for n, name in enumerate(WAYS)]
    assert statuses[3:] == [429] * (len(WAYS) - 3)


def test_pages_and_api_count_together(bob, three_tries):
    for n, ask in enumerate([ask_page, ask_api, ask_page]):
        ask("bob", "wrong", f"10.0.0.{n}")
    assert ask_api("bob", "bobs password", "10.0.0.9").status_code == 429


def test_ten_thousand_others_do_not_make_a_name_be_forgotten(bob, three_tries):
    for n in range(3):
        ask_api("bob", "wrong", f"10.0.0.{n}")
    requests = RequestFactory()
    for n in range(10_000):
        address = f"10.{n // 65536}.{n // 256 % 256}.{n % 256}"
        request = requests.post("/login/", {"username": f"someone {n}"}, REMOTE_ADDR=address)
        request.user = None
        for throttle in (LoginByNameThrottle(), LoginByAddressThrottle(), StrangerThrottle()):
            throttle.allow_request(request, None)
    assert ask_api("bob", "bobs password", "10.9.0.1").status_code == 429
    assert caches["logins"]._max_entries >= 100_000


def test_addresses_of_one_ipv6_network_are_one(bob, three_tries):
    for n in range(3):
        ask_api(f"person {n}", "wrong", f"2001:db8:1:2:{n}::1")
    assert ask_api("bob", "bobs password", "2001:db8:1:2:ffff::9").status_code == 429
    assert ask_api("bob", "bobs password", "2001:db8:1:3::1").status_code == 200
    assert StrangerThrottle().get_ident(RequestFactory(REMOTE_ADDR="::ffff:10.1.2.3").get("/")) == "10.1.2.3"


@pytest.mark.parametrize("ask", [ask_page, ask_api])
def test_others_who_guess_do_not_lock_out_who_has_logged_in_from_here(bob, three_tries, ask):
    assert ask("bob", "bobs password", "10.1.0.1").status_code in (200, 302)
    for n in range(5):
        ask("bob", "wrong", f"10.0.0.{n}")
    assert ask("bob", "bobs password", "10.0.0.9").status_code == 429
    assert ask("Bob", "bobs password", "10.1.0.1").status_code in (200, 302)
    # It is a counter, no open door.
    statuses = [ask("bob", "wrong", "10.1.0.1").status_code for _ in range(4)]
    assert statuses[3] == 429


def test_the_body_is_not_read_for_an_address_that_has_had_its_tries(bob, three_tries, monkeypatch):
    for n in range(3):
        ask_api(f"person {n}", "wrong")

    browser = Client(REMOTE_ADDR="10.0.0.1", enforce_csrf_checks=True)
    browser.get(reverse("sign-up"))

    def fail(*args):
        raise AssertionError("the body was parsed")

    monkeypatch.setattr("rest_framework.request.Request._parse", fail)
    monkeypatch.setattr("django.http.request.HttpRequest._load_post_and_files", fail)
    assert ask_api("bob", "bobs password").status_code == 429
    assert browser.post(reverse("sign-up"), {"username": "carol"}).status_code == 429


@pytest.mark.parametrize("name", ["login", "sign-up"])
def test_the_forms_still_need_their_csrf_token(db, name):
    browser = Client(enforce_csrf_checks=True)
    browser.get(reverse(name))
    assert browser.post(reverse(name), {"username": "bob", "password": "x"}).status_code == 403


def test_the_old_password_cannot_be_guessed_without_end(client, alice, three_tries):
    client.force_login(alice)
    url = reverse("change-password")
    form = {"new_password1": "another good one 7", "new_password2": "another good one 7"}
    # What is wrong with the new one costs no try.
    for _ in range(5):
        answer = client.post(
            url, {"old_password": "alices password", "new_password1": "a", "new_password2": "b"}
        )
        assert answer.status_code == 200
    statuses = [client.post(url, form | {"old_password": "guess"}).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = client.post(url, form | {"old_password": "alices password"})
    assert refused.status_code == 429
    assert "Too many tries" in refused.content.decode()
    alice.refresh_from_db()
    assert alice.check_password("alices password")


@pytest.mark.parametrize("header", [{}, {"authorization": "Token wrong"}])
@pytest.mark.parametrize("path", ["/api/jobs/", "/api/uploads/", "/v1/models"])
def test_requests_without_an_account_are_too_many_at_some_time(db, monkeypatch, path, header):
    monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, "anon", "3/hour")
    client = APIClient(headers=header)
    assert [client.get(path).status_code for _ in range(5)] == [401] * 3 + [429] * 2


@pytest.mark.parametrize("name", ["аlice", "bоb", "αlice", "alicе", "аӏісе"])  # noqa: RUF001
def test_a_name_that_looks_like_anothers_is_refused(client, db, name):
    with pytest.raises(ValidationError):
        check_new_name(name)
    form = {"username": name, "password1": "good enough 71", "password2": "good enough 71"}
    assert client.post(reverse("sign-up"), form).status_code == 200


@pytest.mark.parametrize(
    "name", ["alice", "Ünal", "борис", "Ελένη", "山田ハナコ", "김철수", "bob-2.x@y", "ñandú"]
)
def test_a_name_in_one_script_is_taken(name):
    check_new_name(name)


def test_names_fold_to_the_same_once_and_for_all():
    assert {same_name(name) for name in WAYS} == {"bob"}
    assert all(same_name(same_name(n)) == same_name(n) for n in ("ǰ", "ͅ", "ﬃ", "Σς", "İ", "ẞ"))


def test_a_name_that_grows_when_it_is_compared_is_refused():
    check_new_name("\ufdfa" * 8)
    with pytest.raises(ValidationError):
        check_new_name("\ufdfa" * 9)
