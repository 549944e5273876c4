from __future__ import annotations

import pytest

from jobs_app.models import JobStatus
from jobs_app.models.transcripts import Segment, SegmentKind
from sessions_app.transcripts.formats import find_formats

SPOKEN = [(0, "Good morning.", "A"), (2000, "And <you>?", "B")]


@pytest.fixture
def talk(alice, new_job, add_segments):
    job = new_job(
        alice, duration_ms=65_000, detected_language="en", word_counts={"good": 1}, total_segments=3
    )
    add_segments(job, (61_000, "Fine.", "A"), number=1)
    add_segments(job, *SPOKEN)
    return job


def test_the_json_transcript_has_the_fields_of_the_contract(api, talk):
    answer = api.get(f"/api/jobs/{talk.pk}/transcript.json")
    assert answer["Content-Type"] == "application/json"
    transcript = answer.json()
    assert set(transcript) == {
        "id",
        "text",
        "language",
        "duration_ms",
        "speakers",
        "segments",
        "gaps",
        "warnings",
        "word_counts",
        "timing",
        "engines",
        "overlaps",
    }
    assert transcript["id"] == str(talk.pk)
    assert transcript["text"] == "Good morning. And <you>? Fine."
    assert (transcript["language"], transcript["duration_ms"]) == ("en", 65_000)
    assert transcript["speakers"] == [{"label": "A", "name": ""}, {"label": "B", "name": ""}]
    assert transcript["word_counts"] == {"good": 1}
    assert transcript["segments"][2] == {
        "id": Segment.objects.get(raw_text="Fine.").public_id,
        "start_ms": 61_000,
        "end_ms": 62_500,
        "text": "Fine.",
        "speaker": "A",
        "confidence": 0.9,
        "words": [{"start_ms": 61_000, "end_ms": 61_500, "word": "Fine.", "confidence": 0.9}],
    }


@pytest.mark.parametrize(
    ("ending", "content_type", "contains"),
    [
        ("txt", "text/plain; charset=utf-8", ["A: Good morning.\n", "B: And <you>?\n"]),
        ("srt", "application/x-subrip; charset=utf-8", ["1\n00:00:00,000 --> ", "00:01:01,000 --> "]),
        ("vtt", "text/vtt; charset=utf-8", ["WEBVTT\n", "<v B>And &lt;you&gt;?", "00:01:01.000 --> "]),
    ],
)
def test_the_transcript_as_text(api, talk, ending, content_type, contains):
    answer = api.get(f"/api/jobs/{talk.pk}/transcript.{ending}")
    assert (answer.status_code, answer["Content-Type"]) == (200, content_type)
    assert "Content-Disposition" not in answer
    for piece in contains:
        assert piece in answer.content.decode()


def test_a_format_is_not_refused_because_of_the_accept_header(api, talk):
    for accept in ("application/x-subrip", "text/html", "image/png"):
        answer = api.get(f"/api/jobs/{talk.pk}/transcript.srt", headers={"Accept": accept})
        assert answer.status_code == 200


def test_the_json_transcript_says_which_engines_did_it_and_how_fine_its_times_are(
    api, alice, new_job, add_segments
):
    job = new_job(alice, engine="groq", model="turbo", timing="segments")
    for number in range(4):
        add_segments(job, (number * 60_000, "Yes.", ""), number=number)
    job.windows.update(engine="groq", model="turbo")
    job.windows.filter(number=2).update(engine="local", model="base")
    # Nobody spoke in it, so no engine heard it.
    job.windows.filter(number=3).update(speech_ms=0)
    transcript = api.get(f"/api/jobs/{job.pk}/transcript.json").json()
    assert transcript["timing"] == "segments"
    assert transcript["engines"] == [
        {"engine": "groq", "model": "turbo", "windows": 2},
        {"engine": "local", "model": "base", "windows": 1},
    ]


@pytest.mark.parametrize(("ending", "queries"), [("json", 6), ("txt", 4), ("srt", 4), ("vtt", 4)])
def test_a_transcript_costs_few_queries(api, talk, ending, queries, django_assert_num_queries):
    # The token, the job, its edits, its segments; as JSON also its counts and its engines.
    with django_assert_num_queries(queries):
        api.get(f"/api/jobs/{talk.pk}/transcript.{ending}")


def test_silence_is_an_empty_transcript_and_not_an_error(api, alice, new_job):
    job = new_job(alice, duration_ms=1000)
    assert api.get(f"/api/jobs/{job.pk}/transcript.json").json()["segments"] == []
    for ending, content in (("txt", b""), ("srt", b""), ("vtt", b"WEBVTT\n")):
        answer = api.get(f"/api/jobs/{job.pk}/transcript.{ending}")
        assert (answer.status_code, answer.content) == (200, content)


def test_interim_segments_are_not_in_the_transcript(api, talk):
    talk.segments.filter(raw_text="Fine.").update(kind=SegmentKind.INTERIM)
    assert "Fine." not in api.get(f"/api/jobs/{talk.pk}/transcript.json").json()["text"]


@pytest.mark.parametrize("ending", find_formats())
@pytest.mark.parametrize("status", [s for s in JobStatus if s != JobStatus.COMPLETED])
def test_there_is_no_transcript_before_the_end(api, alice, new_job, add_segments, ending, status):
    job = new_job(alice, status)
    add_segments(job, *SPOKEN)
    answer = api.get(f"/api/jobs/{job.pk}/transcript.{ending}")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")


@pytest.mark.parametrize(
    ("title", "filename", "header"),
    [
        ("A talk", "", 'attachment; filename="A talk.srt"'),
        ("", "memo.final.wav", 'attachment; filename="memo.final.srt"'),
        ("", "", 'attachment; filename="transcript.srt"'),
        ("../../etc/passwd", "", 'attachment; filename="etc passwd.srt"'),
        ('a"b\r\nSet-Cookie: c', "", 'attachment; filename="a b Set-Cookie c.srt"'),
        ("Größe", "", "attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.srt"),
        ("..", "", 'attachment; filename="transcript.srt"'),
    ],
)
def test_a_download_is_named_like_the_recording(api, alice, new_job, title, filename, header):
    job = new_job(alice, title=title, filename=filename)
    answer = api.get(f"/api/jobs/{job.pk}/transcript.srt?download=1")
    assert answer["Content-Disposition"] == header
