"""Speech servers in the admin and in the metrics: which one is paused, since when, and why."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from jobs_app.engines.providers import note_requests
from jobs_app.models import ChunkTranscription, JobStatus, ProviderState, WorkStatus
from jobs_app.watching.overview import provider_overview
from sessions_app.models import RecordingSession
from speech.engines.providers import Provider
from tests.job_rows import create_job

STATES = "admin:jobs_app_providerstate_changelist"
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def providers(settings):
    settings.PROVIDERS = {
        name: Provider(
            name=name, base_url=f"https://{name}.example.org/v1", api_key="sk-secret", models=("m",)
        )
        for name in ("groq", "gpu")
    }


@pytest.fixture
def paused(db):
    """Groq is away; gpu was never asked."""
    now = timezone.now()
    return ProviderState.objects.create(
        name="groq",
        failures=4,
        down_since=now - 3 * MINUTE,
        paused_until=now + MINUTE,
        last_error_code="provider_unavailable",
        last_error="groq does not answer.",
        last_error_at=now,
    )


@pytest.fixture
def window(alice):
    """Of a job on groq, put off for a while."""
    now = timezone.now()
    session = RecordingSession.objects.create(owner=alice, title="A talk", source="upload", finished_at=now)
    job = create_job(
        session=session,
        engine="groq",
        model="m",
        fallback_engine="local",
        fallback_model="base",
        status=JobStatus.PROCESSING,
        timing="window",
        provider_requests=7,
        provider_audio_ms=61_000,
        provider_cost="0.012500",
    )
    return ChunkTranscription.objects.create(
        job=job,
        owner=alice,
        rank=0,
        queued_at=now,
        number=0,
        start_ms=0,
        end_ms=60_000,
        speech_ms=60_000,
        engine="groq",
        model="m",
        requests=5,
        not_before=now + 5 * MINUTE,
    )


def run(window: ChunkTranscription) -> None:
    window.status, window.lease_token, window.lease_until = WorkStatus.RUNNING, "t", timezone.now() + MINUTE
    window.save()


def try_again(client, *states: ProviderState) -> list[str]:
    form = {"action": "try_again_now", "index": 0, "_selected_action": [str(state.pk) for state in states]}
    return [str(message) for message in client.post(reverse(STATES), form, follow=True).context["messages"]]


def text_of(response) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def test_the_list_says_which_provider_is_paused_and_why(as_staff, paused):
    ProviderState.objects.create(name="gpu", failures=3, down_since=timezone.now() - MINUTE)
    ProviderState.objects.create(name="gone")
    said = text_of(as_staff.get(reverse(STATES)))
    for words in (
        "paused",
        "groq does not answer.",
        "groq.example.org",
        "one at a time",
        "not in the settings",
    ):
        assert words in said
    assert "sk-secret" not in said


@pytest.mark.django_db(transaction=True)
def test_trying_again_ends_the_pause_and_wakes_a_worker(as_staff, paused, window, monkeypatch):
    woken: list[int] = []
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: woken.append(n))
    assert try_again(as_staff, paused) == ["1 provider will be tried now."]
    paused.refresh_from_db()
    window.refresh_from_db()
    # It is still down: one window at a time tries it.
    assert (paused.paused_until, paused.down_since is None) == (None, False)
    assert window.not_before <= timezone.now() + timedelta(seconds=1)
    assert woken == [1]


def test_trying_again_leaves_alone_what_is_not_paused(as_staff, paused):
    paused.paused_until = timezone.now() - MINUTE
    paused.save()
    assert try_again(as_staff, paused) == ["1 provider skipped: not paused."]


def test_only_who_may_change_providers_may_end_a_pause(client, django_user_model, paused):
    watcher = django_user_model.objects.create_user("watcher", password="watchers password", is_staff=True)
    watcher.user_permissions.add(Permission.objects.get(codename="view_providerstate"))
    client.force_login(watcher)
    try_again(client, paused)
    paused.refresh_from_db()
    assert paused.paused_until is not None


def test_the_first_page_says_that_a_provider_is_paused_and_when_it_is_asked_again(as_staff, paused, window):
    run(window)
    said = text_of(as_staff.get(reverse("admin:index")))
    assert "groq (groq.example.org) is paused: groq does not answer." in said
    assert f"It is asked again at {timezone.localtime(paused.paused_until):%H:%M:%S}" in said
    assert "1 of 4 requests running, down for 3" in said
    assert "0 of 4 requests running" in said


def test_the_first_page_says_nothing_of_providers_where_there_is_none(as_staff, db, settings):
    settings.PROVIDERS = {}
    assert "Speech servers" not in text_of(as_staff.get(reverse("admin:index")))


def test_the_page_of_a_job_says_what_it_used_and_which_engine_did_what(as_staff, window):
    window.engine, window.model, window.fallback_reason = "local", "base", "groq refused the file."
    window.save()
    said = text_of(as_staff.get(reverse("admin:jobs_app_transcriptionjob_change", args=[window.job_id])))
    for words in ("0:01:01", "0.012500", "local · base", "(fallback: groq refused the file.)"):
        assert words in said


def test_providers_cost_two_queries_and_none_where_there_is_none(
    db, settings, paused, django_assert_num_queries
):
    with django_assert_num_queries(2):
        assert [(one.provider.name, one.is_paused) for one in provider_overview()] == [
            ("groq", True),
            ("gpu", False),
        ]
    settings.PROVIDERS = {}
    with django_assert_num_queries(0):
        assert provider_overview() == []


def test_metrics_say_of_each_provider_whether_it_is_paused_and_what_it_does(client, paused, window):
    run(window)
    note_requests("groq", 5)
    families = text_string_to_metric_families(client.get("/metrics").content.decode())
    found = {
        (sample.name.removeprefix("transcribe_provider_"), sample.labels["provider"]): sample.value
        for family in families
        for sample in family.samples
        if "provider" in sample.labels
    }
    assert found == {
        ("paused", "groq"): 1,
        ("paused", "gpu"): 0,
        ("running_requests", "groq"): 1,
        ("running_requests", "gpu"): 0,
        ("requests_total", "groq"): 5,
        ("requests_total", "gpu"): 0,
    }
