from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from jobs_app.leases import queue, run_folder
from jobs_app.models import JobStep, Runner, WorkStatus
from jobs_app.storage import working_copies
from jobs_app.workers import lost_work
from tests.jobs.conftest import expire, statuses, take

real_wake = queue.wake


@pytest.fixture
def tokens(monkeypatch, db):
    """A queue in memory."""
    sent: list[str] = []
    monkeypatch.setattr(queue, "async_task", lambda name, **options: sent.append(name))
    monkeypatch.setattr(queue, "waiting_tokens", lambda: len(sent))
    return sent


def test_a_lost_workers_window_is_given_back(alice, planned_job, settings):
    settings.RETRY_BACKOFF_S = 0
    job = planned_job(alice, 2)
    window = take(job.windows.first())
    assert lost_work.expire_leases() == 0
    expire(window)
    assert lost_work.expire_leases() == 1
    assert statuses(job) == ["waiting", "waiting"]


def test_sweeping_twice_is_harmless(alice, planned_job):
    job = planned_job(alice, 1)
    expire(take(job.windows.get()))
    lost_work.recover()
    lost_work.recover()
    assert job.windows.get().attempt == 1


def test_a_lost_token_is_sent_again(alice, new_job, wakes):
    new_job(alice)
    assert lost_work.wake_for_forgotten_work() == 0
    JobStep.objects.update(not_before=Now() - timedelta(seconds=10))
    wakes.clear()
    lost_work.wake_for_forgotten_work()
    assert wakes == [1]


def test_tokens_do_not_pile_up_while_all_workers_are_busy(tokens, settings):
    settings.WORKERS = 2
    for _ in range(5):
        real_wake(10)
    assert len(tokens) == 2


def test_tokens_are_for_the_workers_of_all_machines(tokens, settings):
    settings.WORKERS = 1
    for host in ("a:1", "b:1"):
        Runner.objects.create(name=host, workers=3, beat_at=timezone.now(), proven_at=timezone.now())
    Runner.objects.create(name="dead:1", workers=9, beat_at=timezone.now() - timedelta(minutes=5))
    assert real_wake(20) == 6


def test_a_dead_queue_is_not_an_error(monkeypatch, db):
    def refuse(*args, **kwargs):
        raise ConnectionError("no queue")

    monkeypatch.setattr(queue, "waiting_tokens", refuse)
    assert real_wake(1) == 0


def test_unused_working_copies_are_deleted_and_used_ones_kept(alice, new_job):
    used = new_job(alice).session.chunks.get().pk
    gone = "00000000-0000-0000-0000-000000000000"
    for chunk in (used, gone):
        path = working_copies.working_copy_path(chunk)
        path.mkdir()
        (path / "00000.flac").write_bytes(b"flac")
        long_ago = time.time() - 2 * lost_work.KEEP_WORKING_COPIES_S
        os.utime(path, (long_ago, long_ago))
    lost_work.prune_working_copies()
    assert working_copies.working_copy_path(used).exists()
    assert not working_copies.working_copy_path(gone).exists()


def test_a_worker_that_stops_takes_nothing_new(alice, new_job):
    from jobs_app import tasks

    new_job(alice)
    run_folder.stop_taking_work()
    tasks.work_once()
    assert JobStep.objects.get().status == WorkStatus.WAITING


def test_the_folder_of_a_killed_command_is_deleted(new_session, settings):
    folder = working_copies.working_copy_path("x").with_name("tmp-of-a-command")
    folder.mkdir()
    (folder / "audio.flac").write_bytes(b"flac")
    assert working_copies.forget_unused(in_use=set(), older_than_s=-1) == 1
    assert not folder.exists()
