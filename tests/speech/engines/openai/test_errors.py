"""What servers refuse, and what goes wrong between them and the openai engine."""

from __future__ import annotations

import email.utils
import gzip
import time

import pytest

from speech.engines.base import TranscribeOptions
from speech.errors import ProviderBusy, ProviderFailed, ProviderRefused, ProviderUnavailable
from tests.speech.numbered_speech import numbers
from tests.speech.openai_asking import ASK, SPEECH, engine, failure
from tests.speech.scripted_provider import (
    Answer,
    ScriptedProvider,
    answered,
    cut,
    drip,
    dropped,
    empty,
    garbage,
    hang,
    html,
    status,
)

BOMB = gzip.compress(b" " * 50_000_000)

# What servers refuse


def test_word_times_that_are_refused_are_not_asked_for_again(server):
    server.answer_with(status(400, body={"error": {"message": "Unknown field timestamp_granularities[]"}}))
    model = engine(server)
    heard = model.transcribe(SPEECH, ASK)
    assert (heard.timing, heard.requests) == ("segments", 2)
    assert model.transcribe(SPEECH, ASK).requests == 1
    assert ["timestamp_granularities[]" in r.fields for r in server.requests] == [True, False, False]


def test_a_server_that_knows_only_json_is_asked_for_that(server):
    only_json = {"detail": [{"loc": ["body", "response_format"], "msg": "Input should be 'json'"}]}
    server.answer_with(status(422, body=only_json), status(422, body=only_json))
    heard = engine(server).transcribe(SPEECH, ASK)
    assert [r.get("response_format") for r in server.requests] == ["verbose_json", "verbose_json", "json"]
    assert (heard.timing, heard.requests, heard.segments[0].text) == ("window", 3, " ".join(numbers(0, 4)))


def test_what_is_refused_of_a_translation_is_asked_for_in_transcriptions(server):
    server.answer_with(status(400, body={"error": {"message": "unknown response_format verbose_json"}}))
    model = engine(server)
    model.transcribe(SPEECH, TranscribeOptions(translate_to="en"))
    assert model.transcribe(SPEECH, ASK).timing == "words"
    formats = [request.get("response_format") for request in server.requests]
    assert formats == ["verbose_json", "json", "verbose_json"]


def test_a_container_that_cannot_be_read_is_not_sent_again(server):
    server.answer_with(status(400, body={"error": {"message": "Invalid file format. Supported: mp3, wav"}}))
    model = engine(server)
    assert model.transcribe(SPEECH, ASK).requests == 2
    assert model.transcribe(SPEECH, ASK).requests == 1
    assert [r.file_name for r in server.requests] == ["audio.ogg", "audio.mp3", "audio.mp3"]


def test_a_server_that_reads_nothing_ends_as_refused(server):
    server.answer_with(*[status(415)] * 3)
    error = failure(engine(server))
    assert isinstance(error, ProviderRefused)
    assert error.requests == len(server.requests) == 3


# What goes wrong

NO_CREDIT = {"error": {"message": "You exceeded your quota.", "code": "insufficient_quota", "type": "x"}}


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (status(401), ProviderRefused, r"refused the API key.*Check OPENAI_API_KEY"),
        (status(403), ProviderRefused, "OPENAI_API_KEY"),
        (status(404), ProviderRefused, r"model 'whisper-1'.*OPENAI_BASE_URL and OPENAI_MODELS"),
        (status(400), ProviderRefused, r'It says: "Scripted 400"\.'),
        (status(422, body={"detail": "No such voice."}), ProviderRefused, 'It says: "No such voice"'),
        (status(413, body="<html>too large</html>"), ProviderRefused, "OPENAI_MAX_REQUEST_MB"),
        (status(402), ProviderRefused, "no credit left"),
        (status(429, body=NO_CREDIT), ProviderRefused, "no credit left"),
        (status(429), ProviderBusy, "too many requests"),
        (status(500), ProviderFailed, r"status 500.*tried again"),
        (status(529), ProviderFailed, "status 529"),
        (status(502), ProviderUnavailable, "status 502"),
        (html(503), ProviderUnavailable, "status 503"),
        (status(504), ProviderUnavailable, "status 504"),
        (garbage(), ProviderFailed, "something else than JSON"),
        (html(), ProviderFailed, "a page of HTML"),
        (empty(), ProviderFailed, "with nothing"),
        (Answer(body=b'{"text": "half of'), ProviderFailed, "half of it"),
        (Answer(body=b"[" * 100_000), ProviderFailed, "half of it"),
        (Answer(body=b" " * 9_000_000), ProviderFailed, "more than any transcript"),
        (Answer(body=BOMB, headers={"Content-Encoding": "gzip"}), ProviderFailed, "more than any transcript"),
        (status(400, body="[" * 100_000), ProviderRefused, "status 400"),
        (Answer(body=b"no", headers={"Content-Encoding": "gzip"}), ProviderFailed, "tried again"),
        (answered(["text"]), ProviderFailed, "no transcript"),
        (answered({}), ProviderFailed, "no transcript"),
        (answered({"text": 5}), ProviderFailed, "a text that is no text"),
        (answered({"error": "model not loaded"}), ProviderFailed, 'It says: "model not loaded"'),
        (cut(), ProviderFailed, "cut the connection"),
        (dropped(), ProviderFailed, "cut the connection"),
        (status(307, headers={"Location": "http://127.0.0.1:9/v1"}), ProviderRefused, "redirects"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_a_typed_error_that_says_what_to_do(server, answer, error, said):
    server.answer_with(answer)
    failed = failure(engine(server))
    assert type(failed) is error
    assert failed.requests == 1
    assert failed.permanent == (error is ProviderRefused)
    assert failed.outage == (error in (ProviderBusy, ProviderUnavailable))
    with pytest.raises(error, match=said):
        raise failed
    assert len(server.requests) == 1


def test_a_server_that_does_not_translate_is_told_from_one_that_is_not_there(server):
    server.answer_with(status(404))
    error = failure(engine(server), TranscribeOptions(translate_to="en"))
    assert isinstance(error, ProviderRefused)
    assert "does not translate" in str(error)


def test_a_provider_of_another_name_has_its_own_settings_named(server):
    server.answer_with(status(401))
    error = failure(engine(server, name="my-gpu"))
    assert "provider my-gpu" in str(error)
    assert "PROVIDER_MY_GPU_API_KEY" in str(error)


def test_nobody_at_the_address_is_an_outage_and_counts_no_request(server):
    with ScriptedProvider() as gone:
        url = gone.url
    error = failure(engine(server, base_url=url))
    assert type(error) is ProviderUnavailable
    assert error.requests == 0


@pytest.mark.parametrize("answer", [hang(), drip()])
def test_an_answer_that_does_not_end_is_an_outage(server, answer):
    server.answer_with(answer)
    begun = time.monotonic()
    error = failure(engine(server, timeout_s=1))
    assert type(error) is ProviderUnavailable
    assert "within 1 seconds" in str(error)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"Retry-After": "2"}, 2),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "999999"}, 3600),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_what_the_provider_says(server, headers, wait_s):
    server.answer_with(status(429, headers=headers))
    assert failure(engine(server)).retry_after_s == wait_s


def test_how_long_to_wait_may_be_a_date(server):
    server.answer_with(
        status(503, headers={"Retry-After": email.utils.formatdate(time.time() + 30, usegmt=True)})
    )
    assert failure(engine(server)).retry_after_s == pytest.approx(30, abs=5)
