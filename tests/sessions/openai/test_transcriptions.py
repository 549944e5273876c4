"""What OpenAI's own client gets from this server."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai.types.audio import Transcription, TranscriptionVerbose

from speech.engines.fake import WORDS_PER_SEGMENT
from tests.services import ROOT
from tests.sessions.openai.conftest import key_of, numbers, words

pytestmark = pytest.mark.slow
AUDIO = ROOT / "tests" / "audio"


def test_a_file_is_answered_with_its_text(client):
    answer = client.audio.transcriptions.create(file=numbers(7), model="whisper-1")
    # The client itself does not look at the types.
    Transcription.model_validate(answer.to_dict(), strict=True)
    assert answer.text == words(7)
    assert answer.usage.to_dict() == {"type": "duration", "seconds": 7.0}


def test_its_job_stands_in_the_history_like_every_other(server, client):
    answer = client.audio.transcriptions.with_raw_response.create(
        file=numbers(3, "meeting.wav"), model="fake/fake", language="de-AT", prompt="hints", temperature=0.2
    )
    job = server.job(answer.headers["X-Job-Id"])
    assert job["status"] == "completed"
    assert (job["engine"], job["model"], job["language"]) == ("fake", "fake", "de")
    assert (job["title"], job["transcript"]) == ("meeting", words(3))
    # Its client asked for text alone.
    assert (job["word_times"], job["timing"]) == (False, "segments")
    session = server.client.get(f"/api/sessions/{job['session']}/").json()
    assert session["source"] == "api"


def test_text_ends_with_a_newline(client):
    answer = client.audio.transcriptions.with_raw_response.create(
        file=numbers(3), model="whisper-1", response_format="text"
    )
    assert answer.parse() == f"{words(3)}\n"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert int(answer.headers["Content-Length"]) == len(answer.parse())


def test_captions_are_given_as_srt_and_as_vtt(client):
    srt = client.audio.transcriptions.create(file=numbers(3), model="whisper-1", response_format="srt")
    assert srt == f"1\n00:00:00,000 --> 00:00:03,000\n{words(3)}\n"
    vtt = client.audio.transcriptions.create(file=numbers(3), model="whisper-1", response_format="vtt")
    assert vtt == f"WEBVTT\n\n00:00:00.000 --> 00:00:03.000\n{words(3)}\n"


def test_verbose_json_has_the_segments_as_the_client_types_them(client):
    answer = client.audio.transcriptions.create(
        file=numbers(7), model="whisper-1", response_format="verbose_json"
    )
    TranscriptionVerbose.model_validate(answer.to_dict(), strict=True)
    assert (answer.language, answer.duration, answer.text) == ("english", 7.0, words(7))
    assert answer.words is None
    assert [(s.id, s.start, s.end) for s in answer.segments] == [(0, 0.0, 5.0), (1, 5.0, 7.0)]
    assert answer.segments[0].text == words(WORDS_PER_SEGMENT)
    # The fake engine is always sure.
    assert {(s.avg_logprob, s.no_speech_prob, s.seek) for s in answer.segments} == {(0.0, 0.0, 0)}


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities"])
def test_words_have_times_when_they_are_asked_for(client, name):
    # With and without the brackets: clients differ.
    answer = client.audio.transcriptions.create(
        file=numbers(2), model="whisper-1", response_format="verbose_json", extra_body={name: "word"}
    )
    assert [(w.word, w.start, w.end) for w in answer.words] == [("w0000", 0.0, 1.0), ("w0001", 1.0, 2.0)]
    assert answer.segments is None


def test_words_and_segments_come_together(client):
    answer = client.audio.transcriptions.create(
        file=numbers(2),
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    TranscriptionVerbose.model_validate(answer.to_dict(), strict=True)
    assert (len(answer.words), len(answer.segments)) == (2, 1)


def test_where_nobody_speaks_there_is_an_empty_text_and_no_error(client):
    silence = numbers(0)[1] + bytes(2 * 32_000)
    answer = client.audio.transcriptions.create(
        file=("silence.wav", silence), model="tiny.en", response_format="verbose_json"
    )
    assert (answer.text, answer.segments) == ("", [])


def test_what_is_not_known_here_is_ignored(client):
    answer = client.audio.transcriptions.create(
        file=numbers(2),
        model="gpt-4o-transcribe",
        chunking_strategy="auto",
        include=["logprobs"],
        extra_body={"no_such_field": "1"},
    )
    assert answer.text == words(2)


def test_a_file_longer_than_an_interactive_one_is_transcribed_too(server, client):
    answer = client.audio.transcriptions.create(file=numbers(130), model="whisper-1")
    assert answer.text == words(130)


def test_the_asynchronous_client_gets_the_same(server):
    async def both() -> list[Transcription]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key_of(server)) as client:
            create = client.audio.transcriptions.create
            return await asyncio.gather(
                create(file=numbers(2), model="whisper-1"), create(file=numbers(5), model="whisper-1")
            )

    assert [answer.text for answer in asyncio.run(both())] == [words(2), words(5)]


def test_models_are_listed_and_found_by_their_names(client):
    names = [model.id for model in client.models.list()]
    assert names[:2] == ["fake/fake", "tiny.en"]
    assert {"whisper-1", "gpt-4o-transcribe"} < set(names)
    for name in names:
        assert client.models.retrieve(name).id == name
    assert client.models.retrieve("tiny.en").owned_by == "local"


def test_the_local_model_transcribes_speech(client):
    with (AUDIO / "sample.mp3").open("rb") as file:
        answer = client.audio.transcriptions.create(
            file=file, model="tiny.en", response_format="verbose_json"
        )
    TranscriptionVerbose.model_validate(answer.to_dict(), strict=True)
    heard = set(answer.text.lower().split())
    said = set((AUDIO / "sample.txt").read_text(encoding="utf-8").lower().split())
    assert len(heard & said) > 0.7 * len(said)
    assert answer.language == "english"
    assert all(segment.avg_logprob < 0 for segment in answer.segments)
