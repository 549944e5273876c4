"""Files of the storage that no row names: what a crash leaves is removed, and nothing else is looked at."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, transaction
from django.utils import timezone

from jobs_app.models import LooseFile
from jobs_app.storage import loose_files
from sessions_app.arrival import chunks
from sessions_app.arrival.intake import delete_session
from sessions_app.models import AudioChunk, RecordingSession
from tests.sessions.conftest import sound, upload_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(alice, storage) -> RecordingSession:
    return RecordingSession.objects.create(owner=alice, source="recorder")


def store(session: RecordingSession, number: int = 0) -> AudioChunk:
    return chunks.store_chunk(session, upload_of(sound(1.0)), number=number)[0]


def lost_file(name: str, *, hours: float = 25) -> str:
    """As a process leaves it that was killed before it stored a row."""
    loose_files.announce(name)
    LooseFile.objects.filter(name=name).update(since=timezone.now() - timedelta(hours=hours))
    return default_storage.save(name, ContentFile(b"sound"))


def test_what_is_stored_is_adopted(session):
    chunk = store(session)
    assert not LooseFile.objects.exists()
    LooseFile.objects.update(since=timezone.now() - timedelta(days=9))
    loose_files.sweep()
    assert default_storage.exists(chunk.file.name)


def test_a_file_is_announced_before_it_is_stored(session, monkeypatch):
    save, seen = default_storage.save, []

    def saving(name, content):
        seen.append(LooseFile.objects.get().name == name and not default_storage.exists(name))
        return save(name, content)

    monkeypatch.setattr(default_storage, "save", saving)
    store(session)
    assert seen == [True]


def test_a_lost_file_is_removed_with_its_folder_after_a_while(storage):
    old, new = lost_file("audio/a/0.wav"), lost_file("audio/b/0.wav", hours=23)
    loose_files.sweep()
    assert (default_storage.exists(old), default_storage.exists(new)) == (False, True)
    assert [path.name for path in (storage / "audio").iterdir()] == ["b"]
    assert LooseFile.objects.get().name == new


def test_one_that_was_announced_and_never_stored_is_no_error(storage):
    lost_file("audio/a/0.wav")
    (storage / "audio/a/0.wav").unlink()
    loose_files.sweep()
    assert not LooseFile.objects.exists()
    assert not (storage / "audio/a").exists()


def test_no_row_can_name_a_file_that_is_being_removed(session, monkeypatch, left_behind):
    announce = loose_files.announce

    def long_ago(name):
        announce(name)
        LooseFile.objects.update(doomed=True)

    monkeypatch.setattr(loose_files, "announce", long_ago)
    with pytest.raises(loose_files.RemovedMeanwhile):
        store(session)
    assert not AudioChunk.objects.exists()
    assert [path for path in left_behind() if Path(path).is_file()] == []


@pytest.mark.django_db(transaction=True)
def test_what_a_kill_after_a_deletion_leaves_is_removed_by_the_next_sweep(session, monkeypatch, left_behind):
    store(session, 0)
    store(session, 1)
    with monkeypatch.context() as killed:
        killed.setattr(loose_files, "remove", lambda names: None)
        delete_session(session)
    assert sum(Path(path).is_file() for path in left_behind()) == 2
    loose_files.sweep()
    assert [path for path in left_behind() if not path.endswith("audio")] == []
    assert not LooseFile.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_deletion_that_is_not_committed_removes_nothing(session):
    name = store(session).file.name
    with pytest.raises(RuntimeError), transaction.atomic():
        loose_files.doom([name])
        raise RuntimeError
    loose_files.sweep()
    assert default_storage.exists(name)
    assert not LooseFile.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_deleting_leaves_no_row(session, left_behind):
    store(session, 0)
    store(session, 1)
    chunks.delete_chunk(session, 1)
    assert sum(Path(path).is_file() for path in left_behind()) == 1
    delete_session(session)
    assert not LooseFile.objects.exists()


def test_while_nobody_knows_whether_a_row_names_it_a_file_stays(monkeypatch, storage):
    name = lost_file("audio/a/0.wav")
    with monkeypatch.context() as broken:
        broken.setattr(LooseFile.objects, "filter", _unreachable)
        loose_files.remove_unless_adopted(name)
    assert default_storage.exists(name)
    loose_files.sweep()
    assert not default_storage.exists(name)


def _unreachable(**conditions):
    raise DatabaseError("away")


def test_one_that_cannot_be_removed_does_not_keep_the_others(monkeypatch, storage):
    names = [lost_file(f"audio/a/{n}.wav", hours=30 - n) for n in range(3)]
    delete = default_storage.delete

    def deleting(name):
        if name == names[0]:
            raise PermissionError(name)
        delete(name)

    monkeypatch.setattr(loose_files, "REMOVED_AT_ONCE", 1)
    with monkeypatch.context() as refusing:
        refusing.setattr(default_storage, "delete", deleting)
        for _ in range(3):
            loose_files.sweep()
    assert LooseFile.objects.get().name == names[0]
    loose_files.sweep()
    assert not LooseFile.objects.exists()


def test_a_pass_is_bounded(monkeypatch, storage, django_assert_num_queries):
    monkeypatch.setattr(loose_files, "REMOVED_AT_ONCE", 10)
    for n in range(25):
        lost_file(f"audio/{n}/0.wav")
    for left in (15, 5, 0):
        with django_assert_num_queries(3):
            loose_files.sweep()
        assert LooseFile.objects.count() == left == len(list((storage / "audio").iterdir()))


@pytest.mark.parametrize("recordings", [0, 40])
def test_a_sweep_lists_nothing_however_much_there_is(
    recordings, alice, storage, monkeypatch, django_assert_num_queries
):
    for n in range(recordings):
        folder = storage / "audio" / str(n)
        folder.mkdir(parents=True)
        (folder / "0.wav").write_bytes(b"sound")
    name = lost_file("audio/lost/0.wav")
    listed, asked = [], []

    def listing(ask):
        def counted(path=".", *args, **kwargs):
            listed.append(path)
            return ask(path, *args, **kwargs)

        return counted

    stat = os.stat

    def looking(path, *args, **kwargs):
        asked.append(path)
        return stat(path, *args, **kwargs)

    with monkeypatch.context() as counting:
        for ask in ("listdir", "scandir"):
            counting.setattr(os, ask, listing(getattr(os, ask)))
        counting.setattr(os, "stat", looking)
        with django_assert_num_queries(3):
            loose_files.sweep()
    assert listed == []
    # Whether the one that is removed is a folder.
    assert len(asked) <= 2
    assert not default_storage.exists(name)
    assert len(list((storage / "audio").iterdir())) == recordings
