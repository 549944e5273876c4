from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.db.models.functions import Now

from jobs_app import claims, guard, lifecycle
from jobs_app.guard import Guard, LeaseLost
from jobs_app.models import ChunkTranscription, WorkStatus
from tests.jobs.conftest import take

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(guard, "TICK_S", 0.02)


@pytest.fixture
def window(alice, planned_job):
    job = planned_job(alice, 2)
    taken = take(job.chunktranscriptions.order_by("number")[0])
    lifecycle.note_start(taken)
    return taken


def wait_for(condition, *, within_s: float = 5) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_lost(watching: Guard) -> bool:
    try:
        watching.advance(0)
    except LeaseLost:
        return True
    return False


def test_it_renews_the_lease_and_shows_progress(window):
    ChunkTranscription.objects.filter(pk=window.pk).update(lease_until=Now() + timedelta(seconds=1))
    with Guard(window, deadline_s=60) as watching:
        watching.advance(500)
        wait_for(lambda: ChunkTranscription.objects.get(pk=window.pk).progress_ms == 500)
    soon = Now() + timedelta(seconds=30)
    assert ChunkTranscription.objects.filter(pk=window.pk, lease_until__gt=soon).exists()
    window.job.refresh_from_db()
    # A quarter of the audio, of the 93 per cent that are the windows', after 5 for preparing.
    assert window.job.progress == 5 + 23


def test_it_notices_a_cancel(window):
    with Guard(window, deadline_s=60) as watching:
        lifecycle.cancel_job(window.job_id)
        wait_for(lambda: is_lost(watching))


def test_it_notices_that_the_job_was_deleted(window):
    with Guard(window, deadline_s=60) as watching:
        window.job.session.delete()
        wait_for(lambda: is_lost(watching))


def test_it_ends_the_process_at_the_deadline_and_gives_the_work_back(window):
    ended = []
    with Guard(window, deadline_s=0, end_process=ended.append):
        wait_for(lambda: ended)
    assert ended[0] == 75
    row = ChunkTranscription.objects.get(pk=window.pk)
    assert (row.status, row.error_code) == (WorkStatus.WAITING, "timed_out")


def test_it_survives_a_database_that_is_away_for_less_than_the_lease(window, monkeypatch):
    away = True
    held = claims.held

    def sometimes(work):
        if away:
            raise DatabaseError("away")
        return held(work)

    monkeypatch.setattr(claims, "held", sometimes)
    with Guard(window, deadline_s=60) as watching:
        time.sleep(0.1)
        assert not is_lost(watching)
        away = False
        watching.advance(700)
        wait_for(lambda: ChunkTranscription.objects.get(pk=window.pk).progress_ms == 700)


def test_it_gives_up_when_the_database_is_away_for_longer(window, monkeypatch, settings):
    settings.LEASE_S = 0

    def never(work):
        raise DatabaseError("away")

    monkeypatch.setattr(claims, "held", never)
    with Guard(window, deadline_s=60) as watching:
        wait_for(lambda: is_lost(watching))


def test_it_beats_while_it_watches(window):
    before = time.time()
    with Guard(window, deadline_s=60):
        wait_for(lambda: (guard.last_beat() or 0) >= before - 0.01)


def test_it_ends_the_process_when_the_engine_does_not_hear_a_cancel(window, settings):
    settings.LEASE_S = 0.2
    ended = []
    with Guard(window, deadline_s=60, end_process=ended.append):
        lifecycle.cancel_job(window.job_id)
        wait_for(lambda: ended)
    assert ended[0] == 75


def test_trouble_of_its_own_does_not_end_it(window, monkeypatch, caplog):
    troubles = [OSError("no such folder")]

    def beat():
        if troubles:
            raise troubles.pop()

    monkeypatch.setattr(guard, "beat", beat)
    with Guard(window, deadline_s=60) as watching:
        wait_for(lambda: not troubles)
        lifecycle.cancel_job(window.job_id)
        wait_for(lambda: is_lost(watching))
    assert "no such folder" in caplog.text
