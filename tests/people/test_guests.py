"""A guest owns recordings and gets in nowhere."""

from __future__ import annotations

import pytest
from django.contrib.auth.forms import PasswordResetForm
from django.db import IntegrityError, transaction
from django.urls import reverse

from people_app.models import User


@pytest.fixture
def guest(db) -> User:
    return User.objects.create_guest()


def test_guests_have_names_of_their_own(guest):
    assert User.objects.create_guest().username != guest.username


def test_a_guest_is_logged_in_nowhere(client, guest):
    client.force_login(guest)
    assert client.get(reverse("home")).status_code == 302


def test_a_guest_gets_no_link_to_a_new_password(guest):
    User.objects.filter(pk=guest.pk).update(email="guest@example.org")
    assert list(PasswordResetForm().get_users("guest@example.org")) == []


def test_staff_look_at_a_guest_and_change_nothing(client, staff, guest):
    client.force_login(staff)
    url = reverse("admin:people_app_user_change", args=[guest.pk])
    assert client.get(url).status_code == 200
    assert client.post(url, {"username": "someone", "is_active": "on"}).status_code == 403


@pytest.mark.parametrize("change", [{"is_active": True}, {"is_staff": True}, {"is_superuser": True}])
def test_the_database_lets_no_guest_become_more(guest, change):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=guest.pk).update(**change)


def test_the_database_takes_no_password_of_a_guest(guest):
    guest.set_password("a good one 71")
    with pytest.raises(IntegrityError), transaction.atomic():
        guest.save()
