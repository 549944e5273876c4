"""Which job of a recording is its transcript, as a program chooses it."""

from __future__ import annotations

import uuid

import pytest

from jobs_app.models import JobKind, TranscriptionJob
from people_app.models import ApiToken, TokenRights
from sessions_app.models import RecordingSession
from tests.samples import completed_job, run_again
from tests.sessions.uploads import SESSIONS, refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(alice) -> TranscriptionJob:
    return completed_job(alice)


@pytest.fixture
def offered(job) -> TranscriptionJob:
    """A second hearing that has not taken the place."""
    session = RecordingSession.objects.get(pk=job.session_id)
    return run_again(session, kind=JobKind.REFINE, status="completed", stage="ended")


def choose(api, job: TranscriptionJob, chosen: object, **more: str):
    return api.patch(f"{SESSIONS}{job.session_id}/", {"current_job": str(chosen), **more})


def current(job: TranscriptionJob) -> uuid.UUID | None:
    return RecordingSession.objects.get(pk=job.session_id).current_job_id


def test_a_second_hearing_becomes_the_transcript_and_the_first_one_again(api, job, offered):
    RecordingSession.objects.filter(pk=job.session_id).update(current_job=job)
    answer = choose(api, job, offered.pk, title="Both")
    assert (answer.status_code, answer.data["title"]) == (200, "Both")
    assert answer.data["job"]["id"] == str(offered.pk)
    assert choose(api, job, job.pk).data["job"]["id"] == str(job.pk)
    assert current(job) == job.pk
    assert TranscriptionJob.objects.filter(pk=offered.pk).exists()


def test_only_a_job_of_the_recording_can_be_its_transcript(api, alice, bob, job):
    for other in (completed_job(alice).pk, completed_job(bob).pk, uuid.uuid4(), "nonsense"):
        answer = choose(api, job, other, title="Renamed")
        assert refused(answer, 400, "invalid")
        assert list(answer.data["fields"]) == ["current_job"]
    session = RecordingSession.objects.get(pk=job.session_id)
    assert (session.current_job_id, session.title) == (job.pk, "A talk")


@pytest.mark.parametrize("status", ["pending", "processing", "failed", "cancelled"])
def test_a_job_that_has_not_completed_is_refused(api, job, status):
    session = RecordingSession.objects.get(pk=job.session_id)
    error = "crashed" if status == "failed" else ""
    other = run_again(session, kind=JobKind.REFINE, status=status, error_code=error)
    assert refused(choose(api, job, other.pk), 409, "wrong_state")
    assert current(job) == job.pk


def test_the_recording_of_somebody_else_is_not_found(bobs_api, job, offered):
    before = current(job)
    assert refused(choose(bobs_api, job, offered.pk), 404, "not_found")
    assert current(job) == before


def test_a_token_that_only_sends_chooses_nothing(client, alice, job, offered):
    before = current(job)
    key = ApiToken.objects.issue(alice, rights=TokenRights.SEND).key
    url = f"{SESSIONS}{job.session_id}/"
    headers = {"Authorization": f"Bearer {key}"}
    sent = {"content_type": "application/json", "headers": headers}
    assert refused(client.patch(url, {"current_job": str(offered.pk)}, **sent), 403, "token_rights")
    assert current(job) == before
    assert client.patch(url, {"title": "Renamed"}, **sent).status_code == 200
