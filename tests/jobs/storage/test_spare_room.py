"""Deletions on a full disk: they use the room that is kept for them."""

from __future__ import annotations

import errno
import sqlite3

import pytest
from django.db import OperationalError, transaction

from jobs_app.storage import spare_room
from jobs_app.storage.spare_room import SPARE_BYTES, keep, may_use_spare_room, path


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


def full_database() -> OperationalError:
    error = OperationalError("database or disk is full")
    error.__cause__ = type("Full", (sqlite3.OperationalError,), {"sqlite_errorcode": sqlite3.SQLITE_FULL})()
    return error


class Disk:
    """Full while the spare room is taken."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.tries = 0

    def delete(self) -> str:
        self.tries += 1
        if path().exists():
            raise self.error
        return "deleted"


FULL = [full_database(), OSError(errno.ENOSPC, "No space left on device")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", FULL)
def test_a_deletion_on_a_full_disk_uses_the_room_and_makes_it_again(error):
    keep()
    assert path().stat().st_size == SPARE_BYTES
    disk = Disk(error)
    assert may_use_spare_room(disk.delete)() == "deleted"
    assert disk.tries == 2
    assert path().stat().st_size == SPARE_BYTES


@pytest.mark.django_db(transaction=True)
def test_without_the_room_and_for_other_errors_it_fails_as_ever():
    disk = Disk(OperationalError("no connection"))
    keep()
    with pytest.raises(OperationalError, match="no connection"):
        may_use_spare_room(disk.delete)()
    assert (disk.tries, path().exists()) == (1, True)
    path().unlink()

    def never() -> None:
        raise full_database()

    with pytest.raises(OperationalError, match="full"):
        may_use_spare_room(never)()


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_of_somebody_else_nothing_is_tried_again():
    keep()
    disk = Disk(full_database())
    with pytest.raises(OperationalError), transaction.atomic():
        may_use_spare_room(disk.delete)()
    assert (disk.tries, path().exists()) == (1, True)


def test_the_room_is_not_taken_from_a_disk_that_has_none(monkeypatch):
    free = type("Usage", (), {"free": SPARE_BYTES})
    monkeypatch.setattr(spare_room.shutil, "disk_usage", lambda _: free)
    keep()
    assert not path().exists()
