"""Beginning a recording through the REST API."""

from __future__ import annotations

import pytest

from sessions_app.models import RecordingSession
from tests.sessions.recording import SESSIONS, begin
from tests.sessions.uploads import refused

pytestmark = pytest.mark.django_db


def test_a_recording_begins_with_its_job(api, alice):
    session = begin(api, title="Interview", language="EN-gb", priority="high", source="recorder")
    assert (session["title"], session["source"], session["state"]) == ("Interview", "recorder", "recording")
    assert (session["finished_at"], session["duration_ms"], session["chunk_count"]) == (None, None, 0)
    job = session["job"]
    assert (job["status"], job["language"], job["priority"]) == ("pending", "en", "high")
    row = RecordingSession.objects.get()
    assert (str(row.pk), row.owner) == (session["id"], alice)
    assert row.jobs.get().interactive


def test_without_options_it_is_a_program_that_records(api):
    assert begin(api)["source"] == "api"


def test_a_form_may_begin_one_too(api):
    response = api.post(SESSIONS, {"title": "By form"}, format="multipart")
    assert (response.status_code, response.data["title"]) == (201, "By form")


@pytest.mark.parametrize(
    "options",
    [
        {"source": "upload"},
        {"source": "live"},
        {"title": "x" * 201},
        {"title": "a\x00b"},
        {"priority": "urgent"},
        {"num_speakers": 0},
    ],
)
def test_options_that_make_no_sense_are_refused(api, options):
    response = api.post(SESSIONS, options)
    assert refused(response, 400, "invalid")
    assert set(response.data["fields"]) == set(options)
    assert not RecordingSession.objects.exists()


def test_what_the_engine_cannot_do_is_said_before_the_recording(api):
    assert refused(api.post(SESSIONS, {"engine": "parrot"}), 422, "not_supported")
    assert not RecordingSession.objects.exists()


def test_a_repeated_beginning_is_the_same_recording(api):
    def again(**options):
        return api.post(SESSIONS, options, headers={"Idempotency-Key": "k"})

    first = again(title="A")
    assert again(title="A").data["id"] == first.data["id"]
    assert refused(again(title="B"), 422, "idempotency_mismatch")
    assert RecordingSession.objects.count() == 1


def test_strangers_begin_nothing(client):
    assert client.post(SESSIONS).status_code == 401
