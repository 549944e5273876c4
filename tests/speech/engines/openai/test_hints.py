"""Hints that a provider writes into its answer although nobody said them."""

from __future__ import annotations

import pytest

from speech.engines.base import TranscribeOptions
from speech.errors import ProviderFailed
from tests.speech.numbered_speech import make_numbered_speech
from tests.speech.openai_asking import SPEECH, engine, hear, segment, verbose
from tests.speech.scripted_provider import Answer, ok, status

PEOPLE = "The participants are Dr. Okonkwo-Whitfield, Siobhan Ng, and Xavier. Topics: amoxicillin."
ECHO = "The participants are Dr. Okonkwo-Whitfield."


def text(server, *answers: Answer, model: str = "whisper-1", **options: str) -> str:
    heard = hear(server, *answers, model=model, prompt=PEOPLE, **options)
    return " ".join(segment.text for segment in heard.segments)


@pytest.mark.parametrize(
    "answer",
    [
        ok(ECHO),
        ok("Okay. Amoxicillin."),
        ok("Amoxicillin"),
        verbose(segment(0, 5, ECHO)),
        verbose(segment(0, 3, "So we begin."), segment(3, 5, "Xavier, Siobhan Ng.")),
    ],
)
def test_an_answer_that_may_be_the_hints_is_asked_for_again_without_them(server, answer):
    assert text(server, answer, ok("Mm.")) == "Mm."
    assert [request.get("prompt") for request in server.requests] == [PEOPLE, ""]


def test_the_second_request_is_counted_and_paid(server):
    heard = hear(server, ok(ECHO), ok("Mm."), prompt=PEOPLE)
    once = hear(server, ok("Hello."))
    assert (heard.requests, heard.audio_ms) == (2, 2 * once.audio_ms)


def test_names_that_were_said_stay_as_the_hints_spell_them(server):
    assert (
        text(server, ok("Siobhan Ng, and Xavier."), ok("Shavorn Eng and Zavier."))
        == "Siobhan Ng, and Xavier."
    )


def test_nothing_in_the_second_answer_is_nothing(server):
    assert text(server, ok(ECHO), ok("")) == ""


@pytest.mark.parametrize(
    "answer", [ok("This is something else."), ok("I spoke with Xavier about the house.")]
)
def test_other_answers_are_not_asked_for_again(server, answer):
    assert text(server, answer)
    assert len(server.requests) == 1


def test_an_impossible_rate_of_words_is_asked_for_again(server):
    fast = verbose(segment(0, 0.3, "We are going to go ahead and see what comes."))
    assert text(server, fast, ok("Mm.")) == "Mm."


@pytest.mark.parametrize(
    ("more", "kept"), [({"avg_logprob": -0.9}, False), ({"avg_logprob": -0.1}, True), ({}, True)]
)
def test_what_comes_too_fast_is_left_out_where_the_model_is_not_sure(server, more, kept):
    said = segment(0, 4, "This was said.")
    fast = segment(4, 4.2, "We are going to go ahead and see what comes.", **more)
    heard = hear(server, verbose(said, fast))
    assert [s.text for s in heard.segments] == [said["text"], *([fast["text"]] if kept else [])]


def test_a_failure_of_the_second_request_counts_both(server):
    server.answer_with(ok(ECHO), status(500))
    with pytest.raises(ProviderFailed) as failed:
        engine(server).transcribe(SPEECH, TranscribeOptions(prompt=PEOPLE))
    assert failed.value.requests == 2


def test_very_little_speech_gets_no_hints(server):
    server.answer_with(ok("Yes."))
    engine(server).transcribe(make_numbered_speech(0, 1)[:12_000], TranscribeOptions(prompt=PEOPLE))
    assert [request.get("prompt") for request in server.requests] == [""]


def test_a_model_that_takes_no_hints_is_asked_once(server):
    assert text(server, ok("Amoxicillin."), model="gpt-4o-transcribe-diarize") == "Amoxicillin."
    assert len(server.requests) == 1
