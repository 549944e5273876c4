"""What of a recording is transcribed so far, through the REST API."""

from __future__ import annotations

import pytest

from jobs_app.models import ChunkTranscription, TranscriptionJob, WorkStatus
from speech.types import Word
from tests.job_rows import create_segment
from tests.sessions.conftest import sound
from tests.sessions.recording import SESSIONS, begin, finish, send_chunk
from tests.sessions.uploads import refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def session_id(api) -> str:
    return begin(api)["id"]


@pytest.fixture
def transcribed(api, session_id) -> str:
    """10 s: a window that is done to 4 s, one that waits to 8 s, one that is done to 9 s; then a gap."""
    send_chunk(api, session_id, 0, sound(1.0))
    job = TranscriptionJob.objects.get()
    job.sound.duration_ms = 10_000
    job.sound.gaps = [{"start_ms": 9000, "end_ms": 10_000, "chunk": 1, "reason": "missing"}]
    job.sound.save()
    columns = {"job": job, "owner": job.session.owner, "rank": 0, "queued_at": job.created_at}
    for number, (start_ms, end_ms, status) in enumerate(
        [
            (0, 4000, WorkStatus.DONE),
            (4000, 8000, WorkStatus.WAITING),
            (8000, 9000, WorkStatus.DONE),
        ]
    ):
        ChunkTranscription.objects.create(
            number=number, start_ms=start_ms, end_ms=end_ms, speech_ms=1000, status=status, **columns
        )
    window = ChunkTranscription.objects.get(number=0)
    words = [("Good", 0, 400), ("twenty", 500, 900), ("-one,", 900, 1400), ("friends.", 1500, 2000)]
    create_segment(
        job,
        window=window,
        start_ms=0,
        end_ms=2000,
        text="Good twenty-one, friends.",
        words=[Word(start_ms, end_ms, word, 0.9) for word, start_ms, end_ms in words],
    )
    create_segment(job, window=window, start_ms=2500, end_ms=3500, text="No times here.")
    return session_id


def test_the_cache_says_how_far_the_transcript_is(api, transcribed):
    assert api.get(f"{SESSIONS}{transcribed}/cache/").data == {
        "windows": 3,
        "done": 2,
        "running": 0,
        "waiting": 1,
        "failed": 0,
        "covered_ms": 6000,
        "duration_ms": 10_000,
        "coverage": 0.6,
    }


def test_the_cache_of_a_new_recording_is_empty(api, session_id):
    numbers = api.get(f"{SESSIONS}{session_id}/cache/").data
    assert numbers == dict.fromkeys(numbers, 0)
    assert len(numbers) == 8
    TranscriptionJob.objects.all().delete()
    assert api.get(f"{SESSIONS}{session_id}/cache/").data == numbers


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "text", "coverage"),
    [
        (0, 4000, "Good twenty-one, friends. No times here.", 1.0),
        (200, 2000, "Good twenty-one, friends.", 1.0),
        # The middle of the first word lies before, that of the last word at the end.
        (201, 1750, "twenty -one,", 1.0),
        (3000, 4000, "No times here.", 1.0),
        (3001, 4000, "", 1.0),
        (0, 5000, "Good twenty-one, friends. No times here.", 0.8),
        (0, 5001, None, 0.7998),
        (4000, 8000, None, 0.0),
        (8000, 10_000, "", 1.0),
        # While it is recorded the rest may still come.
        (8000, 18_000, None, 0.2),
    ],
)
def test_the_text_of_a_span_is_its_words(api, transcribed, start_ms, end_ms, text, coverage):
    url = f"{SESSIONS}{transcribed}/text/?start_ms={start_ms}&end_ms={end_ms}"
    assert api.get(url).data == {"text": text, "coverage": coverage}


def test_the_text_of_all_of_it_needs_most_of_it(api, transcribed):
    url = f"{SESSIONS}{transcribed}/text/"
    assert api.get(url).data == {"text": None, "coverage": 0.6}
    ChunkTranscription.objects.update(status=WorkStatus.DONE)
    assert api.get(url).data == {"text": "Good twenty-one, friends. No times here.", "coverage": 1.0}


def test_of_a_finished_recording_only_what_there_is_counts(api, transcribed):
    finish(api, transcribed)
    url = f"{SESSIONS}{transcribed}/text/?start_ms=8000&end_ms=18000"
    assert api.get(url).data == {"text": "", "coverage": 1.0}
    url = f"{SESSIONS}{transcribed}/text/?start_ms=20000"
    assert api.get(url).data == {"text": None, "coverage": 0.0}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start_ms=-1", "start_ms"),
        ("start_ms=abc", "start_ms"),
        ("start_ms=1.5", "start_ms"),
        ("end_ms=0", "end_ms"),
        ("start_ms=5&end_ms=5", "end_ms"),
        ("start_ms=6&end_ms=5", "end_ms"),
        (f"end_ms={10**40}", "end_ms"),
        ("end_ms=%00", "end_ms"),
    ],
)
def test_a_span_that_is_none_is_refused(api, session_id, query, field):
    response = api.get(f"{SESSIONS}{session_id}/text/?{query}")
    assert refused(response, 400, "invalid")
    assert set(response.data["fields"]) == {field}
