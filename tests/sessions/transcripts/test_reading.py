"""A person's text wins over corrections and over what the engine said, wherever the transcript is read."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs_app.models import JobStatus
from jobs_app.models.transcripts import Segment, SegmentKind
from sessions_app.models.edits import Edit, EditKind
from sessions_app.openai.answers import FORMATS, Wanted, answer
from sessions_app.transcripts.formats import find_formats
from sessions_app.transcripts.reading import READ_WITH, read, segments_of
from tests.jobs.api.conftest import NOON
from tests.samples import words_on

TYPED = "Good afternoon, Zoë."
FORGOTTEN = ("Helo", "Hullo", "Goodbye")
"""What the engine said, what it was corrected to, and what somebody typed first."""


def edit(job, number, value, *, kind=EditKind.TEXT, **columns) -> Edit:
    return Edit.objects.create(job=job, segment_number=number, kind=kind, value=value, **columns)


@pytest.fixture
def talk(alice, new_job, add_segments):
    """Of three segments the first was corrected, and then changed by a person, twice."""
    job = new_job(
        alice,
        duration_ms=9000,
        transcript="Hullo there. How are you? Fine.",
        raw_text="Helo there. How are you? Fine.",
        total_segments=3,
        detected_language="en",
    )
    add_segments(job, (0, "Helo there.", "A"), (2000, "How are you?", "A"), (4000, "Fine.", "A"))
    job.segments.filter(number=0).update(corrected_text="Hullo there.")
    edit(job, 0, TYPED, supersedes=edit(job, 0, "Goodbye."))
    return job


@pytest.fixture
def read_at(api, client, alice):
    """What a door gives of a job to read."""

    def ask(door: str, job) -> str:
        if door == "page":
            client.force_login(alice)
            return words_on(client.get(f"/jobs/{job.pk}/"))
        if door.startswith("v1 "):
            return answer(job.pk, Wanted(response_format=door[3:])).content.decode()
        path = door.format(job=job.pk, session=job.session_id)
        response = api.get(f"/api/{path}")
        assert response.status_code == 200
        return response.content.decode()

    return ask


DOORS = [
    *(
        f"jobs/{{job}}/transcript.{ending}"
        for ending, format in find_formats().items()
        if not format.of_speakers
    ),
    *("jobs/{job}/segments/", "jobs/{job}/", "job-history/{job}/"),
    *("sessions/{session}/", "sessions/{session}/text/?end_ms=9000"),
    *(f"v1 {name}" for name in FORMATS),
    "page",
]


@pytest.mark.parametrize("door", DOORS)
def test_every_door_gives_the_text_that_a_person_typed(read_at, talk, door):
    talk.windows.update(end_ms=9000)
    said = read_at(door, talk)
    # The line of a caption may end within it.
    assert TYPED in " ".join(said.split())
    for word in FORGOTTEN:
        # Beside it the API tells what the engine said.
        assert word not in said.replace('"raw_text":"Helo there.', "")


@pytest.mark.parametrize("door", DOORS)
def test_every_door_gives_the_corrected_text_again_when_an_edit_is_taken_back(read_at, talk, door):
    talk.windows.update(end_ms=9000)
    edit(talk, 0, None, supersedes=Edit.objects.get(value=TYPED))
    said = " ".join(read_at(door, talk).split())
    assert "Hullo there." in said
    assert "Zoë" not in said and "Goodbye" not in said


def test_the_api_gives_an_edited_segment_with_all_its_fields(api, talk):
    first, *_ = api.get(f"/api/jobs/{talk.pk}/segments/").json()["results"]
    assert first == {
        "id": f"{talk.pk}-0",
        "kind": "final",
        "start_ms": 0,
        "end_ms": 1500,
        "text": TYPED,
        "original": "",
        "raw_text": "Helo there.",
        "confidence": 0.9,
        "speaker": "A",
        "language": "",
        "words": [
            {"start_ms": 0, "end_ms": 111, "word": "Good", "confidence": None},
            {"start_ms": 111, "end_ms": 388, "word": "afternoon,", "confidence": None},
            {"start_ms": 388, "end_ms": 500, "word": "Zoë.", "confidence": None},
        ],
    }
    in_file = api.get(f"/api/jobs/{talk.pk}/transcript.json").json()["segments"][0]
    assert in_file == {name: first[name] for name in first if name not in ("kind", "original", "raw_text")}


def test_an_answer_in_openais_form_has_the_words_of_the_edited_text(talk):
    wanted = Wanted(response_format="verbose_json", granularities=("word",))
    words = json.loads(answer(talk.pk, wanted).content)["words"]
    assert [word["word"] for word in words][:3] == TYPED.split()


def test_a_person_says_who_spoke(api, client, alice, talk):
    edit(talk, 1, "Ben", kind=EditKind.SPEAKER)
    transcript = api.get(f"/api/jobs/{talk.pk}/transcript.json").json()
    assert [segment["speaker"] for segment in transcript["segments"]] == ["A", "Ben", "A"]
    assert [speaker["label"] for speaker in transcript["speakers"]] == ["A", "Ben"]
    for ending, said in (
        ("txt", "\n\nBen: How are you?\n\nA: Fine."),
        ("srt", "\nBen: How are you?\n"),
        ("vtt", "\n<v Ben>How are you?\n"),
    ):
        assert said in api.get(f"/api/jobs/{talk.pk}/transcript.{ending}").content.decode()
    assert [s["speaker"] for s in api.get(f"/api/jobs/{talk.pk}/segments/").json()["results"]][1] == "Ben"
    client.force_login(alice)
    assert "Ben: How are you?" in words_on(client.get(f"/jobs/{talk.pk}/"))


def test_a_person_begins_a_paragraph(client, alice, talk):
    edit(talk, 1, True, kind=EditKind.BREAK)
    client.force_login(alice)
    page = client.get(f"/jobs/{talk.pk}/").content.decode()
    assert page.count('class="paragraph"') == 2


def test_a_segment_whose_text_a_person_deleted_is_not_in_texts_but_keeps_its_place(api, talk):
    edit(talk, 1, "", kind=EditKind.TEXT)
    transcript = api.get(f"/api/jobs/{talk.pk}/transcript.json").json()
    assert transcript["text"] == f"{TYPED} Fine."
    assert transcript["segments"][1]["text"] == ""
    assert transcript["segments"][1]["words"] == []
    assert api.get(f"/api/jobs/{talk.pk}/transcript.txt").content.decode() == f"A: {TYPED}\n\nFine.\n"
    assert api.get(f"/api/jobs/{talk.pk}/").json()["transcript"] == f"{TYPED} Fine."


def test_an_edit_of_a_segment_that_is_gone_changes_nothing(api, alice, new_job, add_segments):
    job = new_job(alice, transcript="Hello.")
    add_segments(job, (0, "Hello.", ""))
    edit(job, 7, "Who?")
    assert api.get(f"/api/jobs/{job.pk}/").json()["transcript"] == "Hello."
    assert api.get(f"/api/jobs/{job.pk}/transcript.txt").content == b"Hello.\n"


def test_what_is_still_being_said_is_in_the_pieces_alone(api, talk):
    talk.segments.filter(number=2).update(kind=SegmentKind.INTERIM)
    edit(talk, 2, "Splendid.")
    assert [segment.text for segment in segments_of(talk.pk)] == [TYPED, "How are you?"]
    last = api.get(f"/api/jobs/{talk.pk}/segments/").json()["results"][2]
    assert (last["kind"], last["text"]) == ("interim", "Splendid.")


LISTS = (
    "/api/jobs/",
    "/api/job-history/",
    "/api/job-history/stats/summary/",
    "/api/sessions/",
    "/",
    "/rows/",
)
TALLIES = ("/api/job-history/stats/summary/", "/api/sessions/{session}/cache/")
POLLS = ("/api/jobs/{job}/status/", "/jobs/{job}/progress/")


# --- What it costs -------------------------------------------------------------------------------


@pytest.fixture
def long_talk(alice, new_job, add_segments):
    """2,500 segments, each of them edited."""
    job = new_job(alice, duration_ms=5_000_000, transcript="Yes. " * 2500, total_segments=2500)
    add_segments(job, (0, "Yes.", ""))
    Segment.objects.bulk_create(
        Segment(job=job, number=number, start_ms=number * 2000, end_ms=number * 2000 + 1500, raw_text="Yes.")
        for number in range(1, 2500)
    )
    Edit.objects.bulk_create(
        Edit(job=job, segment_number=number, kind=EditKind.TEXT, value=f"Number {number}.", made_at=NOON)
        for number in range(2500)
    )
    return job


def test_a_reading_costs_the_same_however_long_and_however_much_was_edited(
    long_talk, django_assert_num_queries
):
    job = type(long_talk).objects.select_related(*READ_WITH).get(pk=long_talk.pk)
    with django_assert_num_queries(0):
        reading = read(job)
    with django_assert_num_queries(2):  # the edits, the segments
        assert [segment.text for segment in reading.segments()][-1] == "Number 2499."
    with django_assert_num_queries(2):
        assert reading.text.endswith("Number 2498. Number 2499.")
    with django_assert_num_queries(0):
        assert reading.text


def test_an_unchanged_text_is_read_without_its_segments(alice, new_job, django_assert_num_queries):
    job = new_job(alice, transcript="Hello.")
    job = type(job).objects.select_related(*READ_WITH, "transcript__texts").get(pk=job.pk)
    with django_assert_num_queries(1):  # whether there are edits
        assert read(job).text == "Hello."


@pytest.mark.parametrize("path", [*LISTS, *TALLIES, *POLLS])
@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.PROCESSING])
def test_lists_and_polls_read_neither_texts_nor_segments_nor_edits(
    api, client, alice, new_job, add_segments, reads_no_texts, path, status
):
    job = new_job(alice, status, transcript="Hello.")
    add_segments(job, (0, "Hello.", ""))
    edit(job, 0, "Hi.")
    client.force_login(alice)
    ask = api if path.startswith("/api/") else client
    with CaptureQueriesContext(connection) as asked, reads_no_texts():
        assert ask.get(path.format(job=job.pk, session=job.session_id)).status_code == 200
    for table in ("sessions_app_edit", "jobs_app_segment"):
        assert not [query["sql"] for query in asked if table in query["sql"]]
