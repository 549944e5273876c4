from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from jobs_app.models import JobStatus
from tests.jobs.api.conftest import NOON

SUMMARY = "/api/job-history/stats/summary/"


def test_a_history_without_jobs_adds_up_to_nothing(api):
    answer = api.get(SUMMARY).json()
    days = answer.pop("last_30_days")
    assert answer == {
        "total": 0,
        "by_status": {"pending": 0, "processing": 0, "completed": 0, "failed": 0, "cancelled": 0},
        "total_audio_seconds": 0,
        "total_words": 0,
        "average_processing_seconds": None,
        "average_real_time_factor": None,
        "by_engine": {},
        "by_language": {},
    }
    assert len(days) == 30
    assert all((day["jobs"], day["audio_seconds"]) == (0, 0) for day in days)


def test_a_second_hearing_is_listed_and_adds_nothing_up(api, alice, new_job):
    new_job(alice, title="Asked for", duration_ms=1000, total_words=5)
    new_job(alice, title="Again", kind="refine", duration_ms=1000, total_words=6)
    answer = api.get(SUMMARY).json()
    assert (answer["total"], answer["total_words"], answer["total_audio_seconds"]) == (1, 5, 1)
    assert answer["by_engine"] == {"fake": 1}
    listed = {job["title"]: job["kind"] for job in api.get("/api/job-history/").json()["results"]}
    assert listed == {"Asked for": "run", "Again": "refine"}
    for kind, title in (("run", "Asked for"), ("refine", "Again")):
        found = api.get("/api/jobs/", {"kind": kind}).json()["results"]
        assert [job["title"] for job in found] == [title]
    assert api.get("/api/jobs/", {"kind": "other"}).status_code == 400


def test_the_summary_adds_up_what_was_done(api, alice, bob, new_job):
    new_job(
        alice,
        started_at=NOON,
        ended_at=NOON + timedelta(seconds=30),
        duration_ms=100_000,
        total_words=200,
        detected_language="en",
    )
    new_job(
        alice,
        started_at=NOON,
        ended_at=NOON + timedelta(seconds=10),
        duration_ms=300_500,
        total_words=50,
        language="de",
        engine="local",
    )
    new_job(
        alice, JobStatus.FAILED, started_at=NOON, duration_ms=999_000, language="de", detected_language="en"
    )
    new_job(alice, JobStatus.PENDING)
    new_job(bob, duration_ms=1000, total_words=5)

    answer = api.get(SUMMARY).json()

    assert answer["total"] == 4
    assert answer["by_status"] == {"pending": 1, "processing": 0, "completed": 2, "failed": 1, "cancelled": 0}
    assert answer["total_audio_seconds"] == 400.5
    assert answer["total_words"] == 250
    assert answer["average_processing_seconds"] == pytest.approx(20)
    assert answer["average_real_time_factor"] == pytest.approx(40 / 400.5)
    assert answer["by_engine"] == {"fake": 3, "local": 1}
    assert answer["by_language"] == {"en": 2, "de": 1}


def test_a_completed_job_without_audio_length_does_not_divide_by_zero(api, alice, new_job):
    new_job(alice, started_at=NOON, ended_at=NOON, duration_ms=0)
    answer = api.get(SUMMARY).json()
    assert (answer["average_processing_seconds"], answer["average_real_time_factor"]) == (0, None)


def test_every_one_of_the_last_30_days_is_there(api, alice, new_job):
    now = timezone.now()
    new_job(alice, created_at=now, duration_ms=1000)
    new_job(alice, JobStatus.PROCESSING, created_at=now, duration_ms=5000)
    new_job(alice, created_at=now - timedelta(days=29), duration_ms=2500)
    new_job(alice, created_at=now - timedelta(days=30))

    days = api.get(SUMMARY).json()["last_30_days"]

    today = now.astimezone(UTC).date()
    assert [day["date"] for day in days] == [str(today - timedelta(days=ago)) for ago in range(29, -1, -1)]
    assert days[0] == {"date": str(today - timedelta(days=29)), "jobs": 1, "audio_seconds": 2.5}
    assert days[-1] == {"date": str(today), "jobs": 2, "audio_seconds": 1.0}
    assert sum(day["jobs"] for day in days) == 3


def test_days_are_those_of_the_person_who_asks(api, alice, new_job, monkeypatch):
    # 20:00 UTC on March 1 is already March 2 in Tokyo.
    moment = datetime(2025, 3, 1, 20, tzinfo=UTC)
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
    new_job(alice, created_at=moment - timedelta(minutes=1))

    in_utc = api.get(SUMMARY).json()["last_30_days"][-1]
    api.cookies["timezone"] = "Asia/Tokyo"
    in_tokyo = api.get(SUMMARY).json()["last_30_days"][-1]

    assert (in_utc["date"], in_utc["jobs"]) == (str(date(2025, 3, 1)), 1)
    assert (in_tokyo["date"], in_tokyo["jobs"]) == (str(date(2025, 3, 2)), 1)


def test_the_summary_costs_the_same_queries_for_many_jobs(api, alice, new_job, django_assert_num_queries):
    for _ in range(10):
        new_job(alice, created_at=timezone.now())
    with django_assert_num_queries(6):  # one is the token
        assert api.get(SUMMARY).json()["total"] == 10
