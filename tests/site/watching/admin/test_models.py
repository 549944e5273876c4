"""Speech models in the admin: what is here, and what staff may change of it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from jobs_app.engines.local_models import note_all
from jobs_app.engines.offered import engine_models
from jobs_app.models import LocalModel

MODELS = "admin:jobs_app_localmodel_changelist"


@pytest.fixture(autouse=True)
def offered(settings, tmp_path, db):
    settings.MODELS_DIR, settings.LOCAL_MODELS = tmp_path, ["base", "tiny.en"]
    settings.ENGINES, settings.PROVIDERS = ["local"], {}
    note_all()


def act(client, action: str, *names: str) -> str:
    keys = list(LocalModel.objects.filter(name__in=names).values_list("pk", flat=True))
    page = client.post(reverse(MODELS), {"action": action, "index": 0, "_selected_action": keys}, follow=True)
    return page.content.decode()


def test_all_models_are_listed_with_what_is_known(client, staff):
    client.force_login(staff)
    page = client.get(reverse(MODELS)).content.decode()
    assert all(f">{name}<" in page for name in ("base", "tiny.en", "small", "large-v3-turbo"))
    assert page.count("not measured") >= 7
    row = LocalModel.objects.get(name="base")
    assert client.get(reverse("admin:jobs_app_localmodel_change", args=[row.pk])).status_code == 200


def test_staff_choose_the_default_and_what_is_offered(client, staff):
    client.force_login(staff)
    assert "tiny.en is the default for new jobs" in act(client, "make_default", "tiny.en")
    assert engine_models() == {"local": ["tiny.en", "base"]}
    assert "base cannot be chosen any more" in act(client, "withdraw", "base")
    assert engine_models() == {"local": ["tiny.en"]}
    assert "small is not installed here" in act(client, "make_default", "small")
    assert "Choose one model" in act(client, "make_default", "base", "tiny.en")
    assert "base may be chosen" in act(client, "offer", "base")
    assert engine_models() == {"local": ["tiny.en", "base"]}


def test_whoever_may_only_look_changes_nothing(client, django_user_model):
    looker = django_user_model.objects.create_user("looker", password="lookers password", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_localmodel"))
    client.force_login(looker)
    page = client.get(reverse(MODELS))
    assert page.status_code == 200
    assert "make_default" not in page.content.decode()
    act(client, "make_default", "tiny.en")
    assert engine_models() == {"local": ["base", "tiny.en"]}
