"""What a transcript may lack, in the answers of the API."""

from __future__ import annotations

import json

import pytest

from jobs_app.models import JobStatus
from sessions_app.openai.answers import FORMATS, Wanted, answer

REPORT = {"bad_packets": 1, "cut_off_ms": 2000}


def test_a_job_and_its_transcript_have_them(api, alice, new_job):
    job = new_job(alice, report=REPORT)
    for path in ("", "transcript.json"):
        found = api.get(f"/api/jobs/{job.pk}/{path}").json()["warnings"]
        assert [one["code"] for one in found] == ["damaged", "cut_off"]


def test_a_job_says_which_tracks_were_heard(api, alice, new_job):
    tracks = {"count": 2, "heard": [1], "languages": ["", ""], "unheard": [{"track": 0, "why": "chosen"}]}
    job = new_job(alice, audio_track="1", report={"audio_tracks": tracks})
    found = api.get(f"/api/jobs/{job.pk}/").json()
    assert (found["audio_track"], found["audio_tracks"], found["warnings"]) == ("1", tracks, [])


@pytest.mark.parametrize("name", FORMATS)
def test_v1_has_them_only_where_there_are_any(alice, new_job, name):
    wanted = Wanted(response_format=name)
    answered = answer(new_job(alice, status=JobStatus.COMPLETED, report=REPORT).pk, wanted)
    assert answered["X-Warnings"] == "damaged, cut_off"
    if "json" in name:
        assert [one["code"] for one in json.loads(answered.content)["warnings"]] == ["damaged", "cut_off"]
    clean = answer(new_job(alice, status=JobStatus.COMPLETED).pk, wanted)
    assert "X-Warnings" not in clean
    assert b"warnings" not in clean.content


SOFT = {"raised_db": 40, "raised_ms": 9000, "duration_ms": 9000, "peak_dbfs": -60}


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (JobStatus.COMPLETED, "", "no words were found in it"),
        (JobStatus.COMPLETED, "Good morning.", "words may be missing"),
        (JobStatus.PROCESSING, "", "words may be missing"),
    ],
)
def test_a_soft_recording_without_words_is_not_said_to_lack_some(
    api, client, alice, new_job, status, text, said
):
    job = new_job(
        alice, status=status, raw_text=text, transcript=text, total_segments=len(text.split()), report=SOFT
    )
    client.force_login(alice)
    assert said in api.get(f"/api/jobs/{job.pk}/").json()["warnings"][0]["detail"]
    assert said in client.get(f"/jobs/{job.pk}/").content.decode()
