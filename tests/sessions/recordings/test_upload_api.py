"""Uploads through the REST API."""

from __future__ import annotations

import shutil
import threading
from io import BytesIO
from types import SimpleNamespace

import pytest
from django.db import connection

from jobs_app.models import TranscriptionJob
from rest.throttling import UploadThrottle
from tests.sessions.arrival.test_upload_handler import no_file_larger_than
from tests.sessions.conftest import client_of, sound
from tests.sessions.uploads import SESSIONS, UPLOADS, nothing_is_left, refused, send

pytestmark = pytest.mark.django_db


def test_an_upload_is_answered_with_its_session_and_job(api, wav):
    response = send(api, wav, title="Interview", language="en", priority="low", prompt="names")
    assert response.status_code == 201
    session, job = response.data["session"], response.data["job"]
    assert set(session) == {
        "id", "title", "source", "state", "started_at", "finished_at", "duration_ms", "chunk_count", "job",
    }  # fmt: skip
    assert (session["title"], session["source"], session["state"]) == ("Interview", "upload", "processing")
    assert (session["duration_ms"], session["chunk_count"]) == (1000, 1)
    assert session["job"] == job
    assert session["started_at"] == session["finished_at"], "it is over as it begins"
    assert (job["status"], job["language"], job["priority"], job["engine"]) == (
        "pending",
        "en",
        "low",
        "fake",
    )
    assert (str(job["session"]), job["filename"]) == (session["id"], "talk.wav")
    assert TranscriptionJob.objects.get().options.prompt == "names"


@pytest.mark.parametrize(
    ("written", "language"),
    [("en-US", "en"), ("zh-Hant", "zh"), ("Portuguese", "pt"), ("auto", ""), ("", "")],
)
def test_a_language_may_be_written_as_people_do(api, wav, written, language):
    job = send(api, wav, language=written).data["job"]
    assert (job["language"], job["language_wish"]) == (language, written)


@pytest.mark.parametrize("option", ["language", "translate_to"])
def test_what_is_no_language_is_refused_by_name(api, wav, option):
    response = send(api, wav, **{option: "klingon"})
    assert response.status_code == 400
    assert "'klingon'" in response.data["fields"][option][0]
    assert not TranscriptionJob.objects.exists()


def test_the_session_cookie_works_with_a_csrf_token_and_not_without(alice, wav):
    from rest_framework.test import APIClient

    client = APIClient(enforce_csrf_checks=True)
    client.force_login(alice)
    assert refused(send(client, wav), 403, "permission_denied")
    client.cookies["csrftoken"] = "x" * 32
    client.credentials(HTTP_X_CSRFTOKEN="x" * 32)
    assert send(client, wav).status_code == 201


def test_someone_with_a_wrong_token_may_not_upload(client, wav, left_behind):
    response = client.post(UPLOADS, {"file": BytesIO(wav)}, headers={"Authorization": "Token wrong"})
    assert refused(response, 401, "authentication_failed")
    assert nothing_is_left(left_behind)


def test_an_upload_without_a_file_says_what_is_missing(api):
    response = api.post(UPLOADS, {"title": "Nothing"}, format="multipart")
    assert refused(response, 400, "invalid")
    assert list(response.data["fields"]) == ["file"]


def form_with(header: bytes) -> dict[str, object]:
    """A form with one part, as a client writes it that is not ours."""
    body = b"--x\r\nContent-Disposition: form-data; " + header + b"\r\n\r\nRIFF\r\n--x--\r\n"
    return {"data": body, "content_type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("header", "remedy"),
    [
        (b'name="file"', "has no file name"),
        (b'name="file"; filename=""', "has no file name"),
        (b'name="file"; filename="caf\xe9.wav"', "UTF-8"),
    ],
    ids=["no file name", "an empty file name", "a file name of Windows"],
)
def test_a_file_that_is_not_seen_as_one_is_told_why(api, header, remedy):
    for address in (UPLOADS, "/v1/audio/transcriptions"):
        response = api.generic("POST", address, **form_with(header))
        assert response.status_code == 400
        assert remedy in response.content.decode()


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("empty.wav", b"", 422, "unreadable_audio"),
        ("text.mp3", b"This is no music at all.\n" * 100, 415, "unsupported_media"),
        ("list.mp3", b"ffconcat version 1.0\nfile '/etc/passwd'\n", 415, "unsupported_media"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/x.ts\n", 415, "unsupported_media"),
        ("broken.flac", b"fLaC" + b"\x00" * 300, 422, "unreadable_audio"),
    ],
)
def test_what_is_not_audio_is_refused_and_forgotten(api, left_behind, name, content, status, code):
    assert refused(send(api, content, name), status, code)
    assert nothing_is_left(left_behind)


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("broken_text_named.mp3", 415, "unsupported_media"),
        ("broken_truncated_no_moov.mp4", 422, "unreadable_audio"),
    ],
)
def test_broken_recordings_are_refused_and_forgotten(api, recordings, left_behind, name, status, code):
    assert refused(send(api, (recordings / name).read_bytes(), name), status, code)
    assert nothing_is_left(left_behind)


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("en_jfk_11s.flac", "audio/flac"),
        ("en_two_cities_44s.m4a", "audio/mp4"),
        ("en_video_austen_28s.mp4", "video/mp4"),
        ("en_browser_chrome_test_3s.webm", "audio/webm"),
        ("music_synth_12s.ogg", "audio/ogg"),
        ("en_sonnet1_53s.mp3", "audio/mpeg"),
        ("silence_10s.wav", "audio/wav"),
    ],
)
def test_real_recordings_are_taken_and_served_as_what_they_are(api, recordings, name, kind):
    content = (recordings / name).read_bytes()
    response = send(api, content, name)
    assert response.status_code == 201
    audio = api.get(f"{SESSIONS}{response.data['session']['id']}/audio/")
    assert audio["Content-Type"] == kind
    assert audio.getvalue() == content


def test_a_video_without_sound_is_refused_and_forgotten(api, silent_video, left_behind):
    assert refused(send(api, silent_video, "holiday.mp4"), 422, "no_audio")
    assert nothing_is_left(left_behind)


def test_a_long_name_with_slashes_from_all_over_unicode_is_taken(api, wav):
    name = "ü/é語🎙\\" * 20 + "語" * 92 + ".wav"
    assert len(name) > 200
    response = send(api, wav, name)
    assert response.status_code == 201
    assert response.data["job"]["filename"] == "語" * 92 + ".wav"


def test_a_recording_over_the_longest_duration_is_refused(api, settings, left_behind):
    settings.MAX_AUDIO_S = 2
    assert refused(send(api, sound(3)), 422, "audio_too_long")
    assert nothing_is_left(left_behind)


def test_a_file_over_the_limit_is_refused_and_forgotten(api, settings, wav, left_behind):
    settings.MAX_UPLOAD_BYTES = len(wav) - 1
    assert refused(send(api, wav), 413, "file_too_large")
    assert nothing_is_left(left_behind)


def test_a_full_disk_is_said_to_be_full(api, left_behind):
    with no_file_larger_than(1024 * 1024):
        response = send(api, sound(60))
    assert refused(response, 507, "storage_full")
    assert nothing_is_left(left_behind)


def test_a_nearly_full_disk_is_said_to_be_full(api, wav, settings, monkeypatch, left_behind):
    settings.MIN_FREE_DISK_BYTES = 100
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=99))
    assert refused(send(api, wav), 507, "storage_full")
    assert nothing_is_left(left_behind)


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"engine": "crystal ball"}, 422, "not_supported"),
        ({"model": "enormous"}, 422, "not_supported"),
        ({"diarize": "true", "min_speakers": 3, "max_speakers": 2}, 422, "not_supported"),
        ({"fallback_engine": "crystal ball"}, 422, "not_supported"),
        ({"fallback_engine": "fake"}, 422, "not_supported"),
        ({"fallback_model": "base"}, 422, "not_supported"),
        ({"temperature": "nan"}, 400, "invalid"),
        ({"temperature": "1.1"}, 400, "invalid"),
        ({"temperature": "hot"}, 400, "invalid"),
        ({"priority": "now"}, 400, "invalid"),
        ({"num_speakers": "many"}, 400, "invalid"),
        ({"title": "x" * 201}, 400, "invalid"),
        ({"title": "a\x00b"}, 400, "invalid"),
    ],
)
def test_options_that_cannot_be_met_are_refused_at_once(api, wav, left_behind, options, status, code):
    assert refused(send(api, wav, **options), status, code)
    assert nothing_is_left(left_behind)


def test_a_body_that_is_no_form_is_refused(api):
    assert refused(api.post(UPLOADS, {"file": "x"}, format="json"), 415, "unsupported_media_type")


def test_a_form_field_that_is_too_large_is_no_bug(api, wav, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    response = send(api, wav, prompt="x" * 1001)
    assert response.status_code in (400, 413)
    assert response["Content-Type"] == "application/json"


def test_a_form_with_too_many_fields_is_told_the_limit(api, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 10
    response = api.post(UPLOADS, {f"field{n}": "x" for n in range(11)}, format="multipart")
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert "more than 10 fields" in response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("post", "/api/uploads", "/api/uploads/"),
        ("post", "/api/auth/token", "/api/auth/token/"),
        ("delete", "/api/jobs/00000000-0000-0000-0000-000000000000", None),
    ],
)
def test_a_missing_slash_is_named(api, method, path, right):
    response = getattr(api, method)(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert f" {right or f'{path}/'} " in response.json()["detail"]
    assert api.get("/api/jobs").url == "/api/jobs/"


def test_uploads_have_a_throttle_of_their_own(api, wav, monkeypatch):
    monkeypatch.setattr(UploadThrottle, "rate", "1/hour", raising=False)
    assert send(api, wav).status_code == 201
    response = send(api, wav)
    assert refused(response, 429, "throttled")
    assert int(response["Retry-After"]) > 0
    assert api.get(SESSIONS).status_code == 200


# --- Idempotency ---------------------------------------------------------------------------------


def test_a_repeated_upload_is_answered_as_the_first_time(api, wav, left_behind):
    first, files = send(api, wav, key="k", title="T"), left_behind()
    again = send(api, wav, key="k", title="T")
    assert (again.status_code, again.data) == (201, first.data)
    assert TranscriptionJob.objects.count() == 1
    assert left_behind() == files


@pytest.mark.parametrize("change", [{"title": "Other"}, {"language": "en"}])
def test_a_key_does_not_serve_for_other_options(api, wav, change):
    send(api, wav, key="k")
    assert refused(send(api, wav, key="k", **change), 422, "idempotency_mismatch")
    assert TranscriptionJob.objects.count() == 1


def test_a_key_does_not_serve_for_another_file(api, wav):
    send(api, wav, key="k")
    assert refused(send(api, sound(2), key="k"), 422, "idempotency_mismatch")


def test_a_key_belongs_to_its_user(api, bobs_api, wav):
    assert send(api, wav, key="k").data["job"]["id"] != send(bobs_api, wav, key="k").data["job"]["id"]


def test_without_a_key_each_upload_is_a_new_one(api, wav):
    assert send(api, wav).data["job"]["id"] != send(api, wav).data["job"]["id"]


def test_a_refused_upload_does_not_use_up_its_key(api, wav):
    assert send(api, b"", key="k").status_code == 422
    assert send(api, wav, key="k").status_code == 201


def test_a_key_that_is_too_long_is_refused(api, wav):
    assert refused(send(api, wav, key="k" * 201), 400, "invalid_idempotency_key")


@pytest.mark.django_db(transaction=True)
def test_of_equal_uploads_at_the_same_moment_one_is_stored(alice, wav, left_behind):
    answers = []
    start = threading.Barrier(4)

    def upload() -> None:
        client = client_of(alice)
        start.wait()
        try:
            answers.append(send(client, wav, key="k"))
        finally:
            connection.close()

    client_of(alice)
    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a.status_code for a in answers] == [201] * 4
    assert len({a.data["job"]["id"] for a in answers}) == 1
    assert len([path for path in left_behind() if path.endswith(".wav")]) == 1
