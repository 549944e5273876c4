"""Storing uploads: all or nothing, whatever happens in between."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
import unicodedata
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import default_storage, filesystem
from django.db import DatabaseError, OperationalError, connections
from django.utils import timezone

from jobs_app.engines.resolving import resolve_options
from jobs_app.models import JobStatus, LooseFile, TranscriptionJob
from jobs_app.storage import loose_files
from rest.disk import StorageFull
from rest.refusals import FileTooLarge
from sessions_app.arrival import intake
from sessions_app.models import AudioChunk, IdempotencyKey, RecordingSession, SessionSource, SessionState
from sessions_app.sweeping import orphans
from speech.errors import AudioTooLong, NoAudio, UnreadableAudio, UnsupportedMedia
from tests.sessions.conftest import sound, upload_of

pytestmark = pytest.mark.django_db


def store(owner, content: bytes, name: str = "talk.wav", **options) -> TranscriptionJob:
    # Django closes uploads at the end of the request.
    with closing(upload_of(content, name)) as upload:
        return intake.store_upload(owner, upload, resolve_options(), source=SessionSource.UPLOAD, **options)


@pytest.fixture
def remove_the_folder(monkeypatch):
    """So many times a file finds the folder gone that was just made for it."""
    move = filesystem.file_move_safe

    def install(times: int) -> list[str]:
        removed: list[str] = []

        def move_later(source, target, **options):
            if len(removed) < times:
                removed.append(target)
                loose_files.remove_folder(str(Path(target).parent.relative_to(default_storage.location)))
            return move(source, target, **options)

        monkeypatch.setattr(filesystem, "file_move_safe", move_later)
        return removed

    return install


def no_rows() -> bool:
    return not any(
        m.objects.exists() for m in (RecordingSession, AudioChunk, TranscriptionJob, IdempotencyKey)
    )


def test_a_folder_that_another_request_has_found_empty_is_made_again(alice, wav, remove_the_folder):
    removed = remove_the_folder(2)
    job = store(alice, wav)
    assert len(removed) == 2
    assert job.session.chunks.get().file.read() == wav


def test_a_folder_that_is_removed_each_time_is_an_error_and_leaves_nothing(
    alice, wav, remove_the_folder, left_behind
):
    remove_the_folder(99)
    with pytest.raises(FileNotFoundError):
        store(alice, wav)
    assert no_rows()
    assert not [path for path in left_behind() if Path(path).is_file()]


# --- What is stored ------------------------------------------------------------------------------


def test_an_upload_is_a_session_with_one_chunk_and_a_job(alice, wav, left_behind):
    job = store(alice, wav)
    session = RecordingSession.objects.get()
    chunk = session.chunks.get()
    assert (session.owner, session.title, session.state) == (alice, "talk", SessionState.PROCESSING)
    assert chunk.file.read() == wav
    assert (chunk.number, chunk.filename, chunk.container, chunk.codec) == (0, "talk.wav", "wav", "pcm_s16le")
    assert (chunk.duration_ms, chunk.size_bytes) == (1000, len(wav))
    assert (job.session, job.filename, job.duration_ms, job.status) == (session, "talk.wav", 1000, "pending")
    assert left_behind() == [
        str(Path(default_storage.location) / "audio"),
        str(Path(chunk.file.path).parent),
        chunk.file.path,
    ]


def test_a_title_wins_over_the_name_of_the_file(alice, wav):
    assert store(alice, wav, title="Interview").session.title == "Interview"


def test_the_name_of_a_file_goes_into_its_column_only(alice, wav):
    name = "../" * 20 + "слово/Ⅻ\u202e\n" + "ñ" * 60 + "/" + "語" * 80 + "\\x.wav"
    chunk = store(alice, wav, name).session.chunks.get()
    assert chunk.filename == "x.wav"
    assert chunk.file.name.isascii()
    assert ".." not in chunk.file.name


def test_a_name_of_200_characters_from_all_over_unicode_is_kept(alice, wav):
    name = unicodedata.normalize("NFC", "é語🎙" * 65 + ".wav")
    job = store(alice, wav, name)
    assert job.session.chunks.get().filename == name
    assert job.session.title == name.removesuffix(".wav")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a/b/c.mp3", "c.mp3"),
        ("C:\\Users\\me\\c.mp3", "c.mp3"),
        ("folder/", "folder"),
        ("tab\there\x00.wav", "tabhere.wav"),
        ("x" * 300, "x" * 255),
        ("///", ""),
        ("می\u200cرود.wav", "می\u200cرود.wav"),
        ("👩\u200d💻 और क्\u200dष.wav", "👩\u200d💻 और क्\u200dष.wav"),
        ("\u200dtalk\u200c.wav\u200d", "talk.wav"),
    ],
)
def test_names_are_cleaned(name, kept):
    assert intake.clean_filename(name) == kept


def test_the_stored_file_is_named_by_its_content(alice):
    assert store(alice, sound(kind="FLAC"), "talk.exe").session.chunks.get().file.name.endswith(".flac")


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", UnreadableAudio),
        (b"Dear diary, today I named a text mp3.\n" * 50, UnsupportedMedia),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", UnsupportedMedia),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/secret.ts\n", UnsupportedMedia),
    ],
)
def test_what_is_not_audio_leaves_nothing(alice, left_behind, content, error):
    with pytest.raises(error):
        store(alice, content, "talk.mp3")
    assert no_rows()
    assert left_behind() == []


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "error"),
    [("broken_text_named.mp3", UnsupportedMedia), ("broken_truncated_no_moov.mp4", UnreadableAudio)],
)
def test_broken_recordings_leave_nothing(alice, recordings, left_behind, name, error):
    with pytest.raises(error):
        store(alice, (recordings / name).read_bytes(), name)
    assert no_rows()
    assert left_behind() == []


def test_a_video_without_sound_leaves_nothing(alice, left_behind, silent_video):
    with pytest.raises(NoAudio):
        store(alice, silent_video, "holiday.mp4")
    assert no_rows()
    assert left_behind() == []


def test_a_recording_over_the_longest_duration_is_refused(alice, settings, left_behind):
    settings.MAX_AUDIO_S = 2
    store(alice, sound(2.0))
    before = left_behind()
    with pytest.raises(AudioTooLong):
        store(alice, sound(2.1))
    assert left_behind() == before


def test_an_upload_that_was_cut_off_is_not_stored(alice, settings, wav):
    settings.MAX_UPLOAD_BYTES = 100
    with pytest.raises(FileTooLarge):
        store(alice, wav)
    assert no_rows()


# --- Bad moments ---------------------------------------------------------------------------------


def raising(error: BaseException):
    def fail(*args, **kwargs):
        raise error

    return fail


def test_a_disk_that_fills_while_the_file_is_stored_leaves_nothing(alice, wav, monkeypatch, left_behind):
    monkeypatch.setattr(os, "fsync", raising(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(StorageFull):
        store(alice, wav)
    assert no_rows()
    assert [path for path in left_behind() if not path.endswith("audio")] == []


def test_a_folder_that_cannot_be_synced_takes_the_moved_file_with_it(alice, wav, monkeypatch, left_behind):
    monkeypatch.setattr(intake, "sync_stored", raising(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(OSError, match="Input/output"):
        store(alice, wav)
    assert [path for path in left_behind() if not path.endswith("audio")] == []


@pytest.mark.parametrize("across", [False, True], ids=["on one file system", "from another file system"])
def test_what_is_answered_was_synced_where_it_is(alice, wav, monkeypatch, across):
    """From another file system it is copied, and the copy is another file than the one that was written."""
    synced = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        real_fsync(descriptor)

    def rename(source, target, *args, **kwargs):
        if across:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real_rename(source, target, *args, **kwargs)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    path = Path(store(alice, wav).session.chunks.get().file.path)
    assert path.read_bytes() == wav
    expected = [part.stat().st_ino for part in (path, path.parent, path.parent.parent)]
    assert [inode for inode in synced if inode in expected] == expected


def test_a_transaction_that_fails_takes_the_file_with_it(alice, wav, monkeypatch, left_behind):
    monkeypatch.setattr(intake, "start_job", raising(DatabaseError("no")))
    with pytest.raises(DatabaseError):
        store(alice, wav)
    assert no_rows()
    assert [path for path in left_behind() if not path.endswith("audio")] == []


def test_a_database_without_room_is_a_full_storage(alice, wav, monkeypatch, left_behind):
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorcode = sqlite3.SQLITE_FULL
    error = OperationalError("database or disk is full")
    error.__cause__ = cause
    monkeypatch.setattr(intake, "start_job", raising(error))
    with pytest.raises(StorageFull):
        store(alice, wav)
    assert no_rows()
    assert [path for path in left_behind() if not path.endswith("audio")] == []


def test_a_file_stays_when_nobody_knows_whether_its_rows_were_committed(alice, wav, monkeypatch, left_behind):
    monkeypatch.setattr(intake.idempotency, "once", raising(OperationalError("server closed the connection")))
    monkeypatch.setattr(LooseFile.objects, "filter", raising(OperationalError("still gone")))
    with pytest.raises(OperationalError, match="server closed"):
        store(alice, wav)
    assert len([path for path in left_behind() if path.endswith(".wav")]) == 1


@pytest.mark.django_db(transaction=True)
def test_what_a_kill_before_the_commit_leaves_is_swept_later(alice, wav, monkeypatch, left_behind):
    upload = upload_of(wav)
    monkeypatch.setattr(intake, "start_job", lambda *args, **kwargs: os._exit(9))
    connections.close_all()
    child = os.fork()
    if child == 0:
        intake.store_upload(alice, upload, resolve_options(), source=SessionSource.UPLOAD)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    upload.close()

    assert no_rows()
    assert [path[-4:] for path in left_behind()][2:] == [".wav"]
    loose_files.sweep()
    assert len(left_behind()) == 3
    LooseFile.objects.update(since=timezone.now() - timedelta(hours=25))
    loose_files.sweep()
    assert [path for path in left_behind() if not path.endswith("audio")] == []


# --- Deleting ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_deleted_session_takes_its_job_and_audio_with_it(stored_job, left_behind):
    intake.delete_session(stored_job.session)
    assert no_rows()
    assert [path for path in left_behind() if not path.endswith("audio")] == []


@pytest.mark.django_db(transaction=True)
def test_audio_stays_when_its_rows_could_not_be_deleted(stored_job, monkeypatch):
    monkeypatch.setattr(RecordingSession, "delete", raising(DatabaseError("no")))
    with pytest.raises(DatabaseError):
        intake.delete_session(stored_job.session)
    assert default_storage.exists(stored_job.session.chunks.get().file.name)


def test_a_deleted_session_cancels_its_job_first(stored_job, monkeypatch):
    seen = []
    monkeypatch.setattr(RecordingSession, "delete", lambda self: seen.append(self.jobs.get().status))
    intake.delete_session(stored_job.session)
    assert seen == [JobStatus.CANCELLED]


# --- Sweeping ------------------------------------------------------------------------------------


@pytest.fixture
def sweep_now():
    """What a job runner does every ten minutes."""

    def sweep() -> None:
        loose_files.sweep()
        orphans.sweep_keys()
        orphans.sweep_parts()

    return sweep


def age(path: str | Path, hours: float) -> None:
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def test_the_sweep_keeps_audio_with_rows_however_old(stored_job, sweep_now):
    file = stored_job.session.chunks.get().file
    age(file.path, 1000)
    sweep_now()
    assert Path(file.path).exists()


def test_the_sweep_removes_old_parts_of_uploads(sweep_now, settings):
    old, new, other = (settings.FILE_UPLOAD_TEMP_DIR / name for name in ("upload-a", "upload-b", "other"))
    for path in (old, new, other):
        path.write_bytes(b"part")
    age(old, 25)
    age(other, 25)
    sweep_now()
    assert [path.exists() for path in (old, new, other)] == [False, True, True]


def test_the_sweep_forgets_keys_after_a_day(alice, stored_job, sweep_now):
    for hours in (23, 25):
        IdempotencyKey.objects.create(
            owner=alice,
            key=str(hours),
            fingerprint="",
            job=stored_job,
            created_at=timezone.now() - timedelta(hours=hours),
        )
    sweep_now()
    assert [row.key for row in IdempotencyKey.objects.all()] == ["23"]
