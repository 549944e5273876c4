"""Resumable uploads when two requests come at once, when they break off, and when nobody comes back."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from jobs_app.models import TranscriptionJob
from sessions_app.arrival import intake
from sessions_app.models import AudioChunk, RecordingSession, ResumableUpload
from sessions_app.tus import sweep as tus_sweep
from sessions_app.tus import uploads as tus
from sessions_app.tus.files import locked
from tests.sessions.arrival.test_upload_handler import no_file_larger_than
from tests.sessions.conftest import sound
from tests.sessions.tus import test_tus
from tests.sessions.tus.client import MIB, UPLOADS, assert_problem, begun_by, checksum

pytestmark = pytest.mark.django_db

client = test_tus.client
files = test_tus.files


# --- Two at once, and breaks ---------------------------------------------------------------------


def test_who_asks_for_the_offset_stops_who_adds_to_it(alice, wav):
    upload = begun_by(alice, wav)

    def blocks():
        yield wav[:1000]
        assert tus.offset(upload) == 1000
        yield wav[1000:2000]

    with pytest.raises(tus.OffsetConflict):
        tus.receive(upload, 0, blocks())
    assert tus.offset(upload) == 1000


def test_the_later_one_of_two_requests_goes_on(alice, wav):
    upload = begun_by(alice, wav)

    def blocks():
        yield wav[:1000]
        tus.receive(upload, 1000, [wav[1000:5000]])
        yield wav[1000:2000]

    with pytest.raises(tus.OffsetConflict):
        tus.receive(upload, 0, blocks())
    assert tus.receive(upload, 5000, [wav[5000:]]) == len(wav)
    assert AudioChunk.objects.get().file.read() == wav


def test_an_upload_that_another_request_has_ended_is_not_ended_again(alice, wav):
    upload = begun_by(alice, wav)

    def blocks():
        yield wav[:1000]
        assert tus.receive(ResumableUpload.objects.get(), 1000, [wav[1000:]]) == len(wav)
        yield wav[1000:]

    with pytest.raises(tus.OffsetConflict):
        tus.receive(upload, 0, blocks())
    assert TranscriptionJob.objects.count() == 1
    assert tus.offset(upload) == len(wav)


def test_an_upload_that_is_given_up_while_it_comes_is_gone(alice, wav, files):
    upload = begun_by(alice, wav)

    def blocks():
        yield wav[:1000]
        tus.remove(ResumableUpload.objects.get())
        yield wav[1000:]

    with pytest.raises(tus.UploadGone):
        tus.receive(upload, 0, blocks())
    assert files() == []


def test_what_has_come_of_a_part_that_breaks_off_is_kept(alice, wav):
    upload = begun_by(alice, wav)
    assert tus.receive(upload, 0, iter([wav[:1000], wav[1000:1500]])) == 1500
    assert tus.offset(upload) == 1500


def test_what_has_come_of_a_part_with_a_checksum_that_breaks_off_is_not(alice, wav, client):
    upload = begun_by(alice, wav)
    given = tus.Checksum(checksum("sha1", wav[:2000]))
    with pytest.raises(tus.ChecksumMismatch):
        tus.receive(upload, 0, [wav[:1000]], checksum=given)
    assert tus.offset(upload) == 0


def test_more_than_was_announced_ends_at_what_was_announced(alice, wav):
    upload = begun_by(alice, wav)
    with pytest.raises(tus.TooLong):
        tus.receive(upload, 0, [wav[:1000], wav])
    assert tus.offset(upload) == 1000


def test_a_full_disk_costs_nothing_that_has_come(client, api):
    content = sound(100)
    url = client.begun(content)
    with no_file_larger_than(MIB):
        assert_problem(client.patch(url, 0, content), 507, "storage_full")
    at = client.offset(url)
    assert 0 < at <= MIB
    assert client.patch(url, at, content[at:]).status_code == 204
    assert AudioChunk.objects.get().file.read() == content


def test_a_database_that_is_away_at_the_end_costs_nothing(client, wav, monkeypatch):
    url = client.begun(wav)

    def away(*args, **kwargs):
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(intake, "start_job", away)
        assert_problem(client.patch(url, 0, wav), 503, "try_again")
    assert not RecordingSession.objects.exists()
    # The client asks where to go on, and the job is made.
    response = client.head(url)
    assert response["Upload-Offset"] == str(len(wav))
    assert response["Upload-Job"] == str(TranscriptionJob.objects.get().pk)


# --- What nobody comes back for ------------------------------------------------------------------


@pytest.fixture
def sweep():
    return tus_sweep.sweep


def make_old(upload: ResumableUpload, hours: float) -> None:
    at = timezone.now() - timedelta(hours=hours)
    ResumableUpload.objects.filter(pk=upload.pk).update(last_part_at=at)
    with locked(upload) as part:
        for path in (part.path, part.path.with_suffix(".lock")):
            os.utime(path, (at.timestamp(), at.timestamp()))


def test_an_upload_expires_with_its_files(alice, wav, sweep, files, client):
    old, new = begun_by(alice, wav), begun_by(alice, wav)
    tus.receive(old, 0, [wav[:1000]])
    make_old(old, 24.1)
    make_old(new, 23.9)
    sweep()
    assert list(ResumableUpload.objects.all()) == [new]
    assert client.head(f"{UPLOADS}{old.pk}/").status_code == 404
    assert client.offset(f"{UPLOADS}{new.pk}/") == 0
    assert len(files()) == 2


def test_an_upload_of_which_something_comes_does_not_expire(alice, wav, sweep):
    upload = begun_by(alice, wav)
    make_old(upload, 25)
    with locked(upload) as part:
        part.append(b"x")
    sweep()
    assert ResumableUpload.objects.exists()


def test_the_time_to_expire_is_a_setting(alice, wav, sweep, settings):
    settings.UPLOAD_EXPIRES_S = 3600
    upload = begun_by(alice, wav)
    assert upload.expires_at - upload.last_part_at == timedelta(hours=1)
    make_old(upload, 1.1)
    sweep()
    assert not ResumableUpload.objects.exists()


def test_an_upload_that_was_complete_when_the_server_died_becomes_a_job(alice, wav, sweep, files):
    upload = begun_by(alice, wav)
    with locked(upload) as part:
        part.append(wav)
    sweep()
    assert not TranscriptionJob.objects.exists()  # its client may still come
    make_old(upload, 30)
    sweep()
    assert TranscriptionJob.objects.get().session.chunks.get().file.read() == wav
    assert files() == []


def test_one_that_cannot_be_ended_does_not_stop_the_sweep(alice, wav, sweep, files):
    for content in (b"no audio", wav):
        upload = begun_by(alice, content)
        with locked(upload) as part:
            part.append(content)
        make_old(upload, 1)
    sweep()
    assert TranscriptionJob.objects.count() == 1
    assert files() == []


def test_what_is_done_is_forgotten_after_a_while(alice, wav, sweep, client):
    url = client.begun(wav)
    client.patch(url, 0, wav)
    sweep()
    assert client.head(url).status_code == 200
    ResumableUpload.objects.update(last_part_at=timezone.now() - timedelta(hours=25))
    sweep()
    assert client.head(url).status_code == 404
    assert TranscriptionJob.objects.exists()


def test_a_file_that_a_bug_keeps_from_its_end_does_not_stop_the_sweep(
    alice, wav, sweep, client, monkeypatch, caplog, files
):
    whole, old = begun_by(alice, wav), begun_by(alice, wav)
    tus.receive(old, 0, [wav[:1000]])
    with locked(whole) as part:
        part.append(wav)
    for upload in (whole, old):
        make_old(upload, 30)

    with monkeypatch.context() as patch:
        patch.setattr(intake, "probe", lambda path: 1 / 0)
        sweep()
    assert "ZeroDivisionError" in caplog.text
    # It would be so each time: neither is kept.
    assert not ResumableUpload.objects.exists()
    assert files() == []


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OperationalError("no server")])
def test_what_the_disk_or_the_database_keeps_from_its_end_is_tried_again_until_it_expires(
    alice, wav, sweep, client, monkeypatch, files, error
):
    upload = begun_by(alice, wav)
    with locked(upload) as part:
        part.append(wav)

    def fail(*args):
        raise error

    def try_it():
        with monkeypatch.context() as patch:
            patch.setattr(intake, "probe", fail)
            try:
                sweep()
            except OperationalError:
                assert isinstance(error, OperationalError)

    make_old(upload, 1)
    try_it()
    assert ResumableUpload.objects.get() == upload
    make_old(upload, 25)
    try_it()
    assert not ResumableUpload.objects.exists()
    assert files() == []


def test_a_file_of_somebody_else_among_the_parts_does_not_stop_the_sweep(alice, wav, sweep, settings, files):
    upload = begun_by(alice, wav)
    make_old(upload, 25)
    foreign = settings.FILE_UPLOAD_TEMP_DIR / "tus" / ".nfs000000000001"
    foreign.touch()
    os.utime(foreign, (0, 0))
    ResumableUpload.objects.all().delete()
    sweep()
    assert files() == [str(foreign)]


def test_files_without_an_upload_are_removed(alice, wav, sweep, files):
    upload = begun_by(alice, wav)
    ResumableUpload.objects.all().delete()
    sweep()
    assert len(files()) == 2  # perhaps the row is just being made
    make_old(upload, 25)
    sweep()
    assert files() == []


def test_a_deleted_account_takes_its_uploads_with_it(alice, staff, wav, files):
    begun_by(alice, wav)
    admin = Client()
    admin.force_login(staff)
    admin.post(f"/admin/people_app/user/{alice.pk}/delete/", {"post": "yes"})
    assert not ResumableUpload.objects.exists()
    assert files() == []
