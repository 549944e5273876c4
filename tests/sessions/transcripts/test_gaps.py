"""Stretches without sound in what the API gives: a chunk that never came, or could not be read."""

from __future__ import annotations

import pytest

from sessions_app.transcripts.formats import find_formats

SAID = "[This part of the recording did not arrive.]"
UNREAD = "[This part of the recording could not be read.]"


def gap(start_ms: int, end_ms: int, chunk: int, reason: str = "missing") -> dict[str, int | str]:
    return {"start_ms": start_ms, "end_ms": end_ms, "chunk": chunk, "reason": reason}


def stored(shown: dict[str, int | str], *, samples: int = 480_000) -> dict[str, int | str]:
    """As a worker notes it."""
    return {**shown, "samples": samples}


MISSING = gap(30_000, 60_000, 1)


@pytest.fixture
def talk(alice, new_job, add_segments):
    """Ninety seconds of which the second half minute never came."""
    job = new_job(
        alice, source="api", duration_ms=90_000, transcript="Before. After.", gaps=[stored(MISSING)]
    )
    add_segments(job, (28_000, "Before.", ""), (60_000, "After.", ""))
    return job


def transcript(api, job, ending: str) -> str:
    answer = api.get(f"/api/jobs/{job.pk}/transcript.{ending}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_job_names_its_gaps_and_nothing_of_the_inside(api, talk):
    assert api.get(f"/api/jobs/{talk.pk}/").json()["gaps"] == [MISSING]
    assert api.get("/api/jobs/").json()["results"][0]["gaps"] == [MISSING]


def test_a_job_without_gaps_has_an_empty_list(api, alice, new_job):
    assert api.get(f"/api/jobs/{new_job(alice).pk}/").json()["gaps"] == []


def test_the_json_transcript_has_them_beside_what_was_said_and_not_in_it(api, talk):
    found = api.get(f"/api/jobs/{talk.pk}/transcript.json").json()
    assert found["gaps"] == [MISSING]
    assert found["text"] == "Before. After."
    assert [segment["text"] for segment in found["segments"]] == ["Before.", "After."]


def test_the_plain_text_has_a_sentence_where_something_is_missing(api, talk):
    text = transcript(api, talk, "txt")
    assert text.split() == ["Before.", *SAID.split(), "After."]


@pytest.mark.parametrize(
    ("ending", "times"),
    [
        ("srt", "00:00:30,000 --> 00:00:35,000"),
        ("vtt", "00:00:30.000 --> 00:00:35.000"),
    ],
)
def test_captions_show_the_sentence_for_a_while_from_where_it_begins(api, talk, ending, times):
    cues = [cue.splitlines() for cue in transcript(api, talk, ending).split("\n\n")]
    (at,) = [n for n, cue in enumerate(cues) if times in cue]
    lines = cues[at][cues[at].index(times) + 1 :]
    assert " ".join(lines) == SAID
    assert cues[at - 1][-1] == "Before."
    assert cues[at + 1][-1] == "After."


def test_a_caption_is_not_longer_than_its_gap(api, alice, new_job, add_segments):
    short = gap(4000, 5500, 1, "damaged")
    job = new_job(alice, duration_ms=9000, gaps=[stored(short, samples=24_000)])
    add_segments(job, (0, "Before.", ""), (7000, "After.", ""))
    assert "00:00:04,000 --> 00:00:05,500" in transcript(api, job, "srt")


@pytest.mark.parametrize("ending", ["txt", "srt", "vtt"])
def test_the_sentence_stands_by_itself_however_near_somebody_speaks(
    api, alice, new_job, add_segments, ending
):
    job = new_job(alice, duration_ms=9000, gaps=[stored(gap(1500, 2500, 1, "damaged"))])
    add_segments(job, (0, "Before", ""), (2500, "after.", ""))
    parts = [part.splitlines() for part in transcript(api, job, ending).strip().split("\n\n")]
    said = [" ".join(line for line in part if "-->" not in line and not line.isdigit()) for part in parts]
    assert said[-3:] == ["Before", UNREAD, "after."]


@pytest.mark.parametrize(
    ("reason", "sentence"), [("missing", SAID), ("damaged", UNREAD), ("unreadable", UNREAD)]
)
def test_the_sentence_says_whether_it_came(api, alice, new_job, reason, sentence):
    job = new_job(alice, duration_ms=30_000, gaps=[stored(gap(0, 30_000, 0, reason))])
    assert transcript(api, job, "txt").strip() == sentence


def test_gaps_at_both_ends_and_between_come_in_the_order_of_time(api, alice, new_job, add_segments):
    gaps = [gap(0, 5000, 0), gap(8000, 20_000, 2, "unreadable"), gap(25_000, 55_000, 4)]
    job = new_job(alice, duration_ms=55_000, gaps=[stored(one) for one in gaps])
    add_segments(job, (6000, "First.", ""), (21_000, "Second.", ""))
    said = " ".join(transcript(api, job, "txt").split())
    assert said == f"{SAID} First. {UNREAD} Second. {SAID}"


def test_chunks_that_are_missing_in_a_row_are_one_sentence_and_two_gaps(api, alice, new_job):
    gaps = [gap(0, 30_000, 0), gap(30_000, 60_000, 1), gap(60_000, 90_000, 2, "unreadable")]
    job = new_job(alice, duration_ms=90_000, gaps=[stored(one) for one in gaps])
    assert transcript(api, job, "txt").split() == [*SAID.split(), *UNREAD.split()]
    assert api.get(f"/api/jobs/{job.pk}/transcript.json").json()["gaps"] == gaps


def test_a_speaker_is_not_said_to_have_said_it(api, alice, new_job, add_segments):
    job = new_job(alice, duration_ms=90_000, gaps=[stored(MISSING)])
    add_segments(job, (28_000, "Before.", "Ada"), (60_000, "After.", "Ada"))
    assert transcript(api, job, "txt").split("\n\n") == ["Ada: Before.", SAID, "Ada: After.\n"]
    cues = transcript(api, job, "vtt")
    assert f"\n{SAID.replace('the recording', 'the' + chr(10) + 'recording')}\n" in cues
    assert "<v Ada>[" not in cues


@pytest.mark.parametrize("ending", find_formats())
def test_the_gaps_of_others_are_not_there(client_of, bob, talk, ending):
    assert client_of(bob).get(f"/api/jobs/{talk.pk}/transcript.{ending}").status_code == 404
