from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from jobs_app.models import SweepTurn
from jobs_app.workers.sweeper import Sweeper, take_turn

HERE = "tests.jobs.workers.test_sweeper."
swept: list[str] = []
may_go_on = threading.Event()


def broken():
    raise KeyError("a bug")


def other():
    swept.append("other")


def shared():
    swept.append("shared")


def slow():
    may_go_on.wait(10)


@pytest.fixture(autouse=True)
def nothing_swept():
    swept.clear()
    may_go_on.clear()


@pytest.fixture
def sweeps(settings):
    def choose(periods: dict[str, float], *once: str) -> Sweeper:
        settings.SWEEPERS = {HERE + name: every_s for name, every_s in periods.items()}
        settings.SWEPT_ONCE = [HERE + name for name in once]
        return Sweeper()

    return choose


def test_a_bug_in_one_sweep_ends_neither_it_nor_the_next(sweeps, caplog):
    sweeps({"broken": 0, "other": 0}).sweep_what_is_due()
    assert "a bug" in caplog.text
    assert swept == ["other"]


def test_each_sweep_has_its_own_period(sweeps):
    sweeper = sweeps({"other": 0, "shared": 60})
    sweeper.sweep_what_is_due()
    sweeper.sweep_what_is_due()
    assert swept == ["other", "shared", "other"]


@pytest.mark.django_db
def test_one_machine_sweeps_for_all(sweeps):
    here, there = sweeps({"shared": 60}, "shared"), sweeps({"shared": 60}, "shared")
    here.sweep_what_is_due()
    there.sweep_what_is_due()
    assert swept == ["shared"]


@pytest.mark.django_db
def test_when_its_machine_is_gone_another_takes_the_next_turn(sweeps):
    assert take_turn("a sweep", 60)
    assert not take_turn("a sweep", 60)
    SweepTurn.objects.update(free_at=Now() - timedelta(seconds=1))
    assert take_turn("a sweep", 60)
    assert not take_turn("a sweep", 60)


def test_a_sweep_on_a_slow_disk_holds_up_nobody_and_can_be_left_behind(sweeps):
    sweeper = sweeps({"slow": 0})
    sweeper.start()
    began = time.monotonic()
    sweeper.stop(within_s=0.1)
    assert time.monotonic() - began < 5
    may_go_on.set()
    sweeper.join(5)
    assert not sweeper.is_alive()


def test_what_the_settings_name_can_be_called(settings):
    assert all(callable(import_string(dotted)) for dotted in settings.SWEEPERS)
    assert set(settings.SWEPT_ONCE) < set(settings.SWEEPERS)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_many_runners_at_once_one_takes_the_turn():
    won: list[bool] = []

    def run() -> None:
        from django.db import connection

        won.append(take_turn("a sweep", 60))
        connection.close()

    for _ in range(3):
        won.clear()
        SweepTurn.objects.update(free_at=Now() - timedelta(seconds=1))
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won.count(True) == 1
