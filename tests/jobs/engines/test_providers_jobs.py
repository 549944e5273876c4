"""Whole jobs at a server that speaks OpenAI's API, done as the workers do them."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from decimal import Decimal

import pytest
from django.db import connection, connections
from django.db.models import F
from django.db.models.functions import Now

from jobs_app import tasks
from jobs_app.leases import run_folder
from jobs_app.leases.run_folder import take_lock
from jobs_app.lifecycle.choices import cancel_job
from jobs_app.lifecycle.finishing import finish_window
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import ChunkTranscription, JobStatus, ProviderState, WorkStatus
from jobs_app.work import guard, unit
from jobs_app.workers import hosting, lost_work
from tests.jobs.conftest import expire, on_postgres, sent_ms, statuses
from tests.speech.numbered_speech import numbers
from tests.speech.scripted_provider import drip, hang, html, status, transcribe

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast(monkeypatch, settings):
    monkeypatch.setattr(guard, "TICK_S", 0.05)
    monkeypatch.setattr(hosting, "LOOK_EVERY_S", 0.02)
    # No queue hands out a second token here, however slow the machine is.
    monkeypatch.setattr(tasks, "SUCCESSION_S", 300)
    settings.RETRY_BACKOFF_S = 0


def ended(job) -> bool:
    job.refresh_from_db()
    return job.ended_at is not None


def wait_for(condition, *, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextmanager
def worker():
    """A worker beside the test, with one token; at the end it must have come back."""

    def work():
        try:
            tasks.work_once()
        finally:
            connections.close_all()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
        assert not thread.is_alive()


def when_at_once(server, n: int):
    """Answer as always, but only when there have been `n` requests at once."""

    def respond(request):
        server.wait_for(lambda s: s.most_at_once >= n)
        return transcribe(request)

    return respond


def test_a_job_is_done_by_a_provider_and_its_use_is_counted(alice, providers, new_speech_job, work_until):
    server = providers("openai", price_per_minute=Decimal("0.006"))
    job = new_speech_job(alice, 24)
    work_until(lambda: ended(job))
    assert (job.status, job.error) == (JobStatus.COMPLETED, "")
    assert job.transcript.text.split() == numbers(0, 24)
    assert job.transcript.timing == "words"
    windows = job.windows.all()
    assert {(w.engine, w.model, w.timing, w.requests) for w in windows} == {
        ("openai", "whisper-1", "words", 1)
    }
    assert len(windows) == job.provider_requests == len(server.requests) > 2
    # The pauses at the ends of windows are not sent.
    assert 35_000 < job.provider_audio_ms < 36_000
    assert job.provider_audio_ms == sent_ms(server.requests)
    # Each window's is rounded.
    cost = Decimal("0.006") * job.provider_audio_ms / 60_000
    assert abs(job.provider_cost - cost) <= Decimal("0.000002")
    assert ProviderState.objects.get(name="openai").requests == len(server.requests)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_as_many_windows_at_once_as_the_provider_allows(
    alice, providers, new_speech_job, work_until, concurrency
):
    server = providers("openai", concurrency=concurrency)
    server.respond = when_at_once(server, concurrency)
    job = new_speech_job(alice, 48)
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 48)
    assert server.most_at_once == concurrency


def test_two_machines_share_the_slots_of_a_provider(
    alice, bob, providers, new_speech_job, monkeypatch, tmp_path
):
    # Each machine has a lock of its own.
    monkeypatch.setattr(hosting, "take_lock", lambda name: (tmp_path / name).open("w"))
    server = providers("openai", concurrency=3)
    server.respond = when_at_once(server, 3)
    jobs = [new_speech_job(owner, 40) for owner in (alice, bob)]
    with worker(), worker():
        wait_for(lambda: all(ended(job) for job in jobs), within_s=90)
    assert [job.transcript.text.split() for job in jobs] == [numbers(0, 40)] * 2
    assert server.most_at_once == 3


@on_postgres
def test_a_window_that_waits_costs_no_connection_to_the_database(alice, providers, new_speech_job):
    server = providers("openai")
    server.answer_with(*[hang()] * 4)
    job = new_speech_job(alice, 24)
    with worker():
        server.wait_for(lambda s: len(s.requests) == 4)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            # The guard, the host, its main thread, and this one.
            assert cursor.fetchone()[0] <= 4
        cancel_job(job.pk)


def test_a_single_worker_does_other_work_while_a_provider_hangs(
    alice, bob, providers, new_speech_job, new_job
):
    server = providers("openai")
    server.answer_with(*[hang()] * 9)
    remote = new_speech_job(alice, 8)
    with worker():
        server.wait_for(lambda s: s.requests)
        local = new_job(bob, seconds=5)
        wait_for(lambda: ended(local))
        assert local.status == JobStatus.COMPLETED
        cancel_job(remote.pk)


def test_a_cancel_ends_the_requests_within_seconds(alice, providers, new_speech_job):
    server = providers("openai", price_per_minute=Decimal(1))
    server.answer_with(*[hang()] * 9)
    job = new_speech_job(alice, 24)
    with worker():
        server.wait_for(lambda s: len(s.requests) >= 3)
        sent = job.windows.count()
        server.wait_for(lambda s: len(s.requests) == sent)
        cancelled = time.monotonic()
        cancel_job(job.pk)
        server.wait_for(lambda s: all(request.gone for request in s.requests), timeout_s=5)
    assert time.monotonic() - cancelled < 5
    assert set(statuses(job)) == {"cancelled"}
    job.refresh_from_db()
    # They were sent, but nobody knows of an answer.
    assert (job.provider_requests, job.provider_audio_ms) == (sent, 0)


def test_a_second_process_of_the_machine_does_not_take_windows_of_providers(
    alice, providers, new_speech_job, new_job, wakes
):
    providers("openai")
    remote = new_speech_job(alice, 8)
    other = take_lock("host")
    try:
        while tasks.do_next():
            pass
        assert statuses(remote) == ["waiting"]
        wakes.clear()
        tasks.work_once()
        assert wakes == [], "the token would go round until the other process has taken it"
    finally:
        other.close()
    tasks.work_once()
    assert ended(remote)


def test_a_provider_that_says_too_many_requests_is_asked_again_when_it_wants(
    alice, providers, new_speech_job, work_until
):
    server = providers("openai", concurrency=1)
    server.answer_with(status(429, headers={"Retry-After": "1"}))
    job = new_speech_job(alice, 16)
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 16)
    assert server.requests[1].begun - server.requests[0].ended > 0.9
    assert job.provider_requests == len(server.requests)
    assert job.provider_audio_ms == sent_ms(server.requests[1:])
    assert set(job.windows.values_list("attempt", flat=True)) == {1}


def test_an_outage_is_waited_out(alice, providers, new_speech_job, work_until, settings):
    settings.PROVIDER_PAUSE_S, settings.MAX_ATTEMPTS = 1, 4
    server = providers("openai", concurrency=1)
    server.answer_with(*[status(503)] * 5)
    job = new_speech_job(alice, 8)
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 8)
    assert ProviderState.objects.get().down_since is None


def test_a_provider_that_answers_nonsense_fails_the_job_in_the_end(
    alice, providers, new_speech_job, work_until, settings
):
    settings.MAX_ATTEMPTS = 2
    server = providers("openai")
    server.answer_with(html(), html())
    job = new_speech_job(alice, 7)
    work_until(lambda: ended(job))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "provider_failed")
    assert (job.provider_requests, job.provider_audio_ms, job.provider_cost) == (2, 0, 0)


def test_a_provider_that_never_ends_its_answer_is_timed_out(
    alice, providers, new_speech_job, work_until, settings
):
    server = providers("openai", timeout_s=1)
    server.answer_with(drip())
    job = new_speech_job(alice, 7)
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 7)
    assert job.windows.get().requests == 2


def test_a_rate_is_kept_by_whole_jobs(alice, bob, providers, new_speech_job, work_until):
    server = providers("openai", requests_per_minute=240)
    jobs = [new_speech_job(alice, 16), new_speech_job(bob, 16)]
    work_until(lambda: all(ended(job) for job in jobs))
    begun = sorted(request.begun for request in server.requests)
    assert len(begun) >= 4
    # Taken a quarter of a second apart; how soon after that they are sent is the machine's.
    assert begun[-1] - begun[0] > 0.25 * (len(begun) - 1) - 0.4


def test_a_worker_killed_in_the_middle_of_requests_loses_and_doubles_nothing(
    alice, providers, new_speech_job, work_until
):
    server = providers("openai")
    server.answer_with(*[hang()] * 3)
    job = new_speech_job(alice, 40)
    tasks.do_next()
    windows = job.windows.count()
    connections.close_all()
    pid = os.fork()
    if not pid:
        try:
            tasks.work_once()
        finally:
            os._exit(1)
    # Three hang, and the fourth slot has done the others.
    wait_for(lambda: sorted(statuses(job))[:-3] == ["done"] * (windows - 3))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    lost = list(job.windows.filter(status=WorkStatus.RUNNING))
    assert len(lost) == 3
    for window in lost:
        expire(window)
    assert lost_work.expire_leases() == 3
    work_until(lambda: ended(job))
    assert job.transcript.text.split() == numbers(0, 40)
    assert job.segments.count() == job.transcript.total_segments
    # What the killed worker had sent was answered to nobody, and is not counted.
    assert job.provider_requests == windows
    assert 59_000 < job.provider_audio_ms < 60_000


def test_a_window_that_comes_while_others_run_is_taken_at_once(alice, bob, providers, new_speech_job):
    server = providers("openai")
    server.answer_with(*[hang()] * 2)
    stuck = new_speech_job(alice, 14)
    with worker():
        server.wait_for(lambda s: len(s.requests) == 2)
        job = new_speech_job(bob, 7)
        wait_for(lambda: ended(job))
        assert job.transcript.text.split() == numbers(0, 7)
        cancel_job(stuck.pk)


def test_a_host_that_stops_takes_nothing_new(alice, providers, new_speech_job):
    server = providers("openai", concurrency=1)
    server.latency_s = 0.5
    job = new_speech_job(alice, 24)
    with worker():
        server.wait_for(lambda s: s.requests)
        run_folder.stop_taking_work()
    assert statuses(job).count("done") == 1
    assert len(server.requests) == 1


def test_a_job_that_is_run_again_has_its_own_use(alice, providers, new_speech_job, work_until):
    from jobs_app.engines.resolving import resolve_options

    server = providers("openai", price_per_minute=Decimal("0.6"))
    first = new_speech_job(alice, 7)
    work_until(lambda: ended(first))
    second = start_job(first.session, resolve_options(engine="openai"))
    work_until(lambda: ended(second))
    first.refresh_from_db()
    assert first.provider_requests == second.provider_requests == 1
    cost = Decimal("0.6") * sent_ms(server.requests[:1]) / 60_000
    assert first.provider_cost == second.provider_cost == cost


def test_a_result_whose_storing_was_not_confirmed_is_counted_once(
    alice, providers, new_speech_job, work_until, monkeypatch
):
    from django.db import OperationalError

    server = providers("openai")
    job = new_speech_job(alice, 7)
    finish, lost = finish_window, []

    def forget(*args):
        done = finish(*args)
        if not lost:
            lost.append(1)
            raise OperationalError("the connection was lost behind the commit")
        return done

    monkeypatch.setattr(unit, "finish_window", forget)
    work_until(lambda: ended(job))
    assert lost
    assert (job.provider_requests, job.provider_audio_ms) == (1, sent_ms(server.requests))


def test_a_late_answer_is_counted_but_not_stored(alice, providers, new_speech_job, monkeypatch):
    server = providers("openai")
    job = new_speech_job(alice, 7)
    finish = finish_window

    def too_late(window, result, voices):
        ChunkTranscription.objects.filter(pk=window.pk).update(
            lease_token="another's", attempt=F("attempt") + 1, lease_until=Now()
        )
        return finish(window, result, voices)

    monkeypatch.setattr(unit, "finish_window", too_late)
    tasks.work_once()
    assert statuses(job) == ["running"]
    job.refresh_from_db()
    assert (job.provider_requests, job.provider_audio_ms) == (1, sent_ms(server.requests))
    assert not job.segments.exists()


def test_requests_that_fail_when_the_job_has_ended_are_counted(alice, providers, new_speech_job, work_until):
    server = providers("openai", concurrency=3)

    def refuse(request):
        server.wait_for(lambda s: s.most_at_once == 3)
        return status(401)

    server.respond = refuse
    job = new_speech_job(alice, 24)
    work_until(lambda: ended(job))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "provider_refused")
    assert job.provider_requests == len(server.requests) == 3
