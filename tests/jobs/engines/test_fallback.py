"""What the first engine of a job cannot do, its fallback does."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jobs_app import tasks
from jobs_app.engines import providers as provider_states
from jobs_app.lifecycle import failing
from jobs_app.lifecycle.choices import retry_job
from jobs_app.models import JobStatus
from jobs_app.work import guard
from jobs_app.workers import hosting
from speech.errors import ProviderUnavailable
from tests.jobs.conftest import sent_ms, statuses
from tests.speech.numbered_speech import numbers
from tests.speech.scripted_provider import status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast(monkeypatch, settings):
    monkeypatch.setattr(guard, "TICK_S", 0.05)
    monkeypatch.setattr(hosting, "LOOK_EVERY_S", 0.02)
    settings.RETRY_BACKOFF_S = 0
    settings.MAX_ATTEMPTS = 2


@pytest.fixture
def two(providers, new_speech_job):
    """Start a job of two windows at a provider with another one as its fallback; the job and both servers."""

    def start(owner, *first_answers, utterances: int = 14, backup: dict | None = None):
        first = providers("openai", concurrency=1, price_per_minute=Decimal(1))
        second = providers("backup", price_per_minute=Decimal(2), **(backup or {}))
        first.answer_with(*first_answers)
        job = new_speech_job(owner, utterances, fallback_engine="backup", fallback_model="whisper-1")
        return job, first, second

    return start


def ended(job) -> bool:
    job.refresh_from_db()
    return job.ended_at is not None


def engines(job) -> list[str]:
    return list(job.windows.order_by("number").values_list("engine", flat=True))


def test_a_window_that_is_refused_goes_to_the_fallback_and_the_others_stay(alice, two, work_until, caplog):
    job, first, second = two(alice, status(400))
    work_until(lambda: ended(job))
    assert (job.status, job.error) == (JobStatus.COMPLETED, "")
    assert job.transcript.text.split() == numbers(0, 14)
    assert engines(job) == ["backup", "openai"]
    assert (len(first.requests), len(second.requests)) == (2, 1)
    moved, stayed = job.windows.order_by("number")
    assert moved.fallback_reason.startswith("openai: ")
    assert (moved.requests, moved.attempt, moved.error) == (2, 1, "")
    assert stayed.fallback_reason == ""
    assert "goes to its fallback backup" in caplog.text


def test_what_each_provider_did_costs_its_own_price(alice, two, work_until):
    job, first, second = two(alice, status(400))
    work_until(lambda: ended(job))
    moved, stayed = sent_ms(second.requests), sent_ms(first.requests[1:])
    assert job.provider_requests == 3
    assert job.provider_audio_ms == moved + stayed
    cost = (2 * Decimal(moved) + stayed) / 60_000
    assert abs(job.provider_cost - cost) < Decimal("0.00001")


def test_a_window_whose_attempts_are_used_up_goes_to_the_fallback(alice, two, work_until):
    job, first, second = two(alice, status(500), status(500), utterances=7)
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 7)
    assert (len(first.requests), len(second.requests)) == (2, 1)


def test_an_outage_counts_where_there_is_a_fallback(alice, two, work_until):
    job, *_ = two(alice, status(503), status(503), utterances=7)
    work_until(lambda: ended(job))
    assert engines(job) == ["backup"]


def test_the_job_fails_when_the_fallback_fails_too_and_a_retry_begins_with_the_first(alice, two, work_until):
    job, first, second = two(alice, status(500), status(500))
    second.answer_with(status(500), status(500))
    work_until(lambda: ended(job))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "provider_failed")
    assert job.error == (
        'The provider backup failed (status 500). It says: "Scripted 500". Press Retry, or choose another '
        'engine. Before that, openai: The provider openai failed (status 500). It says: "Scripted 500".'
    )
    assert (statuses(job), engines(job)) == (["failed", "done"], ["backup", "openai"])

    assert retry_job(job.pk)
    assert engines(job) == ["openai", "openai"]
    assert not job.windows.exclude(fallback_reason="").exists()
    before = len(first.requests)
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 14)
    assert (len(first.requests) - before, len(second.requests)) == (1, 2)
    assert job.provider_requests == 6


def test_without_a_fallback_a_refusal_fails_the_job(alice, providers, new_speech_job, work_until):
    providers("openai").answer_with(status(401))
    job = new_speech_job(alice, 7)
    work_until(lambda: ended(job))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "provider_refused")


def test_what_waits_for_a_provider_that_is_down_goes_to_the_fallback_at_once(alice, two, work_until):
    job, first, _ = two(alice, utterances=28)
    for _ in range(3):
        provider_states.note_failure("openai", ProviderUnavailable())
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 28)
    assert set(engines(job)) == {"backup"}
    assert first.requests == []
    reasons = set(job.windows.values_list("fallback_reason", flat=True))
    assert reasons == {"openai: The provider could not be reached."}


def test_nothing_moves_to_a_fallback_that_is_down_too(alice, two):
    job, *_ = two(alice)
    assert tasks.do_next()
    for name in ("openai", "backup"):
        for _ in range(3):
            provider_states.note_failure(name, ProviderUnavailable())
    assert failing.avoid_what_is_down() == 0
    assert set(engines(job)) == {"openai"}


def test_a_job_without_a_fallback_keeps_waiting_for_a_provider_that_is_down(alice, providers, new_speech_job):
    providers("openai")
    job = new_speech_job(alice, 7)
    assert tasks.do_next()
    for _ in range(3):
        provider_states.note_failure("openai", ProviderUnavailable())
    assert failing.avoid_what_is_down() == 0
    assert (statuses(job), engines(job)) == (["waiting"], ["openai"])


def test_the_windows_of_a_provider_that_was_removed_go_to_the_fallback(alice, two, work_until, settings):
    job, *_ = two(alice)
    assert tasks.do_next()
    settings.PROVIDERS = {"backup": settings.PROVIDERS["backup"]}
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 14)
    assert set(engines(job)) == {"backup"}


def test_a_job_whose_provider_was_removed_before_it_began_is_done_by_the_fallback(
    alice, two, work_until, settings
):
    job, *_ = two(alice)
    settings.PROVIDERS = {"backup": settings.PROVIDERS["backup"]}
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 14)


def test_a_fallback_that_was_removed_does_not_hide_the_error(alice, two, work_until, settings):
    job, *_ = two(alice, status(401))
    settings.PROVIDERS = {"openai": settings.PROVIDERS["openai"]}
    work_until(lambda: ended(job))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "provider_refused")
    assert engines(job) == ["openai", "openai"]


def test_windows_are_planned_so_that_both_engines_can_take_them(alice, providers, new_speech_job):
    providers("openai", window_s=(60, 120))
    providers("backup", window_s=(8, 10))
    job = new_speech_job(alice, 30, fallback_engine="backup", fallback_model="whisper-1")
    assert tasks.do_next()
    assert max(window.duration_ms for window in job.windows.all()) <= 10_000
    alone = new_speech_job(alice, 30)
    assert tasks.do_next()
    assert alone.windows.count() == 1


def test_a_job_has_the_coarsest_times_of_its_windows(alice, two, work_until):
    job, *_ = two(alice, status(400), backup={"word_times": False})
    work_until(lambda: ended(job))
    assert list(job.windows.order_by("number").values_list("timing", flat=True)) == [
        "segments",
        "words",
    ]
    assert job.transcript.timing == "segments"


def test_a_built_in_engine_can_be_the_fallback(alice, providers, new_speech_job, work_until):
    server = providers("openai")
    server.respond = lambda request: status(400)
    job = new_speech_job(alice, 14, fallback_engine="fake")
    work_until(lambda: ended(job))
    assert job.status == JobStatus.COMPLETED
    assert engines(job) == ["fake", "fake"]
    assert job.provider_requests == len(server.requests) == 2
    assert (job.provider_audio_ms, job.provider_cost) == (0, 0)
