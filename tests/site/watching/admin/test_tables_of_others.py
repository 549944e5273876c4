"""What Django-Q2 and the tokens of the API show in the admin."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.urls import reverse

from jobs_app.models import (
    TranscriptionJob,
)
from people_app.models import ApiToken
from tests.site.watching.admin.steps import (
    JOBS,
    fail,
    url,
)


@pytest.mark.parametrize(
    ("name", "explained"),
    [
        ("ormq", "Deleting messages loses nothing"),
        ("failure", "not failed jobs"),
        ("success", "They are not kept"),
        ("schedule", "This product makes none"),
    ],
)
def test_the_tables_of_the_queue_are_explained(as_staff, rows, name, explained):
    assert explained in as_staff.get(reverse(f"admin:django_q_{name}_changelist")).content.decode()


def test_a_list_of_tasks_does_not_unpickle_what_they_carry(as_staff, rows, monkeypatch):
    def load(*args):
        raise AssertionError("A pickle was loaded for a list.")

    for field in ("args", "kwargs", "result"):
        monkeypatch.setattr(apps.get_model("django_q", "Task")._meta.get_field(field), "from_db_value", load)
    for name in ("success", "failure"):
        assert as_staff.get(reverse(f"admin:django_q_{name}_changelist")).context["cl"].result_count == 1


def test_the_traceback_of_a_bug_can_be_read(as_staff, rows):
    page = as_staff.get(reverse("admin:django_q_failure_change", args=("broken",)))
    assert "Traceback of a bug" in page.content.decode()


def test_staff_revoke_an_api_token_and_never_see_it(as_staff, rows, alice, bob):
    users = url(type(alice))
    token = ApiToken.objects.get(user=alice)
    for page in (
        users,
        url(type(alice), "change", alice.pk),
        *(url(ApiToken), url(ApiToken, "change", token.pk)),
    ):
        assert token.digest not in as_staff.get(page).content.decode()
    response = as_staff.post(
        users,
        {"action": "revoke_api_tokens", "index": 0, "_selected_action": [alice.pk, bob.pk]},
        follow=True,
    )
    said = [str(message) for message in response.context["messages"]]
    assert said == ["1 API token revoked.", "1 skipped: there was no token."]
    assert not ApiToken.objects.exists()


def test_staff_revoke_one_token_of_several(as_staff, alice):
    lost, kept = (ApiToken.objects.issue(alice, name) for name in ("Lost phone", "Backup"))
    response = as_staff.post(
        url(ApiToken), {"action": "revoke_selected", "index": 0, "_selected_action": [lost.pk]}, follow=True
    )
    assert [str(message) for message in response.context["messages"]] == ["1 API token revoked."]
    assert list(ApiToken.objects.all()) == [kept]


def test_no_page_needs_inline_script_or_style(as_staff, rows, new_job, alice):
    job = fail(new_job(alice))
    for page in (reverse("admin:index"), reverse(JOBS), url(TranscriptionJob, "change", job.pk)):
        html = as_staff.get(page).content.decode()
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", html), page
