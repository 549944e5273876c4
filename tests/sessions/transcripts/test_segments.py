"""A transcript in pieces, as the API gives it."""

from __future__ import annotations

from jobs_app.models import JobStatus, LiveText
from sessions_app.transcripts.reading import read


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
            "original": "",
            "raw_text": "Third.",
            "confidence": 0.9,
            "speaker": "",
            "language": "",
            "words": [{"start_ms": 60_000, "end_ms": 60_500, "word": "Third.", "confidence": 0.9}],
        }
    ]


def test_segments_of_a_job_under_way_can_be_read_already(api, alice, new_job, add_segments):
    job = new_job(alice, JobStatus.PROCESSING)
    add_segments(job, (0, "First.", ""))
    assert api.get(f"/api/jobs/{job.pk}/segments/").json()["count"] == 1


def final(number: int, start_ms: int, text: str) -> dict:
    return {
        "number": number,
        "start_ms": start_ms,
        "end_ms": start_ms + 1500,
        "text": text,
        "confidence": 0.8,
        "cut_ms": start_ms + 1500,
        "raw_text": text.upper(),
        "raw_words": "",
        "corrected_text": text,
        "corrected_words": None,
        "language": "en",
        "language_confidence": 1.0,
    }


def test_what_was_heard_live_follows_the_segments(api, alice, new_job, add_segments):
    job = new_job(alice, JobStatus.PROCESSING)
    add_segments(job, (0, "First.", ""), (2000, "Second.", ""))
    LiveText.objects.create(
        job=job,
        # The second one has just become a segment.
        finals=[final(1, 2000, "Second."), final(2, 4000, "Third."), final(3, 6000, "Fourth.")],
    )
    answer = api.get(f"/api/jobs/{job.pk}/segments/?page_size=3").json()
    assert answer["count"] == 4
    texts = [segment["text"] for segment in answer["results"]]
    rest = api.get(answer["next"]).json()["results"]
    assert [*texts, rest[0]["text"]] == ["First.", "Second.", "Third.", "Fourth."]
    assert rest == [
        {
            "id": f"{job.pk}-3",
            "kind": "final",
            "start_ms": 6000,
            "end_ms": 7500,
            "text": "Fourth.",
            "original": "",
            "raw_text": "FOURTH.",
            "confidence": 0.8,
            "speaker": "",
            "language": "en",
            "words": [],
        }
    ]
    read_segments = list(read(job).segments())
    assert [segment.text for segment in read_segments] == ["First.", "Second.", "Third.", "Fourth."]
    assert read_segments[-1].id == rest[0]["id"]
