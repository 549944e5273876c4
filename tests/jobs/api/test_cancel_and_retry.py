"""A job is cancelled, or tried once more."""

from __future__ import annotations

import pytest

from jobs_app.models import JobStatus
from tests.job_rows import create_job


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.PROCESSING])
def test_a_job_under_way_can_be_cancelled(api, alice, new_job, status):
    job = new_job(alice, status)
    answer = api.post(f"/api/jobs/{job.pk}/cancel/")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED


def test_a_failed_job_can_be_retried(api, alice, new_job, wakes, django_capture_on_commit_callbacks):
    job = new_job(alice, JobStatus.FAILED, error_code="crashed", error="The worker stopped.")
    with django_capture_on_commit_callbacks(execute=True):
        answer = api.post(f"/api/jobs/{job.pk}/retry/")
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["attempt"], answer.json()["error_code"]) == (
        "pending",
        2,
        "",
    )
    assert wakes


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        ("cancel", JobStatus.COMPLETED),
        ("cancel", JobStatus.FAILED),
        ("cancel", JobStatus.CANCELLED),
        ("retry", JobStatus.PENDING),
        ("retry", JobStatus.PROCESSING),
        ("retry", JobStatus.COMPLETED),
        ("retry", JobStatus.CANCELLED),
    ],
)
def test_a_job_in_the_wrong_state_is_left_as_it_is(api, alice, new_job, verb, status):
    job = new_job(alice, status)
    answer = api.post(f"/api/jobs/{job.pk}/{verb}/")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
    job.refresh_from_db()
    assert job.status == status


def test_a_job_is_not_retried_beside_another_one_of_its_recording(api, alice, new_job):
    job = new_job(alice, JobStatus.FAILED)
    create_job(session=job.session, engine="fake", model="fake")
    answer = api.post(f"/api/jobs/{job.pk}/retry/")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
