"""Resumable uploads, rule by rule of the protocol (https://tus.io/protocols/resumable-upload)."""

from __future__ import annotations

import hashlib
import shutil
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from jobs_app.models import TranscriptionJob
from sessions_app.arrival import intake
from sessions_app.models import AudioChunk, RecordingSession, ResumableUpload
from tests.sessions.conftest import sound
from tests.sessions.tus.client import MIB, UPLOADS, TusClient, assert_problem, begun_by, checksum, pairs

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(api) -> TusClient:
    return TusClient(api)


@pytest.fixture
def bobs(bobs_api) -> TusClient:
    return TusClient(bobs_api)


@pytest.fixture
def files(settings):
    """What there is of unfinished uploads."""

    def look() -> list[str]:
        return sorted(str(path) for path in settings.FILE_UPLOAD_TEMP_DIR.rglob("*") if path.is_file())

    return look


# --- OPTIONS -------------------------------------------------------------------------------------


def test_everybody_may_ask_what_the_server_can_do(db, settings):
    response = Client().options(UPLOADS)
    assert response.status_code == 204
    assert {name: response[name] for name in response.headers if name.startswith("Tus-")} == {
        "Tus-Resumable": "1.0.0",
        "Tus-Version": "1.0.0",
        "Tus-Extension": "creation,creation-with-upload,expiration,checksum,termination",
        "Tus-Max-Size": str(settings.MAX_UPLOAD_BYTES),
        "Tus-Checksum-Algorithm": "sha256,sha1,md5",
    }


# --- POST ----------------------------------------------------------------------------------------


def test_an_upload_begins_at_zero(client, wav):
    response = client.create(len(wav), metadata=pairs(filename="talk.wav"))
    assert response.status_code == 201
    assert response["Tus-Resumable"] == "1.0.0"
    upload = ResumableUpload.objects.get()
    assert response["Location"] == f"{UPLOADS}{upload.pk}/"
    assert client.offset(response["Location"]) == 0
    assert parsedate_to_datetime(response["Upload-Expires"]) - timezone.now() > timedelta(hours=23)


@pytest.mark.parametrize("length", [None, "", "-1", "1.5", "many", "9" * 19, "\uff11"])
def test_the_length_must_be_a_number(client, length):
    assert_problem(client.create(length), 400, "invalid_header")
    assert not ResumableUpload.objects.exists()


def test_a_length_that_is_told_later_is_not_taken(client):
    assert_problem(client.call("POST", UPLOADS, Upload_Defer_Length=1), 400, "not_supported")


def test_pieces_that_are_to_be_put_together_are_not_taken_for_recordings(client):
    assert_problem(client.create(5, Upload_Concat="partial"), 400, "not_supported")


def test_what_is_too_large_is_refused_before_it_is_sent(client, settings, files):
    assert_problem(client.create(settings.MAX_UPLOAD_BYTES + 1), 413, "file_too_large")
    assert files() == []


def test_what_does_not_fit_is_refused_before_it_is_sent(client, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10 * MIB))
    assert_problem(client.create(11 * MIB), 507, "storage_full")


@pytest.mark.parametrize(
    "metadata",
    [
        "name not-base64",
        "name dGFsa",
        "name dGFsaw==,name dGFsaw==",
        "name dGFsaw== dGFsaw==",
        "näme dGFsaw==",
        "name dGFsaw==,\r\n other dGFsaw==",
        "name dGFsaw==,\x85other dGFsaw==",
        "name //4=",
    ],
)
def test_metadata_that_cannot_be_read_is_refused(client, metadata):
    assert_problem(client.create(5, metadata=metadata), 400, "invalid_metadata")


@pytest.mark.parametrize(
    "metadata", ["is_confidential", "is_confidential ", "is_confidential,filename dGFsaw=="]
)
def test_metadata_without_a_value_or_unknown_is_kept(client, metadata):
    url = client.create(5, metadata=metadata)["Location"]
    assert client.head(url)["Upload-Metadata"] == metadata


def test_options_are_checked_before_anything_is_sent(client):
    assert_problem(client.create(5, metadata=pairs(engine="oracle")), 422, "not_supported")
    response = client.create(5, metadata=pairs(priority="now", num_speakers="0"))
    assert_problem(response, 400, "invalid")
    assert set(response.json()["fields"]) == {"priority", "num_speakers"}
    assert not ResumableUpload.objects.exists()


def test_nobody_fills_the_disk_with_beginnings(client, bobs, settings, wav):
    settings.TUS_MAX_UNFINISHED = 2
    first = client.begun(wav)
    client.begun(wav)
    assert_problem(client.create(5), 422, "too_many_unfinished")
    assert bobs.create(5).status_code == 201
    client.patch(first, 0, wav)
    assert client.create(5).status_code == 201


def test_the_whole_file_may_come_with_the_beginning(client, wav):
    response = client.create(len(wav), wav, metadata=pairs(filename="talk.wav"))
    assert response.status_code == 201
    assert response["Upload-Offset"] == str(len(wav))
    assert response["Upload-Job"] == str(TranscriptionJob.objects.get().pk)


def test_a_first_part_may_come_with_the_beginning(client, wav):
    response = client.create(len(wav), wav[:1000])
    assert (response.status_code, response["Upload-Offset"]) == (201, "1000")
    assert client.patch(response["Location"], 1000, wav[1000:]).status_code == 204


def test_a_beginning_that_is_refused_leaves_nothing(client, wav, files):
    assert_problem(client.create(5, b"123456"), 413, "upload_too_long")
    assert_problem(client.create(5, b"12345", Upload_Checksum="crc32 AAAA"), 400, "invalid_checksum")
    assert_problem(client.create(5, b"12345", kind="text/plain"), 415, "unsupported_media_type")
    assert not ResumableUpload.objects.exists()
    assert files() == []


def test_an_empty_file_is_complete_at_once_and_refused_like_every_empty_file(client, files):
    assert_problem(client.create(0), 422, "unreadable_audio")
    assert not ResumableUpload.objects.exists()
    assert files() == []


# --- HEAD ----------------------------------------------------------------------------------------


def test_head_tells_offset_length_and_metadata_and_is_not_cached(client, wav):
    metadata = pairs(filename="Gespräch.wav", title="Ein Gespräch")
    url = client.create(len(wav), metadata=metadata)["Location"]
    client.patch(url, 0, wav[:1000])
    response = client.head(url)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert (response["Upload-Offset"], response["Upload-Length"]) == ("1000", str(len(wav)))
    assert response["Upload-Metadata"] == metadata
    assert "Upload-Job" not in response


@pytest.mark.parametrize("name", ["00000000-0000-4000-8000-000000000000", "no-id"])
def test_what_is_not_there_has_no_offset(client, name):
    for method in ("HEAD", "PATCH", "DELETE"):
        response = client.call(method, f"{UPLOADS}{name}/", Upload_Offset=0)
        assert response.status_code == 404
        assert response["Tus-Resumable"] == "1.0.0"
        assert "Upload-Offset" not in response


def test_what_belongs_to_someone_else_is_not_there(client, bobs, wav):
    url = client.begun(wav)
    assert bobs.head(url).status_code == 404
    assert bobs.patch(url, 0, wav).status_code == 404
    assert bobs.call("DELETE", url).status_code == 404
    assert client.offset(url) == 0


# --- PATCH ---------------------------------------------------------------------------------------


def test_parts_become_a_recording_and_a_job(client, alice, settings):
    content = sound(20)
    url = client.begun(
        content, filename="C:\\talks\\first.wav", language="de-CH", prompt="Ada", priority="high"
    )
    for at in range(0, len(content), 100_000):
        response = client.patch(url, at, content[at : at + 100_000])
        assert response.status_code == 204, response.content
        assert response["Upload-Offset"] == str(min(at + 100_000, len(content)))
        assert "Upload-Expires" in response
    job = TranscriptionJob.objects.get()
    assert (response["Upload-Job"], response["Upload-Session"]) == (str(job.pk), str(job.session_id))
    assert (job.engine, job.language, job.options.prompt, job.priority) == ("fake", "de", "Ada", "high")
    assert job.session.owner == alice
    assert (job.session.title, job.session.source) == ("first", "upload")
    chunk = AudioChunk.objects.get()
    assert chunk.file.read() == content
    assert (chunk.sha256, chunk.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (chunk.filename, chunk.container) == ("first.wav", "wav")


def test_the_file_is_moved_not_copied(client, settings, wav, files):
    url = client.begun(wav)
    client.patch(url, 0, wav[:-1])
    part = next(Path(name) for name in files() if name.endswith(".part"))
    number = part.stat().st_ino
    client.patch(url, len(wav) - 1, wav[-1:])
    assert Path(AudioChunk.objects.get().file.path).stat().st_ino == number
    assert files() == []


@pytest.mark.parametrize("name", ["", "..", "/", "a/b/", "\n", "x" * 3000])
def test_any_file_name_will_do(client, wav, name):
    assert client.patch(client.begun(wav, filename=name), 0, wav).status_code == 204


def test_a_title_counts_more_than_the_file_name(client, wav):
    client.patch(client.begun(wav, filename="talk.wav", title="Our talk"), 0, wav)
    assert RecordingSession.objects.get().title == "Our talk"


@pytest.mark.parametrize("at", [0, 999, 1001, 10**17])
def test_a_wrong_offset_changes_nothing(client, wav, at):
    url = client.begun(wav)
    client.patch(url, 0, wav[:1000])
    assert_problem(client.patch(url, at, wav[1000:2000] if at < len(wav) else b""), 409, "offset_conflict")
    assert client.offset(url) == 1000


@pytest.mark.parametrize("at", [None, "-1", "x"])
def test_the_offset_must_be_a_number(client, wav, at):
    assert_problem(client.patch(client.begun(wav), at, wav), 400, "invalid_header")


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", ""])
def test_a_part_of_another_type_is_refused(client, wav, kind):
    url = client.begun(wav)
    assert_problem(client.patch(url, 0, wav, kind=kind), 415, "unsupported_media_type")
    assert client.offset(url) == 0


def test_more_than_was_announced_is_refused(client, wav):
    url = client.begun(wav)
    assert_problem(client.patch(url, 0, wav + b"x"), 413, "upload_too_long")
    assert client.offset(url) == 0
    assert client.patch(url, 0, wav).status_code == 204


def test_an_empty_part_changes_nothing(client, wav):
    url = client.begun(wav)
    assert client.patch(url, 0, b"")["Upload-Offset"] == "0"


def test_the_last_answer_can_be_asked_for_again(client, wav):
    url = client.begun(wav)
    answer = client.patch(url, 0, wav)
    for again in (client.head(url), client.patch(url, len(wav), b"")):
        assert again["Upload-Offset"] == str(len(wav))
        assert again["Upload-Job"] == answer["Upload-Job"]
        assert again["Upload-Session"] == answer["Upload-Session"]
    assert_problem(client.patch(url, 0, wav), 409, "offset_conflict")
    assert TranscriptionJob.objects.count() == 1


def test_an_upload_of_a_deleted_recording_is_gone(client, wav):
    url = client.begun(wav)
    client.patch(url, 0, wav)
    intake.delete_session(RecordingSession.objects.get())
    assert client.head(url).status_code == 404


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"%PDF-1.7 " * 100, 415, "unsupported_media"),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", 422, "unreadable_audio"),
    ],
)
def test_a_file_that_is_no_audio_is_refused_and_removed(client, files, content, status, code):
    url = client.begun(content)
    assert_problem(client.patch(url, 0, content), status, code)
    assert client.head(url).status_code == 404
    assert files() == []
    assert not RecordingSession.objects.exists()


# --- Versions, methods, people -------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_another_version_is_refused_and_nothing_done(client, wav, method, version):
    url = client.begun(wav)
    path = UPLOADS if method == "POST" else url
    response = client.call(method, path, b"", Tus_Resumable=version, Upload_Length=len(wav), Upload_Offset=0)
    assert response.status_code == 412
    assert (response["Tus-Version"], response["Tus-Resumable"]) == ("1.0.0", "1.0.0")
    assert ResumableUpload.objects.count() == 1


def test_the_method_may_stand_in_a_header(client, wav):
    url = client.begun(wav)
    response = client.call("POST", url, wav[:10], Upload_Offset=0, X_HTTP_Method_Override="PATCH")
    assert (response.status_code, response["Upload-Offset"]) == (204, "10")
    assert client.call("POST", url, X_HTTP_Method_Override="HEAD")["Upload-Offset"] == "10"
    assert client.call("POST", url, X_HTTP_Method_Override="DELETE").status_code == 204
    assert not ResumableUpload.objects.exists()


def test_strangers_are_sent_away(wav, client):
    url = client.begun(wav)
    stranger = TusClient(APIClient())
    assert_problem(stranger.create(5), 401, "not_authenticated")
    assert_problem(stranger.patch(url, 0, wav), 401, "not_authenticated")
    assert stranger.head(url).status_code == 401
    assert client.offset(url) == 0


def test_a_browser_needs_the_csrf_token(alice, wav):
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(alice)
    client = TusClient(browser)
    assert client.create(len(wav)).status_code == 403
    browser.get("/upload/")
    token = browser.cookies["csrftoken"].value
    url = client.create(len(wav), X_CSRFToken=token)["Location"]
    assert client.patch(url, 0, wav).status_code == 403
    assert client.call("POST", url, wav, Upload_Offset=0, X_HTTP_Method_Override="PATCH").status_code == 403
    assert client.patch(url, 0, wav, X_CSRFToken=token).status_code == 204


def test_a_browser_may_send_the_first_part_with_the_beginning(alice, wav):
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(alice)
    client = TusClient(browser)
    assert client.create(len(wav), wav).status_code == 403
    browser.get("/upload/")
    response = client.create(len(wav), wav, X_CSRFToken=browser.cookies["csrftoken"].value)
    assert (response.status_code, response["Upload-Offset"]) == (201, str(len(wav)))
    assert AudioChunk.objects.get().file.read() == wav


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_no_harmless_method_gets_a_harmful_one_around_the_csrf_token(alice, wav, method):
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(alice)
    url = f"{UPLOADS}{begun_by(alice, wav).pk}/"
    response = TusClient(browser).call(method, url, X_HTTP_Method_Override="DELETE")
    assert response.status_code == 403
    assert ResumableUpload.objects.exists()


def test_beginning_is_throttled_as_uploads_are_and_going_on_is_not(client, wav, settings, monkeypatch):
    rates = {**settings.THROTTLE_RATES, "upload": "2/hour"}
    monkeypatch.setattr("rest_framework.throttling.SimpleRateThrottle.THROTTLE_RATES", rates)
    url = client.begun(wav)
    client.begun(wav)
    response = client.create(5)
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0
    for at in range(20):
        assert client.patch(url, at, wav[at : at + 1]).status_code == 204


# --- Checksums -----------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_a_part_that_is_what_was_sent_is_taken(client, wav, algorithm, files):
    url = client.begun(wav)
    part = wav[:3000]
    assert client.patch(url, 0, part, Upload_Checksum=checksum(algorithm, part)).status_code == 204
    assert client.offset(url) == 3000
    assert len(files()) == 2


def test_the_example_of_the_protocol_is_right(client):
    url = client.begun(b"hello world, and more")
    given = "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="
    assert client.patch(url, 0, b"hello world", Upload_Checksum=given)["Upload-Offset"] == "11"


def test_a_part_that_is_not_what_was_sent_is_thrown_away(client, wav, files):
    url = client.begun(wav)
    response = client.patch(url, 0, wav, Upload_Checksum=checksum("sha1", wav[:-1] + b"\0"))
    assert_problem(response, 460, "checksum_mismatch")
    assert client.offset(url) == 0
    assert len(files()) == 2
    assert client.patch(url, 0, wav, Upload_Checksum=checksum("sha1", wav)).status_code == 204


@pytest.mark.parametrize(
    "given", ["crc32 AAAA", "sha1", "sha1 x", "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha1 é", ""]
)
def test_a_checksum_that_cannot_be_checked_is_refused(client, wav, given):
    url = client.begun(wav)
    response = client.patch(url, 0, wav, Upload_Checksum=given)
    assert response.status_code in (400, 460)
    assert client.offset(url) == 0


# --- DELETE --------------------------------------------------------------------------------------


def test_an_upload_that_is_given_up_leaves_nothing(client, wav, files):
    url = client.begun(wav)
    client.patch(url, 0, wav[:1000])
    response = client.call("DELETE", url)
    assert (response.status_code, response["Tus-Resumable"]) == (204, "1.0.0")
    assert client.head(url).status_code == 404
    assert client.patch(url, 1000, wav[1000:]).status_code == 404
    assert files() == []


def test_giving_up_an_upload_that_is_done_leaves_the_recording(client, wav):
    url = client.begun(wav)
    client.patch(url, 0, wav)
    assert client.call("DELETE", url).status_code == 204
    assert client.head(url).status_code == 404
    assert TranscriptionJob.objects.get().session.chunks.count() == 1
