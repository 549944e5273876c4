"""Recordings through the REST API."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs_app.lifecycle.choices import cancel_job
from jobs_app.models import LongOptions, TranscriptionJob
from sessions_app.models import RecordingSession, SessionSource
from tests.job_rows import change_job
from tests.samples import run_again
from tests.sessions.conftest import client_of
from tests.sessions.uploads import SESSIONS, UPLOADS, refused, send

pytestmark = pytest.mark.django_db


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


def test_a_list_of_recordings_has_no_texts_and_reads_none(api, alice, stored_job, reads_no_texts):
    change_job(stored_job, transcript="The quick brown fox")
    LongOptions.objects.create(job=stored_job, texts={"prompt": "Reynard"})
    with reads_no_texts():
        [listed] = api.get(SESSIONS).json()["results"]
    one = api.get(f"{SESSIONS}{listed['id']}/").json()
    assert one["job"]["transcript"] == "The quick brown fox"
    texts = {"transcript", "original_text", "raw_text", "corrected_text", "word_counts"}
    reports = {"warnings", "audio_tracks"}  # Read from a column that is as large as the file is damaged.
    assert set(one["job"]) - set(listed["job"]) == texts | reports | {"correcting"}


@pytest.mark.parametrize("filters", [{"state": "lost"}, {"source": "dream"}, {"created_after": "yesterday"}])
def test_a_filter_that_makes_no_sense_is_refused(api, filters):
    response = api.get(SESSIONS, filters)
    assert refused(response, 400, "invalid")
    assert list(response.data["fields"]) == list(filters)


def test_recordings_are_found_by_title_file_name_and_transcript(api, alice, stored_job):
    make_session(alice, "Something else")
    change_job(TranscriptionJob.objects.get(), transcript="The quick brown fox", filename="meeting.wav")
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


def test_a_change_of_nothing_is_refused(api, stored_job):
    answer = api.patch(f"{SESSIONS}{stored_job.session_id}/", {"source": "live"})
    assert refused(answer, 400, "invalid")


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
    response = api.post(url, {"language": "fr-CA"})
    assert (response.status_code, response.data["language"]) == (201, "fr")
    assert response.data["language_wish"] == "fr-CA"
    assert (response.data["filename"], response.data["duration_ms"]) == ("talk.wav", 1000)
    assert TranscriptionJob.objects.count() == 2
    assert api.get(f"{SESSIONS}{stored_job.session_id}/").data["job"]["id"] == response.data["id"]


def test_a_recording_is_not_transcribed_twice_at_once(api, stored_job):
    response = api.post(f"{SESSIONS}{stored_job.session_id}/jobs/", {})
    assert refused(response, 409, "already_transcribing")
    assert TranscriptionJob.objects.count() == 1


def test_a_second_hearing_does_not_stand_in_the_way_of_a_run(api, stored_job):
    change_job(stored_job, status="completed", stage="ended", ended_at=timezone.now())
    refinement = run_again(stored_job.session, kind="refine")
    session = api.get(f"{SESSIONS}{stored_job.session_id}/").data
    assert (session["state"], session["job"]["id"]) == ("completed", str(stored_job.pk))
    assert session["job"]["kind"] == "run"
    response = api.post(f"{SESSIONS}{stored_job.session_id}/jobs/", {})
    assert (response.status_code, response.data["kind"]) == (201, "run")
    assert api.get(f"/api/jobs/{refinement.pk}/").data["status"] == "cancelled"


def test_a_recording_says_whether_it_is_to_be_heard_once_more(api, alice):
    assert api.post(SESSIONS, {}).data["job"]["refine"] is True
    assert api.post(SESSIONS, {"refine": False}).data["job"]["refine"] is False
    assert api.patch("/api/preferences/", {"defaults": {"refine": False}}).status_code == 200
    assert api.post(SESSIONS, {}).data["job"]["refine"] is False


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
