"""Who speaks, as programs and files have it, and what people say of the speakers."""

from __future__ import annotations

import html
import json

import pytest

from jobs_app.models import JobStatus, Speaker, SpeakerTurns, StepKind
from jobs_app.models.transcripts import Segment, Transcript
from sessions_app.openai.answers import Wanted, answer
from sessions_app.transcripts.paragraphs import paragraphs
from sessions_app.transcripts.reading import READ_WITH, read
from speech.captions.cues import LONGEST_LABEL
from speech.types import Word
from tests.job_rows import create_segment

pytestmark = pytest.mark.django_db

SOME_ID = "00000000-0000-0000-0000-000000000007"
TURNS = [(0, 2000, "S1"), (2000, 5000, "S2"), (4500, 6000, "S3"), (7000, 8000, "S1")]


@pytest.fixture
def job(alice, new_job):
    """Three people speak: Anna, and two who have no names yet."""
    job = new_job(alice, diarize=True, duration_ms=8000, transcript="Good morning. Hello. Yes. Well.")
    for start_ms, end_ms, label, text in (
        (0, 2000, "S1", "Good morning."),
        (2000, 4500, "S2", "Hello."),
        (4500, 6000, "S3", "Yes."),
        (7000, 8000, "S1", "Well."),
    ):
        create_segment(
            job,
            start_ms=start_ms,
            end_ms=end_ms,
            speaker=label,
            text=text,
            words=[Word(start_ms, end_ms, text)],
        )
    SpeakerTurns.objects.create(job=job, turns=TURNS, overlaps=[(4500, 5000)])
    for number, (name, ms, n) in enumerate((("Anna", 3000, 2), ("", 3000, 1), ("", 1500, 1))):
        Speaker.objects.create(
            job=job, label=f"S{number + 1}", name=name, number=number, speaking_ms=ms, n_turns=n
        )
    Transcript.objects.filter(job=job).update(speakers_state="told", n_speakers=3)
    job.refresh_from_db()
    return job


def url(job, of: str = "speakers/") -> str:
    return f"/api/jobs/{job.pk}/{of}"


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content


def test_the_speakers_of_a_transcript(api, job):
    assert api.get(url(job)).json() == [
        {"label": "S1", "name": "Anna", "speaking_ms": 3000, "turns": 2, "merged": [], "suggestion": None},
        {"label": "S2", "name": "", "speaking_ms": 3000, "turns": 1, "merged": [], "suggestion": None},
        {"label": "S3", "name": "", "speaking_ms": 1500, "turns": 1, "merged": [], "suggestion": None},
    ]


def test_a_new_name_is_in_every_file(api, job):
    assert api.patch(url(job), {"label": "S2", "name": " Ben\nOkafor "}).json()[1]["name"] == "Ben Okafor"
    text = api.get(url(job, "transcript.txt")).content.decode()
    assert text == "Anna: Good morning.\n\nBen Okafor: Hello.\n\nSpeaker 3: Yes.\n\nAnna: Well.\n"
    captions = api.get(url(job, "transcript.srt")).content.decode()
    assert "\nBen Okafor: Hello.\n" in captions
    assert "<v Ben Okafor>Hello." in api.get(url(job, "transcript.vtt")).content.decode()
    data = api.get(url(job, "transcript.json")).json()
    assert data["speakers"] == [
        {"label": "S1", "name": "Anna"},
        {"label": "S2", "name": "Ben Okafor"},
        {"label": "S3", "name": ""},
    ]
    assert [segment["speaker"] for segment in data["segments"]] == ["S1", "S2", "S3", "S1"]
    assert data["overlaps"] == [{"start_ms": 4500, "end_ms": 5000}]
    assert api.get(url(job, "transcript.rttm")).content.decode().splitlines()[:2] == [
        "SPEAKER A_talk 1 0.000 2.000 <NA> <NA> Anna <NA> <NA>",
        "SPEAKER A_talk 1 2.000 3.000 <NA> <NA> Ben_Okafor <NA> <NA>",
    ]
    assert api.get(url(job, "")).json()["n_speakers"] == 3


def test_merged_speakers_are_one_everywhere_and_can_be_taken_apart(api, job):
    merged = api.patch(url(job), {"label": "S3", "into": "S2"}).json()
    assert merged[1] == {
        "label": "S2",
        "name": "",
        "speaking_ms": 4000,
        "turns": 1,
        "merged": ["S3"],
        "suggestion": None,
    }
    assert len(merged) == 2
    assert [s["speaker"] for s in api.get(url(job, "segments/")).json()["results"]] == [
        "S1",
        "S2",
        "S2",
        "S1",
    ]
    assert "Speaker 2: Hello. Yes." in api.get(url(job, "transcript.txt")).content.decode()
    assert api.get(url(job, "transcript.rttm")).content.decode().count("Speaker_2") == 2
    assert [row.speaker for row in Segment.objects.order_by("start_ms")] == ["S1", "S2", "S3", "S1"]
    assert len(api.patch(url(job), {"label": "S3", "into": None}, format="json").json()) == 3


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("<b>Ann & --> Co</b>", "<b>Ann & --> Co</b>"),
        ("\u05d3\u05d5\u05d3 \U0001f469\u200d\U0001f680", "\u05d3\u05d5\u05d3 \U0001f469\u200d\U0001f680"),
        ("Ann\x1b[2J\u2028\u202eneB\x85", "Ann [2J neB"),
        ("\u200b \u2069", ""),
        ("x" * 100, "x" * 100),
        ("S1", "S1"),
    ],
)
def test_every_name_can_be_written_in_every_file(api, job, sent, kept):
    assert api.patch(url(job), {"label": "S2", "name": sent}, format="json").json()[1]["name"] == kept
    shown = kept or "Speaker 2"
    lines = api.get(url(job, "transcript.rttm")).content.decode().splitlines()
    assert [len(line.split()) for line in lines] == [10] * 4
    assert lines[1].split()[7] == "_".join(shown.split())
    cue = api.get(url(job, "transcript.vtt")).content.decode().split("\n\n")[2]
    assert len(cue.splitlines()) == 2 and cue.count("-->") == 1
    assert html.unescape(cue.splitlines()[1]) == f"<v {shown}>Hello."
    label = shown if len(shown) <= LONGEST_LABEL else f"{shown[: LONGEST_LABEL - 1]}…"
    assert f"\n{label}: Hello.\n" in api.get(url(job, "transcript.srt")).content.decode()
    assert f"\n{shown}: Hello.\n" in api.get(url(job, "transcript.txt")).content.decode()


def test_two_of_one_name_and_one_that_is_merged_into_itself_stay_as_they_are(api, job):
    for label in ("S2", "S3"):
        api.patch(url(job), {"label": label, "name": "Ben"})
    before = api.get(url(job)).json()
    assert [one["name"] for one in before] == ["Anna", "Ben", "Ben"]
    assert api.patch(url(job), {"label": "S2", "into": "S2"}).json() == before
    api.patch(url(job), {"label": "S3", "into": "S2"})
    # It is shown as that one already.
    assert api.patch(url(job), {"label": "S2", "into": "S3"}).status_code == 200
    assert [(one["label"], one["merged"]) for one in api.get(url(job)).json()] == [("S1", []), ("S2", ["S3"])]


@pytest.mark.parametrize("kind", ["txt", "srt", "vtt", "json", "rttm"])
def test_speakers_of_whom_no_word_was_understood(api, job, kind):
    job.segments.all().delete()
    answer = api.get(url(job, f"transcript.{kind}"))
    assert answer.status_code == 200
    if kind == "rttm":
        assert len(answer.content.splitlines()) == 4


@pytest.mark.parametrize(
    "asked", [{"num_speakers": 2}, {"min_speakers": 2, "max_speakers": 4}, {"num_speakers": None}]
)
def test_another_number_is_a_workers_work(api, job, wakes, asked, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        assert api.patch(url(job), asked, format="json").status_code == 202
    assert wakes == [1]
    assert job.steps.get().kind == StepKind.SPEAKERS
    assert api.get(url(job, "status/")).json()["telling_speakers"] == "waiting"
    job.refresh_from_db()
    assert {name: getattr(job.options, name) for name in asked} == asked


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({}, 400, "invalid"),
        ({"label": "S1"}, 400, "invalid"),
        ({"name": "Anna"}, 400, "invalid"),
        ({"label": "S1", "name": "Anna", "into": "S2"}, 400, "invalid"),
        ({"label": "S1", "name": "x" * 101}, 400, "invalid"),
        ({"label": "S1", "name": "a\0b"}, 400, "invalid"),
        ({"label": "S1", "name": None}, 400, "invalid"),
        ({"label": ["S1"], "name": "Anna"}, 400, "invalid"),
        ({"label": "S1", "name": {"a": 1}}, 400, "invalid"),
        ({"num_speakers": "two"}, 400, "invalid"),
        ({"num_speakers": 10**30}, 400, "invalid"),
        ({"min_speakers": -1}, 400, "invalid"),
        ({"num_speakers": 0}, 400, "invalid"),
        ({"num_speakers": 101}, 400, "invalid"),
        ({"num_speakers": 2, "label": "S1"}, 400, "invalid"),
        ({"min_speakers": 3, "max_speakers": 2}, 422, "not_supported"),
        ({"label": "S1", "confirm": "Anna"}, 400, "invalid"),
        ({"label": "S1", "confirm": SOME_ID, "reject": SOME_ID}, 400, "invalid"),
        ({"confirm": SOME_ID}, 400, "invalid"),
        ({"label": "S1", "confirm": SOME_ID}, 409, "voices_off"),
        ({"label": "S1", "reject": SOME_ID}, 409, "voices_off"),
        ({"label": "S9", "name": "Anna"}, 422, "no_such_speaker"),
        ({"label": "S1", "into": "S9"}, 422, "no_such_speaker"),
        ([], 400, "invalid"),
    ],
)
def test_what_cannot_be_is_refused(api, job, asked, status, code):
    refused(api.patch(url(job), asked, format="json"), status, code)


def test_half_a_character_is_no_name(api, job):
    sent = rb'{"label": "S1", "name": "a\ud800"}'
    refused(api.patch(url(job), sent, content_type="application/json"), 400, "invalid")


def test_without_speakers(api, alice, new_job, add_segments, django_assert_num_queries):
    job = new_job(alice, transcript="Good morning.")
    add_segments(job, (0, "Good morning.", ""))
    assert api.get(url(job)).json() == []
    refused(api.get(url(job, "transcript.rttm")), 409, "not_ready")
    refused(api.patch(url(job), {"label": "S1", "name": "Anna"}), 409, "not_ready")
    running = new_job(alice, status=JobStatus.PROCESSING)
    refused(api.patch(url(running), {"num_speakers": 2}), 409, "wrong_state")
    job = type(job).objects.select_related(*READ_WITH).get(pk=job.pk)
    with django_assert_num_queries(2):
        assert [segment.text for segment in read(job).named_segments()] == ["Good morning."]


def test_somebody_elses_are_not_there(client_of, bob, job):
    api = client_of(bob)
    refused(api.get(url(job)), 404, "not_found")
    refused(api.patch(url(job), {"label": "S1", "name": "Mine"}), 404, "not_found")
    assert job.speakers.first().name == "Anna"


@pytest.mark.parametrize("state", ["failed", "unsure"])
def test_what_may_be_wrong_is_said(api, job, state):
    Transcript.objects.filter(job=job).update(speakers_state=state)
    assert [one["code"] for one in api.get(url(job, "")).json()["warnings"]] == [f"speakers_{state}"]


def test_a_page_shows_names_and_colours(job):
    shown = paragraphs(read(type(job).objects.select_related(*READ_WITH).get(pk=job.pk)))
    assert [(one.speaker, one.colour) for one in shown] == [
        ("Anna", 1),
        ("Speaker 2", 2),
        ("Speaker 3", 3),
        ("Anna", 1),
    ]


def test_openais_form(job):
    body = json.loads(answer(job.pk, Wanted(response_format="diarized_json")).content)
    assert (body["task"], body["duration"], body["text"]) == ("transcribe", 8.0, job.transcript.text)
    assert [(s["speaker"], s["text"]) for s in body["segments"]] == [
        ("Anna", "Good morning."),
        ("B", "Hello."),
        ("C", "Yes."),
        ("Anna", "Well."),
    ]
    assert {s["type"] for s in body["segments"]} == {"transcript.text.segment"}
    assert b"Anna: Good morning." in answer(job.pk, Wanted(response_format="srt")).content
