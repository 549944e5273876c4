from __future__ import annotations

import os
import time

import pytest

from jobs_app.leases import run_folder


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.RUN_DIR = tmp_path


def test_a_beat_has_a_time():
    assert run_folder.last_beat() is None
    run_folder.beat()
    assert abs((run_folder.last_beat() or 0) - time.time()) < 5


def test_workers_are_told_to_take_nothing_and_to_go_on():
    assert not run_folder.is_stopping()
    run_folder.stop_taking_work()
    assert run_folder.is_stopping()
    run_folder.take_work_again()
    run_folder.take_work_again()
    assert not run_folder.is_stopping()


def test_a_lock_is_one_process_at_a_time_and_says_which():
    lock = run_folder.take_lock("host")
    assert run_folder.take_lock("host") is None
    assert run_folder.holder("host") == str(os.getpid())
    with run_folder.take_lock("jobrunner"):
        pass
    lock.close()
    run_folder.take_lock("host").close()
