from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from jobs_app.leases import run_folder
from jobs_app.leases.held import renew_leases
from jobs_app.leases.locks import lock_job
from jobs_app.lifecycle.choices import cancel_job
from jobs_app.lifecycle.starting import note_start
from jobs_app.models import ChunkTranscription, StepKind, WorkStatus
from jobs_app.work import guard
from jobs_app.work.guard import Guard, LeaseLost, Run
from jobs_app.work.progress import raise_progress
from tests.jobs.conftest import on_postgres, statuses, take

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(guard, "TICK_S", 0.02)


@pytest.fixture
def window(alice, planned_job):
    return take_first(planned_job(alice, 2))


def take_first(job):
    taken = take(job.windows.filter(status=WorkStatus.WAITING).order_by("number")[0])
    note_start(taken)
    return taken


def wait_for(condition, *, within_s: float = 5) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_lost(run: Run) -> bool:
    try:
        run.advance(0)
    except LeaseLost:
        return True
    return False


def row(work):
    return type(work).objects.get(pk=work.pk)


def end_lease_soon(work) -> None:
    type(work).objects.filter(pk=work.pk).update(lease_until=Now() + timedelta(seconds=1))


def is_renewed(work) -> bool:
    soon = Now() + timedelta(seconds=30)
    return type(work).objects.filter(pk=work.pk, lease_until__gt=soon).exists()


def guard_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "guard"]


def test_it_renews_the_lease_and_shows_progress(window):
    end_lease_soon(window)
    with Guard().watch(window, deadline_s=60) as run:
        run.advance(500)
        wait_for(lambda: row(window).progress_ms == 500)
        # A quarter of the audio, of the 93 per cent that are the windows', after 5 for preparing.
        wait_for(lambda: row(window).job.progress == 5 + 23)
    assert is_renewed(window)


def test_it_renews_the_leases_of_windows_and_steps_together(alice, planned_job, new_job):
    job = planned_job(alice, 2)
    works = [take_first(job), take_first(job), take(new_job(alice).steps.get(kind=StepKind.PREPARE))]
    watching = Guard()
    with ExitStack() as stack:
        runs = [stack.enter_context(watching.watch(work, deadline_s=60)) for work in works]
        for work, run, done_ms in zip(works, runs, (100, 200, 300), strict=True):
            end_lease_soon(work)
            run.advance(done_ms)
        wait_for(lambda: [row(work).progress_ms for work in works] == [100, 200, 300])
        assert len(guard_threads()) == 1
    assert all(is_renewed(work) for work in works)


def test_it_notices_a_cancel(window):
    with Guard().watch(window, deadline_s=60) as run:
        cancel_job(window.job_id)
        wait_for(lambda: is_lost(run))


def test_it_notices_that_the_job_was_deleted(window):
    with Guard().watch(window, deadline_s=60) as run:
        window.job.session.delete()
        wait_for(lambda: is_lost(run))


def test_a_lost_lease_is_noticed_by_its_own_run_alone(alice, planned_job):
    kept, lost = take_first(planned_job(alice, 1)), take_first(planned_job(alice, 1))
    watching = Guard()
    with watching.watch(kept, deadline_s=60) as run, watching.watch(lost, deadline_s=60) as other:
        cancel_job(lost.job_id)
        wait_for(lambda: is_lost(other))
        end_lease_soon(kept)
        wait_for(lambda: is_renewed(kept))
        assert not is_lost(run)


def test_a_second_run_of_the_same_window_is_not_taken_for_the_first(window):
    watching = Guard()
    with watching.watch(window, deadline_s=60) as first:
        ChunkTranscription.objects.filter(pk=window.pk).update(
            status=WorkStatus.WAITING, lease_token="", lease_until=None
        )
        wait_for(lambda: is_lost(first))
        with watching.watch(take(window), deadline_s=60) as second:
            second.advance(300)
            wait_for(lambda: row(window).progress_ms == 300)
            assert is_lost(first)


def test_it_ends_the_process_at_the_deadline_and_gives_the_work_back(window):
    ended = []
    with Guard(end_process=ended.append).watch(window, deadline_s=0):
        wait_for(lambda: ended)
    assert ended[0] == 75
    assert (row(window).status, row(window).error_code) == (WorkStatus.WAITING, "timed_out")


def test_each_run_has_its_own_deadline(alice, planned_job):
    """The process ends with the one that hangs; the leases of the others end, as when a worker is killed."""
    ended = []
    job = planned_job(alice, 2)
    hangs, goes_on = take_first(job), take_first(job)
    watching = Guard(end_process=ended.append)
    with watching.watch(goes_on, deadline_s=60) as run, watching.watch(hangs, deadline_s=0.1):
        wait_for(lambda: ended)
        assert not is_lost(run)
    assert statuses(job) == ["waiting", "running"]
    assert row(goes_on).error_code == ""


def test_it_survives_a_database_that_is_away_for_less_than_the_lease(window, monkeypatch):
    away = True

    def sometimes(runs):
        if away:
            raise DatabaseError("away")
        return renew_leases(runs)

    monkeypatch.setattr(guard, "renew_leases", sometimes)
    with Guard().watch(window, deadline_s=60) as run:
        time.sleep(0.1)
        assert not is_lost(run)
        away = False
        run.advance(700)
        wait_for(lambda: row(window).progress_ms == 700)


def test_it_gives_up_when_the_database_is_away_for_longer(window, monkeypatch, settings):
    settings.LEASE_S = 0

    def never(runs):
        raise DatabaseError("away")

    monkeypatch.setattr(guard, "renew_leases", never)
    # With so short a lease it also does not wait for the run to hear of it.
    with Guard(end_process=lambda code: None).watch(window, deadline_s=60) as run:
        wait_for(lambda: is_lost(run))


def test_it_beats_while_it_watches(window):
    before = time.time()
    with Guard().watch(window, deadline_s=60):
        wait_for(lambda: (run_folder.last_beat() or 0) >= before - 0.01)


def test_it_ends_the_process_when_the_engine_does_not_hear_a_cancel(window, settings):
    settings.LEASE_S = 0.2
    ended = []
    with Guard(end_process=ended.append).watch(window, deadline_s=60):
        cancel_job(window.job_id)
        wait_for(lambda: ended)
    assert ended[0] == 75


def test_trouble_of_its_own_does_not_end_it(window, monkeypatch, caplog):
    troubles = [OSError("no such folder")]

    def beat():
        if troubles:
            raise troubles.pop()

    monkeypatch.setattr(run_folder, "beat", beat)
    with Guard().watch(window, deadline_s=60) as run:
        wait_for(lambda: not troubles)
        cancel_job(window.job_id)
        wait_for(lambda: is_lost(run))
    assert "no such folder" in caplog.text


def test_its_thread_is_there_only_while_something_runs(window, alice, planned_job):
    assert guard_threads() == []
    watching = Guard()
    for work in (window, take_first(planned_job(alice, 1))):
        with watching.watch(work, deadline_s=60):
            assert len(guard_threads()) == 1
        assert guard_threads() == []


@on_postgres
def test_progress_of_a_job_that_is_locked_is_noted_later(window, threads):
    job = window.job
    with transaction.atomic():
        lock_job(job.pk)
        threads(lambda: raise_progress({job.pk: 30}))
    raise_progress({job.pk: 30})
    job.refresh_from_db()
    assert job.progress == 30


def test_it_costs_the_same_however_many_wait(alice, planned_job, monkeypatch):
    """One thread with one connection, and for each beat one UPDATE of leases and one of progress."""
    monkeypatch.setattr(guard, "TICK_S", 60)
    asked = {}
    for n in (1, 8, 32):
        jobs = [planned_job(alice, 4) for _ in range((n + 3) // 4)]
        works = [take_first(job) for job in jobs for _ in range(4)]
        watching = Guard()
        with ExitStack() as stack:
            for work in works[:n]:
                stack.enter_context(watching.watch(work, deadline_s=60)).advance(900)
            assert len(guard_threads()) == 1
            with CaptureQueriesContext(connection) as seen:
                watching._tick()
        verbs = [query["sql"].split()[0] for query in seen]
        asked[n] = [verb for verb in verbs if verb in ("SELECT", "UPDATE")]
        assert [row(work).progress_ms for work in works[:n]] == [900] * n
        assert all(row(work).job.progress for work in works[:n])
    assert asked[1] == asked[8] == asked[32]
    assert asked[32].count("UPDATE") == 2
    assert len(asked[32]) == 6
