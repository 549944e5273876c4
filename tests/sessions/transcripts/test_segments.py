"""A transcript in pieces, as the API gives it."""

from __future__ import annotations

from jobs_app.models import JobStatus


def test_segments_come_in_the_order_of_time_and_in_pages(
    api, alice, new_job, add_segments, django_assert_num_queries
):
    job = new_job(alice)
    add_segments(job, (60_000, "Third.", ""), number=1)
    add_segments(job, (0, "First.", "A"), (2000, "Second.", "B"))

    with django_assert_num_queries(5):  # the token, the job, the count, the page, its edits
        answer = api.get(f"/api/jobs/{job.pk}/segments/?page_size=2").json()

    assert answer["count"] == 3
    assert [segment["text"] for segment in answer["results"]] == ["First.", "Second."]
    assert api.get(answer["next"]).json()["results"] == [
        {
            "id": f"{job.pk}-0",
            "kind": "final",
            "start_ms": 60_000,
            "end_ms": 61_500,
            "text": "Third.",
            "raw_text": "Third.",
            "confidence": 0.9,
            "speaker": "",
            "words": [{"start_ms": 60_000, "end_ms": 60_500, "word": "Third.", "confidence": 0.9}],
        }
    ]


def test_segments_of_a_job_under_way_can_be_read_already(api, alice, new_job, add_segments):
    job = new_job(alice, JobStatus.PROCESSING)
    add_segments(job, (0, "First.", ""))
    assert api.get(f"/api/jobs/{job.pk}/segments/").json()["count"] == 1
