"""Uploads and recordings through the REST API."""

from __future__ import annotations

import shutil
import threading
from datetime import timedelta
from io import BytesIO
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from jobs_app.lifecycle import cancel_job
from jobs_app.models import TranscriptionJob
from sessions_app.api import UploadThrottle
from sessions_app.models import AudioChunk, IdempotencyKey, RecordingSession, SessionSource
from tests.sessions.conftest import client_of, sound
from tests.sessions.test_upload_handler import no_file_larger_than

pytestmark = pytest.mark.django_db
UPLOADS = "/api/uploads/"
SESSIONS = "/api/sessions/"


def send(client, content: bytes, name: str = "talk.wav", *, key: str = "", **options):
    file = BytesIO(content)
    file.name = name
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(UPLOADS, {"file": file, **options}, format="multipart", headers=headers)


def refused(response, status: int, code: str) -> bool:
    """Whether it is the documented error, with a sentence."""
    assert (response.status_code, response.data["code"]) == (status, code), response.data
    return response.data["detail"].endswith((".", "`"))


def nothing_is_left(left_behind) -> bool:
    rows = any(m.objects.exists() for m in (RecordingSession, AudioChunk, TranscriptionJob, IdempotencyKey))
    return not rows and left_behind() == []


# --- Uploads -------------------------------------------------------------------------------------


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
    assert (job["status"], job["language"], job["priority"], job["engine"]) == (
        "pending",
        "en",
        "low",
        "fake",
    )
    assert (str(job["session"]), job["filename"]) == (session["id"], "talk.wav")
    assert TranscriptionJob.objects.get().prompt == "names"


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
        ({"diarize": "true"}, 422, "not_supported"),
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


# --- Recordings ----------------------------------------------------------------------------------


def make_session(owner, title: str = "", **columns) -> RecordingSession:
    columns = {"source": SessionSource.UPLOAD, "finished_at": timezone.now(), **columns}
    return RecordingSession.objects.create(owner=owner, title=title, **columns)


def titles(response) -> list[str]:
    assert response.status_code == 200, response.data
    return [session["title"] for session in response.data["results"]]


def test_recordings_are_listed_newest_first_with_their_newest_job(api, alice, stored_job):
    make_session(alice, "Older", started_at=timezone.now() - timedelta(days=1))
    response = api.get(SESSIONS)
    assert titles(response) == ["talk", "Older"]
    first, second = response.data["results"]
    assert first["job"]["id"] == str(stored_job.pk)
    assert (second["job"], second["duration_ms"], second["chunk_count"]) == (None, None, 0)
    assert response.data["count"] == 2


def test_a_list_costs_the_same_number_of_queries_however_long(api, alice, wav, django_assert_max_num_queries):
    for n in range(5):
        send(api, wav, f"{n}.wav")
    with django_assert_max_num_queries(5):  # the token with its user, the count, the page, the jobs
        assert len(titles(api.get(SESSIONS))) == 5


def test_someone_else_sees_nothing(bobs_api, stored_job):
    assert bobs_api.get(SESSIONS).data["count"] == 0
    url = f"{SESSIONS}{stored_job.session_id}/"
    assert refused(bobs_api.get(url), 404, "not_found")
    assert refused(bobs_api.patch(url, {"title": "Mine"}), 404, "not_found")
    assert refused(bobs_api.delete(url), 404, "not_found")
    assert refused(bobs_api.get(url + "audio/"), 404, "not_found")
    assert refused(bobs_api.post(url + "jobs/", {}), 404, "not_found")


def test_staff_do_not_see_the_recordings_of_others_here(staff, stored_job):
    assert refused(client_of(staff).get(f"{SESSIONS}{stored_job.session_id}/"), 404, "not_found")


@pytest.mark.parametrize("what", ["nonsense", "00000000-0000-0000-0000-000000000000", "a.b"])
def test_an_id_that_does_not_exist_is_not_found(api, what):
    response = api.get(f"{SESSIONS}{what}/")
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_nobody_in_particular_is_told_to_log_in(client, stored_job, method):
    response = getattr(client, method)(f"{SESSIONS}{stored_job.session_id}/")
    assert refused(response, 401, "not_authenticated")


def test_recordings_are_filtered_by_state(api, alice, stored_job):
    make_session(alice, "Recording", finished_at=None)
    assert titles(api.get(SESSIONS, {"state": "processing"})) == ["talk"]
    assert titles(api.get(SESSIONS, {"state": "recording"})) == ["Recording"]
    cancel_job(stored_job.pk)
    assert titles(api.get(SESSIONS, {"state": "cancelled"})) == ["talk"]
    assert titles(api.get(SESSIONS, {"state": "processing"})) == []


def test_recordings_are_filtered_by_source(api, alice, stored_job):
    make_session(alice, "Live", source=SessionSource.LIVE)
    assert titles(api.get(SESSIONS, {"source": "live"})) == ["Live"]


def test_recordings_are_filtered_by_time(api, alice):
    now = timezone.now()
    for days in (1, 2, 3):
        make_session(alice, str(days), started_at=now - timedelta(days=days))
    after = (now - timedelta(days=2, hours=1)).isoformat()
    before = (now - timedelta(days=1, hours=1)).isoformat()
    assert titles(api.get(SESSIONS, {"created_after": after})) == ["1", "2"]
    assert titles(api.get(SESSIONS, {"created_after": after, "created_before": before})) == ["2"]


@pytest.mark.parametrize("filters", [{"state": "lost"}, {"source": "dream"}, {"created_after": "yesterday"}])
def test_a_filter_that_makes_no_sense_is_refused(api, filters):
    response = api.get(SESSIONS, filters)
    assert refused(response, 400, "invalid")
    assert list(response.data["fields"]) == list(filters)


def test_recordings_are_found_by_title_file_name_and_transcript(api, alice, stored_job):
    make_session(alice, "Something else")
    TranscriptionJob.objects.update(transcript="The quick brown fox", filename="meeting.wav")
    for words in ("tal", "MEETING", "brown fox"):
        assert titles(api.get(SESSIONS, {"search": words})) == ["talk"]
    assert titles(api.get(SESSIONS, {"search": "zebra"})) == []


def test_words_that_are_found_in_several_jobs_show_a_recording_once(api, stored_job):
    cancel_job(stored_job.pk)
    assert api.post(f"{SESSIONS}{stored_job.session_id}/jobs/", {}).status_code == 201
    assert titles(api.get(SESSIONS, {"search": "talk"})) == ["talk"]


def test_a_recording_without_a_job_is_found_by_its_title(api, alice):
    make_session(alice, "Interview with Ada")
    assert titles(api.get(SESSIONS, {"search": "with ada"})) == ["Interview with Ada"]
    # A phrase, not words.
    assert titles(api.get(SESSIONS, {"search": "ada interview"})) == []


@pytest.mark.parametrize("words", ["x" * 201, "x" * 60_000, "x " * 20_000])
@pytest.mark.parametrize("path", [SESSIONS, "/api/jobs/", "/api/job-history/"])
def test_a_search_that_is_too_long_is_refused(api, stored_job, path, words):
    response = api.get(path, {"search": words})
    assert refused(response, 400, "invalid")
    assert list(response.data["fields"]) == ["search"]


def test_recordings_are_ordered_as_asked(api, alice):
    for title in ("b", "c", "a"):
        make_session(alice, title)
    assert titles(api.get(SESSIONS, {"ordering": "title"})) == ["a", "b", "c"]
    assert titles(api.get(SESSIONS, {"ordering": "-title"})) == ["c", "b", "a"]


def test_a_page_that_does_not_exist_is_not_found(api):
    assert refused(api.get(SESSIONS, {"page": "99999"}), 404, "not_found")


def test_a_recording_can_be_renamed(api, stored_job):
    response = api.patch(f"{SESSIONS}{stored_job.session_id}/", {"title": "Renamed", "source": "live"})
    assert (response.status_code, response.data["title"], response.data["source"]) == (
        200,
        "Renamed",
        "upload",
    )
    assert response.data["job"]["title"] == "Renamed"
    assert RecordingSession.objects.get().title == "Renamed"


def test_a_title_that_is_too_long_is_refused(api, stored_job):
    response = api.patch(f"{SESSIONS}{stored_job.session_id}/", {"title": "x" * 201})
    assert refused(response, 400, "invalid")


def test_malformed_json_is_refused(api, stored_job):
    url = f"{SESSIONS}{stored_job.session_id}/"
    for call, to in ((api.patch, url), (api.post, url + "jobs/")):
        response = call(to, '{"title": ', content_type="application/json")
        assert response.status_code == 400
        assert "JSON" in response.data["detail"]


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "3"])
def test_json_that_is_no_object_is_refused(api, stored_job, body):
    url = f"{SESSIONS}{stored_job.session_id}/"
    assert api.patch(url, body, content_type="application/json").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_a_recording_can_be_deleted(api, stored_job, left_behind):
    assert api.delete(f"{SESSIONS}{stored_job.session_id}/").status_code == 204
    assert not TranscriptionJob.objects.exists()
    assert [path for path in left_behind() if not path.endswith("audio")] == []


def test_a_recording_cannot_be_replaced(api, stored_job):
    assert refused(api.put(f"{SESSIONS}{stored_job.session_id}/", {}), 405, "method_not_allowed")


# --- Running again -------------------------------------------------------------------------------


def test_a_recording_can_be_transcribed_again(api, stored_job):
    cancel_job(stored_job.pk)
    url = f"{SESSIONS}{stored_job.session_id}/jobs/"
    response = api.post(url, {"language": "fr"})
    assert (response.status_code, response.data["language"]) == (201, "fr")
    assert (response.data["filename"], response.data["duration_ms"]) == ("talk.wav", 1000)
    assert TranscriptionJob.objects.count() == 2
    assert api.get(f"{SESSIONS}{stored_job.session_id}/").data["job"]["id"] == response.data["id"]


def test_a_recording_is_not_transcribed_twice_at_once(api, stored_job):
    response = api.post(f"{SESSIONS}{stored_job.session_id}/jobs/", {})
    assert refused(response, 409, "already_transcribing")
    assert TranscriptionJob.objects.count() == 1


def test_running_again_can_be_repeated_with_a_key(api, stored_job):
    cancel_job(stored_job.pk)
    url = f"{SESSIONS}{stored_job.session_id}/jobs/"
    first = api.post(url, {"language": "fr"}, headers={"Idempotency-Key": "k"})
    again = api.post(url, {"language": "fr"}, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.data["id"]) == (201, first.data["id"])
    other = api.post(url, {"language": "de"}, headers={"Idempotency-Key": "k"})
    assert refused(other, 422, "idempotency_mismatch")


def test_the_key_of_an_upload_does_not_serve_for_running_again(api, wav):
    session = send(api, wav, key="k").data["session"]["id"]
    response = api.post(f"{SESSIONS}{session}/jobs/", {}, headers={"Idempotency-Key": "k"})
    assert refused(response, 422, "idempotency_mismatch")


# --- Documents -----------------------------------------------------------------------------------


def test_the_openapi_document_describes_an_upload(api):
    response = api.get(reverse("schema"), {"format": "json"})
    post = response.json()["paths"][UPLOADS]["post"]
    body = post["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]
    fields = response.json()["components"]["schemas"][body]["properties"]
    assert fields["file"] == {"type": "string", "format": "binary", "description": "Audio or video."}
    assert set(post["responses"]) == {"201", "400", "413", "415", "422", "507"}
    assert "Idempotency-Key" in {parameter["name"] for parameter in post["parameters"]}


def test_names_survive_in_rfc_5987_form(api, wav):
    """Some clients write the name of a file in this form alone; the charset is whatever they claim."""
    for charset, expected in (("UTF-8", 201), ("no-such-charset", 400)):
        name = f"{charset}''{quote('é.wav')}"
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename*={name}\r\n\r\n'
        body = head.encode() + wav + b"\r\n--b--\r\n"
        response = api.post(UPLOADS, body, content_type="multipart/form-data; boundary=b")
        assert response.status_code == expected, response.data


@pytest.mark.parametrize(
    "query",
    [
        {"created_after": "0001-01-01T00:00:00+14:00"},
        {"created_before": "9999-12-31T23:59:59-12:00"},
        {"created_after": "yesterday"},
        {"ordering": "nonsense"},
    ],
)
def test_a_filter_that_cannot_be_used_is_named(api, query):
    answer = api.get(SESSIONS, query)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert list(answer.json()["fields"]) == list(query)


def test_times_are_in_utc_whatever_zone_the_pages_show(api, stored_job):
    api.cookies["timezone"] = "Asia/Tokyo"
    assert api.get(SESSIONS).json()["results"][0]["started_at"].endswith("Z")
