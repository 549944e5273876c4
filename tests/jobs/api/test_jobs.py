from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest

from jobs_app.models import JobStage, JobStatus, JobStep, StepKind, TranscriptionJob, WorkStatus
from jobs_app.models.transcripts import Segment
from tests.job_rows import create_job
from tests.jobs.api.conftest import NOON

FIELDS = [
    "id",
    "session",
    "title",
    "filename",
    "kind",
    "status",
    "progress",
    "stage",
    "engine",
    "model",
    "language",
    "detected_language",
    "language_confidence",
    "language_is_guess",
    "priority",
    "attempt",
    "duration_ms",
    "total_segments",
    "total_words",
    "average_confidence",
    "speech_span_ms",
    "speaking_ms",
    "n_speakers",
    "timing",
    "usage",
    "gaps",
    "error_code",
    "error",
    "created_at",
    "started_at",
    "completed_at",
]
OPTIONS = [
    "language_wish",
    "languages",
    "likely_languages",
    "fallback_engine",
    "fallback_model",
    "audio_track",
    "translated_to",
    "keep_original",
    "translator",
    "refine",
    "with_diarization",
    "num_speakers",
    "min_speakers",
    "max_speakers",
    "speaker_names",
    "temperature",
    "word_times",
]
TEXTS = [
    "audio_tracks",
    "warnings",
    "correcting",
    "word_counts",
    "transcript",
    "raw_text",
    "corrected_text",
    "original_text",
]


def titles(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [job["title"] for job in answer.json()["results"]]


# --- One job -------------------------------------------------------------------------------------


def test_a_job_has_the_fields_of_the_contract(api, alice, new_job):
    job = new_job(alice, duration_ms=5000, transcript="Hello.", word_counts={"hello": 1}, translate_to="en")

    answer = api.get(f"/api/jobs/{job.pk}/").json()

    assert list(answer) == FIELDS + TEXTS + OPTIONS
    assert answer["session"] == str(job.session_id)
    assert (answer["title"], answer["translated_to"], answer["word_counts"]) == ("A talk", "en", {"hello": 1})


@pytest.mark.parametrize("path", ["jobs", "job-history"])
def test_a_list_has_no_texts_and_reads_none(path, api, alice, new_job, reads_no_texts):
    job = new_job(alice, transcript="Hello.", raw_text="Helo.", word_counts={"hello": 1}, prompt="Names")
    with reads_no_texts():
        [listed] = api.get(f"/api/{path}/").json()["results"]
    assert list(listed) == FIELDS + OPTIONS
    assert list(api.get(f"/api/{path}/{job.pk}/").json()) == FIELDS + TEXTS + OPTIONS


def test_status_and_segments_read_no_texts_of_the_job(api, alice, new_job, reads_no_texts):
    job = new_job(alice, transcript="Hello.")
    for what in ("status", "segments"):
        with reads_no_texts():
            assert api.get(f"/api/jobs/{job.pk}/{what}/").status_code == 200


def test_a_job_says_what_it_took_of_other_servers(api, alice, new_job):
    job = new_job(
        alice,
        engine="groq",
        fallback_engine="local",
        fallback_model="base",
        timing="window",
        provider_requests=4,
        provider_audio_ms=90_500,
        provider_cost=Decimal("0.009050"),
    )
    answer = api.get(f"/api/jobs/{job.pk}/").json()
    assert (answer["engine"], answer["fallback_engine"], answer["fallback_model"]) == (
        "groq",
        "local",
        "base",
    )
    assert answer["timing"] == "window"
    assert answer["usage"] == {"requests": 4, "audio_seconds": 90.5, "translator_tokens": 0, "cost": 0.00905}
    assert [row["id"] for row in api.get("/api/jobs/?engine=groq").json()["results"]] == [str(job.pk)]
    assert api.get("/api/job-history/stats/summary/").json()["by_engine"] == {"groq": 1}


def test_moments_are_in_utc_wherever_the_reader_is(api, alice, new_job):
    job = new_job(alice)
    api.cookies["timezone"] = "Asia/Tokyo"
    assert api.get(f"/api/jobs/{job.pk}/").json()["created_at"] == "2025-03-01T12:00:00Z"
    assert api.get(f"/api/jobs/{job.pk}/status/").json()["created_at"] == "2025-03-01T12:00:00Z"


@pytest.mark.parametrize("base", ["jobs", "job-history"])
def test_a_removed_job_leaves_its_recording(api, alice, new_job, add_segments, base):
    job = new_job(alice, JobStatus.PROCESSING)
    add_segments(job, (0, "Hello.", ""))
    JobStep.objects.create(
        job=job,
        owner=alice,
        rank=0,
        queued_at=NOON,
        kind=StepKind.FINISH,
        status=WorkStatus.RUNNING,
        lease_token="t",
        lease_until=NOON,
    )

    assert api.delete(f"/api/{base}/{job.pk}/").status_code == 204

    assert not TranscriptionJob.objects.exists()
    assert not Segment.objects.exists()
    assert api.get(f"/api/{base}/{job.pk}/").status_code == 404
    assert type(job.session).objects.filter(pk=job.session_id).exists()


# --- Lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["jobs", "job-history"])
def test_a_list_costs_the_same_queries_for_one_job_and_for_many(
    api, alice, new_job, django_assert_num_queries, base
):
    for _ in range(12):
        new_job(alice)
    with django_assert_num_queries(3):  # the token, the count, the page
        answer = api.get(f"/api/{base}/").json()
    assert (answer["count"], len(answer["results"])) == (12, 12)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=failed", ["broken"]),
        ("engine=local", ["local"]),
        ("language=de", ["detected", "asked"]),
        ("language=de-AT", ["detected", "asked"]),
        ("language=German", ["detected", "asked"]),
        ("language=fr", []),
        ("language=auto", "all"),
        ("source=recorder", ["recorded"]),
        ("created_after=2025-03-01T12:00:30Z", ["later"]),
        ("created_after=2025-03-01T13:00:30%2B01:00", ["later"]),
        ("created_before=2025-02-28", ["earlier"]),
        ("created_before=2025-02-27T00:00:00Z", []),
        ("search=FOX", ["quick"]),
        ("search=broke", ["broken"]),
        ("search=memo.wav", ["recorded"]),
        ("search=100%25", ["percent"]),
        ("status=completed&source=recorder", ["recorded"]),
        ("status=", "all"),
    ],
)
def test_a_list_can_be_narrowed(api, alice, bob, new_job, query, found):
    new_job(alice, JobStatus.FAILED, title="broken")
    new_job(alice, title="local", engine="local")
    new_job(alice, title="asked", language="de")
    new_job(alice, title="detected", detected_language="de")
    new_job(alice, title="recorded", source="recorder", filename="memo.wav")
    new_job(alice, title="later", created_at=NOON + timedelta(minutes=1))
    new_job(alice, title="earlier", created_at=NOON - timedelta(days=2))
    new_job(alice, title="quick", transcript="The quick brown fox.")
    new_job(alice, title="percent", transcript="It is 100% sure.")
    new_job(bob, JobStatus.FAILED, title="fox broken", engine="local", language="de", source="recorder")

    answer = titles(api.get(f"/api/jobs/?{query}"))

    if found == "all":
        assert len(answer) == 9
    else:
        assert sorted(answer) == sorted(found)


@pytest.mark.parametrize(
    "query",
    [
        "status=nonsense",
        "source=nonsense",
        "created_after=yesterday",
        "created_after=0001-01-01T00:00:00%2B14:00",
        "created_before=9999-12-31T23:59:59-12:00",
        "created_before=2025-13-01",
        "ordering=owner",
        "ordering=session__owner__password",
        "search=%00",
        "engine=%00",
        "language=a%00",
        "language=klingon",
    ],
)
def test_a_filter_that_cannot_be_used_is_refused_with_its_name(api, new_job, alice, query):
    new_job(alice)
    answer = api.get(f"/api/jobs/?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert list(answer.json()["fields"]) == [query.partition("=")[0]]


def test_a_list_is_newest_first_unless_asked_otherwise(api, alice, new_job):
    new_job(alice, title="old", duration_ms=3)
    new_job(alice, title="new", created_at=NOON + timedelta(hours=1), duration_ms=1)
    new_job(alice, title="unknown", created_at=NOON - timedelta(hours=1), duration_ms=None)

    assert titles(api.get("/api/jobs/")) == ["new", "old", "unknown"]
    assert titles(api.get("/api/jobs/?ordering=created_at")) == ["unknown", "old", "new"]
    assert titles(api.get("/api/jobs/?ordering=duration_ms")) == ["new", "old", "unknown"]
    assert titles(api.get("/api/jobs/?ordering=-duration_ms")) == ["old", "new", "unknown"]
    assert titles(api.get("/api/jobs/?ordering=status,title")) == ["new", "old", "unknown"]


def test_pages_do_not_overlap_where_the_order_does_not_decide(api, alice, new_job):
    made = {str(new_job(alice).pk) for _ in range(7)}
    seen = []
    address = "/api/jobs/?page_size=3&ordering=status"
    while address:
        answer = api.get(address).json()
        seen += [job["id"] for job in answer["results"]]
        address = answer["next"]
    assert len(seen) == 7
    assert set(seen) == made


@pytest.mark.parametrize("page", ["99999", "0", "-1", "nonsense", "9" * 30])
def test_a_page_that_does_not_exist_is_not_found(api, alice, new_job, page):
    new_job(alice)
    answer = api.get(f"/api/jobs/?page={page}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_page_holds_at_most_a_hundred(api, alice, new_job):
    session = new_job(alice).session
    ended = {"status": "completed", "stage": "ended", "ended_at": NOON}
    for _ in range(100):
        create_job(session=session, engine="fake", model="fake", **ended)
    answer = api.get("/api/jobs/?page_size=5000").json()
    assert (answer["count"], len(answer["results"])) == (101, 100)


# --- Status --------------------------------------------------------------------------------------


def test_the_status_of_a_finished_job_costs_three_queries(api, alice, new_job, django_assert_num_queries):
    job = new_job(alice, progress=100)
    with django_assert_num_queries(3):  # the token, the job, its correction
        answer = api.get(f"/api/jobs/{job.pk}/status/")
    assert answer.json() == {
        "id": str(job.pk),
        "status": "completed",
        "progress": 100,
        "stage": "ended",
        "eta_seconds": None,
        "queue_position": None,
        "attempt": 1,
        "error_code": "",
        "error": "",
        "correcting": "",
        "telling_speakers": "",
        "created_at": "2025-03-01T12:00:00Z",
        "started_at": None,
        "completed_at": "2025-03-01T12:00:00Z",
    }


def test_the_status_of_a_waiting_job_says_its_place_with_four_queries(
    api, alice, bob, new_job, django_assert_num_queries
):
    jobs = [new_job(owner, JobStatus.PENDING, created_at=NOON) for owner in (bob, alice)]
    for minute, job in enumerate(jobs):
        JobStep.objects.create(
            job=job, owner=job.session.owner, rank=1, queued_at=NOON, kind=StepKind.PREPARE
        )
        moment = NOON + timedelta(minutes=minute)
        job.steps.update(queued_at=moment)
        TranscriptionJob.objects.filter(pk=job.pk).update(created_at=moment)
    with django_assert_num_queries(4):
        answer = api.get(f"/api/jobs/{jobs[1].pk}/status/")
    assert answer.json()["queue_position"] == 2


def test_the_status_is_not_sent_again_until_it_changes(api, alice, new_job):
    job = new_job(alice, JobStatus.PENDING)
    address = f"/api/jobs/{job.pk}/status/"
    etag = api.get(address)["ETag"]

    again = api.get(address, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)

    TranscriptionJob.objects.filter(pk=job.pk).update(stage=JobStage.PREPARING, progress=3)
    changed = api.get(address, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json()["progress"]) == (200, 3)
    assert changed["ETag"] != etag


def test_the_status_may_not_be_kept_by_a_proxy(api, alice, new_job):
    assert "private" in api.get(f"/api/jobs/{new_job(alice).pk}/status/")["Cache-Control"]


# --- Whose ---------------------------------------------------------------------------------------

ROUTES = [
    ("get", "/api/jobs/{}/"),
    ("delete", "/api/jobs/{}/"),
    ("get", "/api/jobs/{}/status/"),
    ("post", "/api/jobs/{}/cancel/"),
    ("post", "/api/jobs/{}/retry/"),
    ("get", "/api/jobs/{}/segments/"),
    ("get", "/api/jobs/{}/transcript.json"),
    ("get", "/api/jobs/{}/transcript.txt"),
    ("get", "/api/jobs/{}/transcript.srt"),
    ("get", "/api/jobs/{}/transcript.vtt"),
    ("get", "/api/job-history/{}/"),
    ("delete", "/api/job-history/{}/"),
]
LISTS = ["/api/jobs/", "/api/job-history/", "/api/job-history/stats/summary/", "/api/engines/"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.FAILED, JobStatus.COMPLETED])
def test_it_hides_other_peoples_jobs(client_of, alice, bob, staff, new_job, method, path, status):
    job = new_job(alice, status)
    for stranger in (bob, staff):
        answer = getattr(client_of(stranger), method)(path.format(job.pk))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    job.refresh_from_db()
    assert job.status == status


@pytest.mark.parametrize("id", [uuid.UUID(int=0), "nonsense", "1"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_job_that_never_was_is_not_found(api, method, path, id):
    answer = getattr(api, method)(path.format(id))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(("method", "path"), [*ROUTES, *(("get", path) for path in LISTS)])
def test_it_answers_nobody_without_a_name(client, alice, new_job, method, path):
    answer = getattr(client, method)(path.format(new_job(alice).pk))
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == "Bearer"


def test_lists_do_not_show_other_peoples_jobs(client_of, alice, bob, new_job):
    new_job(alice)
    for path in ("/api/jobs/", "/api/job-history/"):
        assert client_of(bob).get(path).json()["count"] == 0
    assert client_of(bob).get("/api/job-history/stats/summary/").json()["total"] == 0
