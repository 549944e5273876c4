"""Who may ask a provider, and when, without asking one."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from jobs_app.engines import providers
from jobs_app.leases import claims
from jobs_app.lifecycle import failing
from jobs_app.lifecycle.finishing import finish_window
from jobs_app.models import ChunkTranscription, JobStatus, ProviderState, WorkStatus
from jobs_app.work import unit
from jobs_app.workers import lost_work
from speech.engines.providers import Provider
from speech.errors import ProviderBusy, ProviderFailed, ProviderRefused, ProviderUnavailable
from speech.types import Transcription
from tests.jobs.conftest import statuses

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def far(settings):
    """One provider that nobody asks here."""
    settings.RETRY_BACKOFF_S = 0
    settings.PROVIDERS = {}

    def change(name: str = "far", **fields):
        known = {"models": ("whisper-1",), "base_url": "http://127.0.0.1:9/v1", **fields}
        settings.PROVIDERS = {**settings.PROVIDERS, name: Provider(name=name, **known)}

    change()
    return change


@pytest.fixture
def far_job(planned_job):
    return lambda owner, n=2, **options: planned_job(owner, n, **{"engine": "far", **options})


def state(name: str = "far") -> ProviderState:
    return ProviderState.objects.get(name=name)


def let_pass(seconds: float, name: str = "far") -> None:
    """What the database's clock does in so many seconds, to the provider's times."""
    by = timedelta(seconds=seconds)
    ProviderState.objects.filter(name=name).update(
        paused_until=F("paused_until") - by,
        next_request_at=F("next_request_at") - by,
        down_since=F("down_since") - by,
    )


def pause_s(name: str = "far") -> float:
    row = ProviderState.objects.annotate(now=Now()).get(name=name)
    return (row.paused_until - row.now).total_seconds()


def fail(window, error) -> None:
    """What a run does whose provider gave no transcript."""
    providers.note_answer(window, error.requests, error)
    failing.settle_failure(window, error)


def claim_remote() -> ChunkTranscription:
    window = claims.claim(remote=True)
    assert isinstance(window, ChunkTranscription)
    return window


# --- Slots ---------------------------------------------------------------------------------------


def test_windows_of_a_provider_and_other_work_are_claimed_apart(alice, far_job, planned_job):
    far_job(alice, 1)
    planned_job(alice, 1)
    remote, local = claims.claim(remote=True), claims.claim()
    assert (remote.engine, local.engine) == ("far", "fake")
    assert claims.claim(remote=True) is None
    assert claims.claim() is None


def test_a_provider_that_is_full_is_left_out_until_a_window_ends(alice, far, far_job):
    far(concurrency=2)
    far_job(alice, 3)
    first = claim_remote()
    claim_remote()
    assert claims.claim(remote=True) is None
    assert not claims.anything_claimable(remote=True)
    finish_window(first, Transcription())
    assert claims.anything_claimable(remote=True)
    claim_remote()


def test_windows_of_a_provider_that_is_full_send_no_tokens(alice, far, far_job, wakes):
    far(concurrency=1)
    far_job(alice, 2)
    claim_remote()
    ChunkTranscription.objects.update(not_before=Now() - timedelta(minutes=1))
    wakes.clear()
    assert not lost_work.wake_for_forgotten_work()
    far(concurrency=2)
    lost_work.wake_for_forgotten_work()
    assert wakes == [1]


def test_racing_workers_never_exceed_the_slots_of_a_provider(alice, bob, far, far_job, threads):
    far(concurrency=5)
    far_job(alice, 20)
    far_job(bob, 20)
    taken = threads(*[lambda: [claims.claim(remote=True) for _ in range(4)]] * 6)
    windows = [window.pk for some in taken for window in some if window is not None]
    assert len(windows) == len(set(windows)) == 5
    assert ChunkTranscription.objects.filter(status=WorkStatus.RUNNING).count() == 5


def test_two_providers_have_slots_of_their_own(alice, far, far_job):
    far(concurrency=1)
    far("near", concurrency=1)
    far_job(alice, 2)
    far_job(alice, 2, engine="near")
    assert {claim_remote().engine, claim_remote().engine} == {"far", "near"}
    assert claims.claim(remote=True) is None


def test_a_recording_comes_first_at_a_provider_too(alice, far_job):
    far_job(alice, 1, priority="high")
    job = far_job(alice, 1, source="recorder")
    assert claim_remote().job_id == job.pk


# --- Rate ----------------------------------------------------------------------------------------


def test_requests_are_evenly_spaced(alice, far, far_job):
    far(requests_per_minute=30, concurrency=9)
    far_job(alice, 3)
    claim_remote()
    assert claims.claim(remote=True) is None
    let_pass(1.5)
    assert claims.claim(remote=True) is None
    let_pass(0.5)
    claim_remote()
    # After an idle time there is no burst.
    let_pass(60)
    claim_remote()
    far_job(alice, 1)
    assert claims.claim(remote=True) is None


def test_a_slot_that_is_due_soon_is_in_sight(alice, far, far_job):
    far(requests_per_minute=30)
    far_job(alice, 2)
    claim_remote()
    assert not claims.anything_claimable(remote=True, within_s=1)
    assert claims.anything_claimable(remote=True, within_s=3)


def test_racing_workers_do_not_share_a_place_in_the_rate(alice, far, far_job, threads):
    far(requests_per_minute=6, concurrency=9)
    far_job(alice, 9)
    taken = threads(*[lambda: claims.claim(remote=True)] * 6)
    assert sum(window is not None for window in taken) == 1


def test_each_further_request_of_a_window_takes_its_place_in_the_rate(alice, far, far_job):
    far(requests_per_minute=60)
    far_job(alice, 2)
    claim_remote()
    providers.note_requests("far", 4)
    let_pass(3.5)
    assert claims.claim(remote=True) is None
    let_pass(0.5)
    claim_remote()


# --- Circuit breaker -----------------------------------------------------------------------------


def test_three_outages_in_a_row_open_it_and_success_closes_it(alice, far_job, caplog):
    caplog.set_level(logging.INFO, logger="jobs_app.engines.providers")
    far_job(alice, 6)
    running = [claim_remote() for _ in range(4)]
    for window in running[:2]:
        fail(window, ProviderUnavailable("Nobody answers."))
    assert state().down_since is None
    fail(running[2], ProviderUnavailable("Nobody answers."))
    assert state().down_since is not None
    assert 11 < pause_s() < 19
    assert (state().last_error_code, state().last_error) == ("provider_unavailable", "Nobody answers.")
    assert claims.claim(remote=True) is None

    fail(running[3], ProviderUnavailable())
    assert state().failures == 3, "it was sent before the pause, and says nothing new"
    let_pass(20)
    trial = claim_remote()
    assert claims.claim(remote=True) is None, "one at a time"
    providers.note_success("far")
    finish_window(trial, Transcription())
    assert (state().failures, state().down_since) == (0, None)
    claim_remote()
    claim_remote()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_each_failed_trial_doubles_the_pause_up_to_the_longest(far, settings):
    pauses = []
    for _ in range(9):
        providers.note_failure("far", ProviderUnavailable())
        pauses.append(pause_s())
        let_pass(1000)
    assert [round(pause) for pause in pauses[:2]] == [0, 0]
    for pause, expected in zip(pauses[2:], (15, 30, 60, 120, 240, 300, 300), strict=True):
        assert 0.8 * expected - 1 < pause <= 1.2 * expected


def test_a_success_between_two_outages_starts_the_count_anew(far):
    for _ in range(4):
        providers.note_failure("far", ProviderUnavailable())
        providers.note_failure("far", ProviderUnavailable())
        providers.note_success("far")
    assert state().down_since is None


def test_a_window_that_asked_for_nothing_proves_nothing(alice, far_job):
    far_job(alice)
    window = claim_remote()
    for _ in range(3):
        providers.note_failure("far", ProviderUnavailable())
    providers.note_answer(window, 0)
    assert state().down_since is not None
    providers.note_answer(window, 1)
    assert state().down_since is None


def test_a_failure_that_is_no_outage_does_not_open_it(far):
    for error in (ProviderFailed(), ProviderRefused()) * 3:
        providers.note_failure("far", error)
    assert not ProviderState.objects.exists()


def test_a_busy_provider_is_paused_for_as_long_as_it_asks(alice, far_job):
    far_job(alice, 3)
    window = claim_remote()
    fail(window, ProviderBusy(retry_after_s=42))
    assert 41 < pause_s() <= 42
    assert state().down_since is None
    assert claims.claim(remote=True) is None
    let_pass(42)
    claim_remote()
    claim_remote()


def test_a_pause_is_never_shortened(far):
    providers.note_failure("far", ProviderBusy(retry_after_s=200))
    providers.note_failure("far", ProviderBusy(retry_after_s=2))
    providers.note_success("far")
    assert pause_s() > 190


def test_a_provider_that_asks_for_a_very_long_pause_is_away(far, settings):
    providers.note_failure("far", ProviderBusy(retry_after_s=1e15))
    assert pause_s() <= providers.LONGEST_RETRY_AFTER_S
    assert state().down_since is not None


# --- Attempts ------------------------------------------------------------------------------------


def open_breaker() -> None:
    for _ in range(3):
        providers.note_failure("far", ProviderUnavailable())
    let_pass(60)


def test_an_outage_while_the_provider_is_down_costs_no_attempt(alice, far_job, settings):
    settings.MAX_ATTEMPTS = 2
    job = far_job(alice, 1)
    open_breaker()
    for _ in range(5):
        fail(claim_remote(), ProviderUnavailable())
        let_pass(400)
    window = job.windows.get()
    assert (window.status, window.attempt) == (WorkStatus.WAITING, 0)
    assert window.error_code == "provider_unavailable"


def test_patience_with_a_provider_that_is_down_ends(alice, far_job, settings):
    settings.MAX_ATTEMPTS = 2
    job = far_job(alice, 1)
    open_breaker()
    let_pass(settings.PROVIDER_PATIENCE_S)
    for _ in range(2):
        fail(claim_remote(), ProviderUnavailable("Nobody answers."))
        let_pass(400)
    job.refresh_from_db()
    assert (job.status, job.error) == (JobStatus.FAILED, "Nobody answers.")


def test_a_busy_provider_costs_no_attempt_until_patience_ends(alice, far_job, settings):
    settings.MAX_ATTEMPTS = 1
    job = far_job(alice, 1)
    for _ in range(3):
        fail(claim_remote(), ProviderBusy(retry_after_s=1))
        providers.note_success("far")
        let_pass(20)
        ChunkTranscription.objects.update(not_before=Now())
    long_ago = Now() - timedelta(seconds=settings.PROVIDER_PATIENCE_S + 1)
    ChunkTranscription.objects.update(outage_since=long_ago)
    fail(claim_remote(), ProviderBusy(retry_after_s=1))
    job.refresh_from_db()
    assert (job.status, job.error_code) == (JobStatus.FAILED, "provider_busy")


@pytest.mark.parametrize("error", [ProviderUnavailable, ProviderFailed])
def test_a_window_that_alone_fails_uses_up_its_attempts(alice, far_job, settings, error):
    settings.MAX_ATTEMPTS = 3
    job = far_job(alice, 1)
    for _ in range(3):
        fail(claim_remote(), error())
        # Others succeed meanwhile.
        providers.note_success("far")
        let_pass(60)
    assert statuses(job) == ["failed"]


def test_a_failure_that_is_no_outage_counts_while_the_provider_is_down(alice, far_job, settings):
    settings.MAX_ATTEMPTS = 1
    job = far_job(alice, 1)
    open_breaker()
    fail(claim_remote(), ProviderFailed())
    assert statuses(job) == ["failed"]


def test_a_provider_that_was_removed_does_not_let_its_windows_wait(alice, far_job, settings):

    job = far_job(alice, 2)
    settings.PROVIDERS = {}
    assert unit.do_next()
    job.refresh_from_db()
    assert (job.status, job.error_code) == (JobStatus.FAILED, "not_supported")
    assert "'far'" in job.error
    assert job.provider_requests == 0
