"""Whatever stands in the query of an address: never an error of the server's, and nothing becomes markup."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.urls import reverse
from rest_framework.test import APIClient

from jobs_app.models.vocabulary import Correction, TargetList
from sessions_app.models import ResumableUpload
from tests.samples import completed_job

ODD = [
    *("", ",", ",,", "a,", ",a", "-", "--", "-,", "created_at,", ",created_at", "created_at,,-created_at"),
    *(" ", "\x00", "a\x00b", "\ud800".encode("utf-8", "surrogatepass"), "%", "%00", "'", '"', "\\", "\n"),
    *(
        "0",
        "-1",
        "1",
        "9" * 30,
        "1e309",
        "NaN",
        "true",
        "None",
        "null",
        "[]",
        "{}",
        "0001-01-01T00:00:00+14:00",
    ),
    *(
        "9999-12-31T23:59:59-14:00",
        "2026-02-30",
        "owner__password",
        "session__owner__password",
        "pk",
        "?",
        "x" * 5000,
    ),
    *("<script>alert(1)</script>", "é\u202e", "٣", "\U0001f600", "*", "(", "[a", "$(x)", "{{7*7}}"),
]
API = ["/api/jobs/", "/api/job-history/", "/api/sessions/", "/api/corrections/", "/api/target-lists/"]
# Those that are asked for together are checked together.
API_PARAMETERS = [
    *(("ordering",), ("page",), ("page_size",), ("search",), ("engine", "language")),
    ("status", "source", "state", "created_after", "created_before", "format", "nonsense"),
]
PAGE_PARAMETERS = ["page", "q", "search", "status", "next", "list", "text", "from", "t", "error"]
PAGES = [
    "home",
    "home-rows",
    "upload",
    "record",
    "record-who",
    "vocabulary",
    "vocabulary-try",
    "login",
    "account",
]
ADMIN_PARAMETERS = ["q", "o", "p", "all", "e", "_popup", "_to_field", "_facets", "_changelist_filters"]

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}"
INLINE = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle\s*=|\son\w+\s*=\s*[\"']", re.IGNORECASE)


@pytest.fixture(autouse=True)
def no_throttle(monkeypatch):
    rates = dict.fromkeys(("user", "anon", "upload", "chunk", "login"), "100000/hour")
    monkeypatch.setattr("rest_framework.throttling.SimpleRateThrottle.THROTTLE_RATES", rates)


@pytest.fixture
def hostile(alice, settings, tmp_path):
    """A row of each kind whose texts are markup."""
    settings.MEDIA_ROOT = tmp_path
    alice.first_name = alice.last_name = HOSTILE
    alice.email = "a@example.com"
    alice.save()
    job = completed_job(
        alice,
        sentences=(HOSTILE, "Good morning."),
        title=HOSTILE,
        audio=b"sound",
        prompt=HOSTILE,
    )
    job.session.chunks.update(filename=HOSTILE, container=HOSTILE[:20], codec=HOSTILE[:20])
    Correction.objects.create(owner=alice, from_text=HOSTILE, to_text=HOSTILE + "x")
    TargetList.objects.create(owner=alice, name=HOSTILE, words=[HOSTILE])
    failed = completed_job(alice, title=HOSTILE, status="failed", error=HOSTILE, error_code="x")
    ResumableUpload.objects.create(owner=alice, length=5, metadata="filename PHNjcmlwdD4=")
    return job, failed


@pytest.mark.django_db
@pytest.mark.parametrize("path", API)
def test_no_parameter_of_a_list_is_an_error_of_the_servers(alice, hostile, path):
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(alice)
    failed = [
        (names, odd)
        for names in API_PARAMETERS
        for odd in ODD
        if client.get(path, dict.fromkeys(names, odd)).status_code not in (200, 400, 404)
    ]
    assert failed == []


@pytest.mark.django_db
@pytest.mark.parametrize("order", [",", "created_at,", ",created_at", ""])
@pytest.mark.parametrize("path", ["/api/jobs/", "/api/job-history/", "/api/sessions/"])
def test_a_comma_too_many_orders_by_the_rest(alice, hostile, path, order):
    client = APIClient()
    client.force_authenticate(alice)
    answer = client.get(path, {"ordering": order})
    assert answer.status_code in (200, 400)


@pytest.mark.django_db
@pytest.mark.parametrize("name", PAGES)
def test_no_parameter_of_a_page_is_an_error_of_the_servers(client, alice, hostile, name):
    client.raise_request_exception = False
    client.force_login(alice)
    statuses = {
        odd: client.get(reverse(name), dict.fromkeys(PAGE_PARAMETERS, odd)).status_code for odd in ODD
    }
    assert [odd for odd, status in statuses.items() if status >= 500] == []


@pytest.mark.django_db
@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str), ids=lambda m: m._meta.label)
def test_no_parameter_of_the_admins_lists_is_an_error_of_the_servers(client, staff, hostile, model):
    client.raise_request_exception = False
    client.force_login(staff)
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    filters = admin.site._registry[model].list_filter
    names = [
        getattr(item, "parameter_name", None) or (item[0] if isinstance(item, tuple) else item)
        for item in filters
    ]
    failed = [
        (name, odd)
        for name in [*ADMIN_PARAMETERS, *names]
        for odd in ODD[::6]
        if client.get(url, {name: odd}).status_code >= 500
    ]
    assert failed == []


def is_clean(response) -> bool:
    body = response.content
    return b"<script>alert" not in body and b"<img src=x" not in body and not INLINE.search(body)


@pytest.mark.django_db
def test_what_people_write_is_text_on_every_page(client, alice, hostile):
    client.force_login(alice)
    job, _ = hostile
    pages = [
        *(reverse(name) for name in PAGES if name != "login"),
        *(
            reverse(name, args=[one.pk])
            for one in hostile
            for name in ("job", "job-progress", "delete-recording")
        ),
        *(reverse("transcribe-again", args=[one.pk]) for one in hostile),
        *(reverse("edit-correction", args=[one.pk]) for one in Correction.objects.all()),
        *(reverse("edit-target-list", args=[one.pk]) for one in TargetList.objects.all()),
        *(
            f"{reverse(name)}?{parameter}={HOSTILE.replace('&', '')}"
            for name in PAGES
            for parameter in ("q", "page")
        ),
        "/nowhere/<script>alert(1)</script>/",
    ]
    answers = {page: client.get(page) for page in pages}
    assert [page for page, answer in answers.items() if answer.status_code not in (200, 302, 404, 405)] == []
    assert [page for page, answer in answers.items() if not answer.streaming and not is_clean(answer)] == []
    # It is shown, as text.
    for page in (reverse("home"), reverse("job", args=[job.pk]), reverse("vocabulary")):
        assert b"&lt;script&gt;alert" in answers[page].content


@pytest.mark.django_db
@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str), ids=lambda m: m._meta.label)
def test_what_people_write_is_text_in_the_admin(client, staff, hostile, model):
    client.force_login(staff)
    at = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    pages = [reverse(f"{at}_changelist"), f"{reverse(f'{at}_changelist')}?q={HOSTILE}"]
    for row in model._default_manager.all()[:3]:
        pages += [reverse(f"{at}_{page}", args=[row.pk]) for page in ("change", "history", "delete")]
    answers = {page: client.get(page) for page in pages}
    assert [page for page, answer in answers.items() if not is_clean(answer)] == []
