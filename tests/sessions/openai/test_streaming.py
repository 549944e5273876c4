"""`stream=True`: the text as server-sent events, while it grows."""

from __future__ import annotations

import time

import httpx2
import openai
import pytest

from tests.acceptance.conftest import wait_for
from tests.sessions.openai.conftest import SLOW, key_of, newest_job, numbers, slow, words

pytestmark = pytest.mark.slow


def test_text_comes_window_by_window_and_then_as_a_whole(client):
    # Two windows at least, each of which takes a second.
    events = client.audio.transcriptions.create(
        file=numbers(130), model="whisper-1", prompt="fake:slow=1", stream=True
    )
    seen = [(event, time.monotonic()) for event in events]
    *deltas, (done, done_at) = seen
    assert {event.type for event, _ in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert done.text == "".join(event.delta for event, _ in deltas) == words(130)
    assert len(deltas) >= 2
    assert done_at - deltas[0][1] > 0.5


def test_an_error_in_the_middle_is_raised_by_the_client(client):
    events = client.audio.transcriptions.create(
        file=numbers(3), model="whisper-1", prompt="fake:fail=permanent", stream=True
    )
    with pytest.raises(openai.APIError, match="asked to fail") as failed:
        list(events)
    assert failed.value.code == "not_supported"


def test_speakers_come_behind_the_text(client):
    events = client.audio.transcriptions.create(
        file=numbers(3), model="whisper-1", response_format="diarized_json", stream=True
    )
    first, *middle, last = list(events)
    assert (first.type, last.type) == ("transcript.text.delta", "transcript.text.done")
    assert {event.type for event in middle} == {"transcript.text.segment"}
    assert " ".join(event.text for event in middle) == last.text
    # Nobody speaks in what the fake engine hears.
    assert {event.speaker for event in middle} == {""}


def test_what_is_refused_before_it_begins_is_no_stream(client):
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(file=numbers(3), model="nobody's", stream=True)


def test_a_client_that_leaves_a_stream_has_its_job_cancelled(server, client):
    events = client.audio.transcriptions.create(file=slow(), model="whisper-1", prompt=SLOW, stream=True)
    job_id = events.response.headers["X-Job-Id"]
    wait_for(lambda: server.job(job_id)["status"] == "processing", within_s=20, what="the job has begun")
    events.close()
    wait_for(lambda: server.job(job_id)["status"] == "cancelled", within_s=5, what="it is cancelled")


def test_the_events_are_named_and_reach_a_proxy_unbuffered(server):
    name, content = numbers(3)
    answer = httpx2.post(
        f"{server.url}/v1/audio/transcriptions",
        headers={"Authorization": f"Bearer {key_of(server)}", "Accept": "text/event-stream"},
        files={"file": (name, content)},
        data={"model": "whisper-1", "stream": "true"},
        timeout=60,
    )
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["X-Job-Id"] == newest_job(server)["id"]
    names = [line for line in answer.text.splitlines() if line.startswith("event:")]
    assert names == ["event: transcript.text.delta", "event: transcript.text.done"]
