"""What staff may not find out, and may not become, by way of the admin."""

from __future__ import annotations

import re
from itertools import product

import pytest
from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.test import RequestFactory
from django.urls import reverse

from people_app.models import ApiToken, User

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def helper(client, django_user_model):
    """Staff who may add, see and change people and groups, and nothing else."""
    person = django_user_model.objects.create_user("helper", password="helpers password", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__regex="^(add|view|change)_(user|group)$"))
    client.force_login(person)
    return person


def list_of(model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def columns_behind(model, depth: int = 2, path: str = "") -> list[str]:
    """The lookups of every column of the tables around `model`, forwards and backwards."""
    found = []
    for field in model._meta.get_fields():
        if not field.is_relation or field.related_model is None:
            continue
        name = f"{path}{field.name}"
        found += [f"{name}__{column.name}" for column in field.related_model._meta.concrete_fields]
        if depth > 1:
            found += columns_behind(field.related_model, depth - 1, f"{name}__")
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_no_lookup_reaches_a_column_of_another_table(as_staff, staff, model):
    model_admin = admin.site._registry[model]
    filters = {item[0] if isinstance(item, tuple) else item for item in model_admin.list_filter}
    lookups = sorted(set(columns_behind(model)) - filters)
    answered = []
    for lookup, how in product(lookups, ("startswith", "regex", "gt")):
        request = RequestFactory().get("/", {f"{lookup}__{how}": "1"})
        request.user = staff
        try:
            model_admin.get_changelist_instance(request)
        except DisallowedModelAdminLookup:
            continue
        answered.append(f"?{lookup}__{how}=1")
    assert answered == []
    for lookup in lookups[:1]:
        # What is raised there is a refusal here.
        assert as_staff.get(list_of(model), {f"{lookup}__gt": "1"}).status_code == 400


@pytest.mark.parametrize(
    "lookup",
    [
        *(f"password__{how}" for how in ("startswith", "exact", "gt", "isnull", "in")),
        "password",
        "api_tokens",
        "api_tokens__in",
        "api_tokens__gt",
        "api_tokens__digest__startswith",
        "logentry__user__password__startswith",
        "recording_sessions__owner__api_tokens__digest__startswith",
    ],
)
def test_no_secret_of_a_person_is_reached(as_staff, lookup):
    assert as_staff.get(list_of(User), {lookup: "1"}).status_code == 400


@pytest.mark.parametrize("lookup", ["digest", "digest__startswith", "user__password__startswith"])
def test_a_token_is_not_found_by_what_is_stored_of_it(as_staff, lookup):
    assert as_staff.get(list_of(ApiToken), {lookup: "1"}).status_code == 400


def test_logins_have_no_pages(as_staff):
    assert Session not in MODELS


@pytest.mark.django_db
def test_a_token_cannot_be_found_by_searching_or_sorting(client, helper, alice):
    key = ApiToken.objects.issue(alice).key
    for query in ({"q": key[:6]}, {"q": "sha256"}):
        assert "alice" not in client.get(list_of(User), query).content.decode()
    hash_of = alice.password.rsplit("$", 1)[1]
    page = client.get(reverse("admin:people_app_user_change", args=[alice.pk])).content.decode()
    assert key not in page
    assert hash_of[6:] not in page


def post_change(client, person: User, **changes):
    """Send the form of a person's page, as it is, with `changes`."""
    url = reverse("admin:people_app_user_change", args=[person.pk])
    form = {"username": person.username, "is_active": "on", "theme": person.theme}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    return client.post(url, form | changes)


def test_nobody_gains_a_right_by_changing_his_own_row(client, helper):
    everything = list(Permission.objects.values_list("pk", flat=True))
    group = Group.objects.create(name="All")
    before = helper.get_all_permissions()
    answer = post_change(
        client,
        helper,
        first_name="Changed",
        is_superuser="on",
        is_staff="on",
        user_permissions=everything,
        groups=[group.pk],
    )
    assert answer.status_code == 302
    now = User.objects.get(pk=helper.pk)
    assert now.first_name == "Changed"
    assert (now.is_superuser, now.groups.count(), now.get_all_permissions()) == (False, 0, before)


@pytest.mark.parametrize("rights", ["is_superuser", "is_staff", "group", "permission"])
@pytest.mark.parametrize("active", [True, False])
def test_nobody_sets_the_password_of_people_who_may_do_more(client, helper, bob, rights, active):
    bob.is_active = active
    if rights == "group":
        bob.groups.add(Group.objects.create(name="All"))
    elif rights == "permission":
        bob.user_permissions.add(Permission.objects.first())
    else:
        setattr(bob, rights, True)
    bob.save()
    ApiToken.objects.issue(bob)
    form = {"password1": "another good one 7", "password2": "another good one 7", "usable_password": "true"}
    url = reverse("admin:auth_user_password_change", args=[bob.pk])
    assert client.get(url).status_code == 403
    assert client.post(url, form).status_code == 403
    assert post_change(client, bob, first_name="Changed").status_code == 403
    client.post(list_of(User), {"action": "revoke_api_tokens", "_selected_action": [bob.pk]})
    bob.refresh_from_db()
    assert bob.check_password("bobs password")
    helper.user_permissions.add(Permission.objects.get(codename="view_apitoken"))
    of_bob = ApiToken.objects.get(user=bob)
    client.post(list_of(ApiToken), {"action": "revoke_selected", "_selected_action": [of_bob.pk]})
    assert ApiToken.objects.filter(user=bob).exists()


def test_people_without_rights_can_still_be_helped(client, helper, bob):
    form = {"password1": "another good one 7", "password2": "another good one 7", "usable_password": "true"}
    assert client.post(reverse("admin:auth_user_password_change", args=[bob.pk]), form).status_code == 302
    bob.refresh_from_db()
    assert bob.check_password("another good one 7")


def test_groups_are_given_rights_by_superusers_alone(client, helper, as_staff):
    group = Group.objects.create(name="Helpers")
    helper.groups.add(group)
    url = reverse("admin:auth_group_change", args=[group.pk])
    form = {"name": "Helpers", "permissions": list(Permission.objects.values_list("pk", flat=True))}
    client.force_login(helper)
    assert client.post(url, form).status_code == 403
    assert client.post(reverse("admin:auth_group_add"), form | {"name": "Mine"}).status_code == 403
    assert group.permissions.count() == 0


def test_the_password_is_changed_at_one_place(as_staff):
    answer = as_staff.get(reverse("admin:password_change"))
    assert re.search("/account/password/$", answer.url)
