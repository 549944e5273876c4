from __future__ import annotations

import os
import time

import pytest
from django.db import connection
from django.utils import timezone

from jobs_app.leases import queue, run_folder
from jobs_app.models import Runner
from jobs_app.workers import runner

real_wake = queue.wake


class FakeCluster:
    """Stands for the child process; says what was done to it."""

    def __init__(self):
        self.exit_code = None
        self.done = []
        self.started_at = 0.0

    def start(self):
        self.exit_code = None
        self.started_at = time.time()
        self.done.append("start")

    def ended(self):
        return self.exit_code

    def kill(self):
        self.done.append("kill")

    def stop(self, *, grace_s):
        self.done.append("stop")
        return []

    def kill_leftovers(self):
        self.done.append("kill leftovers")


@pytest.fixture
def watched(monkeypatch, settings, tmp_path, db):
    settings.RUN_DIR = tmp_path
    monkeypatch.setattr(runner, "Cluster", FakeCluster)
    pings = []
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: pings.append(n))
    job_runner = runner.JobRunner()
    job_runner.pings = pings
    job_runner._cluster.start()
    # File times are coarser than the clock.
    job_runner._cluster.started_at -= 1
    job_runner._cluster.done.clear()
    return job_runner


def test_a_cluster_that_ended_is_started_again(watched):
    watched._cluster.exit_code = 0
    watched._watch()
    watched._watch()
    assert watched._cluster.done == ["kill", "start"]


def test_a_cluster_that_runs_nothing_is_killed_and_started_again(watched, settings):
    watched._cluster.started_at -= settings.STALL_AFTER_S + 1
    watched._watch()
    watched._watch()
    assert watched._cluster.done == ["kill", "start"]


def test_a_new_cluster_is_asked_for_proof(watched):
    watched._watch()
    assert (watched._cluster.done, watched.pings) == ([], [1])


def test_a_cluster_that_works_is_left_alone(watched):
    run_folder.beat()
    watched._watch()
    assert (watched._cluster.done, watched.pings) == ([], [])


def test_an_idle_cluster_is_asked_now_and_then(watched, settings, monkeypatch):
    watched._cluster.started_at -= settings.STALL_AFTER_S
    monkeypatch.setattr(runner, "last_beat", lambda: time.time() - settings.STALL_AFTER_S / 2)
    watched._watch()
    watched._watch()
    assert watched.pings == [1]


def test_restarts_slow_down_while_they_do_not_help(watched, monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(runner.time, "monotonic", lambda: now)
    pauses = []
    for _ in range(9):
        watched._cluster.exit_code = 1
        watched._watch()
        pauses.append(watched._start_at - now)
        now = watched._start_at
        watched._watch()
    assert pauses == sorted(pauses)
    assert pauses[-1] == runner.LONGEST_RESTART_PAUSE_S
    assert watched._cluster.done.count("start") == 9


def test_it_does_not_wait_idly_for_a_restart(watched):
    watched._pause_s = 30
    watched._cluster.exit_code = 1
    began = time.monotonic()
    watched._watch()
    watched._watch()
    assert time.monotonic() - began < 5
    assert watched._cluster.done == ["kill"]


def test_it_reports_workers_only_once_they_are_proven(watched):
    watched._report()
    assert Runner.objects.alive_workers() == 0
    run_folder.beat()
    watched._report()
    row = Runner.objects.get()
    assert Runner.objects.alive_workers() == row.workers
    assert abs((row.beat_at - timezone.now()).total_seconds()) < 5


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_it_hears_again_after_its_connection_was_cut(watched, monkeypatch):
    monkeypatch.setattr("jobs_app.leases.queue.wake", real_wake)
    watched._report()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    cut = connection.copy()
    with cut.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    cut.close()
    # It is the first to notice, and swallows what it notices.
    real_wake()
    for _ in range(2):
        watched._reported = 0
        watched._do_if_database_answers()
    assert Runner.objects.count() == 1


def test_a_second_runner_on_the_same_data_is_refused(watched):
    watched._stop = True
    other = runner.JobRunner()
    other._run = watched.run
    with pytest.raises(runner.AlreadyRunning, match=f"process {os.getpid()}.* already running"):
        other.run()


def test_it_signs_off(watched):
    watched._report()
    watched.stop()
    watched.run()
    assert watched._cluster.done[-1] == "stop"
    assert not Runner.objects.exists()
