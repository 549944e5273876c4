"""Segments through a scripted chat model that is right, wrong, cut off, refuses, is late or away."""

from __future__ import annotations

import json

import pytest

from speech.engines.openai.chat import Chat
from speech.errors import ProviderBusy, ProviderFailed, ProviderRefused, ProviderUnavailable, SpeechError
from speech.translation.prompt import MOST_WORDS, Done, Line, chosen_words
from speech.translation.translator import batch_of, fewer, translate
from tests.speech.scripted_provider import ScriptedProvider, cut, garbage, hang, html, status
from tests.speech.translation.scripted_chat import KEY, asked, provider, says, sent, task, texts, translating

LINES = [Line(id=number * 10, text=f"line {number}") for number in range(1, 5)]


@pytest.fixture
def server():
    with ScriptedProvider(respond=translating) as running:
        yield running


def run(server, lines=LINES, **given):
    return list(translate(Chat(provider(server)), "French", lines, **given))


def merged(parts):
    return {number: text for part in parts for number, text in part.texts.items()}


def answer(*rows, **more):
    return says(json.dumps({"segments": [{"id": number, "text": text} for number, text in rows]}), **more)


RIGHT = {line.id: f"fr:{line.text}" for line in LINES}
FOUR = [(number, f"fr:line {number}") for number in range(1, 5)]


def test_segments_are_translated_in_one_request_that_names_the_language(server):
    (part,) = run(server)
    assert part.texts == RIGHT
    assert (part.cost.requests, part.cost.input_tokens, part.cost.output_tokens) == (1, 100, 10)
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert sent(request)["model"] == "small"
    assert "into French" in task(request)


def test_speakers_the_segments_before_and_the_glossary_are_sent(server):
    lines = [Line(id=1, text="hello", speaker="S2")]
    run(server, lines, before=[Done("good morning", "bonjour")], glossary=["Ngozi Okafor", 'a "b"'])
    (request,) = server.requests
    assert asked(request) == {
        "before": [{"text": "good morning", "translation": "bonjour"}],
        "segments": [{"id": 1, "speaker": "S2", "text": "hello"}],
    }
    assert '["Ngozi Okafor", "a \\"b\\""]' in task(request)


def test_a_glossary_is_bounded_and_what_is_said_comes_first():
    many = [f"word{number}" for number in range(1000)]
    assert chosen_words([*many, "Okafor"], "and then OKAFOR said")[0] == "Okafor"
    assert len(chosen_words(many, "")) == MOST_WORDS
    assert chosen_words(["x" * 2999, "y" * 200], "") == ["x" * 2999]


@pytest.mark.parametrize(
    "text",
    [
        "Here is the translation:\n{}\nI hope that it helps {{you}}!",
        "```json\n{}\n```",
        "<think>{{not this}}</think>{}",
    ],
    ids=["prose", "code fence", "thoughts"],
)
def test_what_stands_around_the_json_is_left_out(server, text):
    whole = json.dumps({"segments": [{"id": str(number), "text": said} for number, said in FOUR]})
    server.answer_with(says(text.format(whole)))
    assert merged(run(server)) == RIGHT
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        says("I cannot read this."),
        says('{"segments": [{"id": 1, "text": "cut'),
        says('["fr:line 1"]'),
        says('{"segments": {"1": "fr"}}'),
        says('{"segments": [7]}'),
        says('{"segments": [{"id": 1.5, "text": "x"}]}'),
        says('{"segments": [{"id": 1, "text": null}]}'),
        says(""),
        answer(*FOUR[:3]),
        answer(*FOUR, (5, "more")),
        answer(*FOUR[:3], (3, "again"), (4, "x")),
        answer(*FOUR[:3], (4, " \n ")),
        answer(*FOUR[:3], (4, "blah " * 200)),
        answer(*FOUR, finish_reason="length"),
        answer(*FOUR, finish_reason="content_filter"),
        says("", refusal="I must not translate this."),
    ],
    ids=[
        "prose",
        "no end",
        "a list",
        "a table",
        "no objects",
        "no number",
        "no text",
        "nothing",
        "one missing",
        "one more",
        "one twice",
        "one empty",
        "far too long",
        "cut off",
        "kept back",
        "refused",
    ],
)
def test_a_malformed_answer_is_asked_again_in_halves_and_nothing_is_lost(server, wrong):
    server.answer_with(wrong)
    parts = run(server)
    assert merged(parts) == RIGHT
    assert [texts(request) for request in server.requests] == [
        ["line 1", "line 2", "line 3", "line 4"],
        ["line 1", "line 2"],
        ["line 3", "line 4"],
    ]
    assert [part.cost.requests for part in parts] == [2, 1]
    assert asked(server.requests[2])["before"][-1] == {"text": "line 2", "translation": "fr:line 2"}


def test_one_segment_that_is_never_translated_costs_the_others_nothing(server):
    def but_the_third(request):
        return says("no") if "line 3" in texts(request) else translating(request)

    server.respond = but_the_third
    parts = run(server)
    assert merged(parts) == {number: text for number, text in RIGHT.items() if number != 30}
    assert [[line.id for line in part.lines] for part in parts] == [[10, 20], [30], [40]]
    assert parts[1].texts == {}


def test_line_breaks_in_a_translation_become_spaces(server):
    server.answer_with(answer((1, " un\ndeux \0 ")))
    assert merged(run(server, LINES[:1])) == {10: "un deux"}


@pytest.mark.parametrize(
    ("wrong", "kind", "retry_after_s"),
    [
        (status(429, headers={"Retry-After": "7"}), ProviderBusy, 7),
        (status(429, body={"error": {"message": "", "code": "insufficient_quota"}}), ProviderRefused, None),
        (status(401), ProviderRefused, None),
        (status(404), ProviderRefused, None),
        (status(500), ProviderFailed, None),
        (status(503), ProviderUnavailable, None),
        (garbage(), ProviderFailed, None),
        (html(), ProviderFailed, None),
        (cut(), ProviderFailed, None),
        (says("x" * 9_000_000), ProviderFailed, None),
    ],
    ids=["busy", "no credit", "wrong key", "no model", "500", "503", "garbage", "html", "cut", "large"],
)
def test_a_server_that_does_not_answer_raises_what_the_work_decides_by(server, wrong, kind, retry_after_s):
    server.answer_with(wrong)
    with pytest.raises(SpeechError) as failed:
        run(server)
    assert type(failed.value) is kind
    assert (failed.value.retry_after_s, failed.value.requests) == (retry_after_s, 1)
    assert KEY not in str(failed.value)


def test_its_messages_name_the_settings_of_the_translator(server):
    server.answer_with(status(404))
    with pytest.raises(ProviderRefused, match="TRANSLATOR_BASE_URL and TRANSLATOR_MODEL"):
        run(server)


def test_a_server_that_is_late_is_given_up_in_time(server):
    server.answer_with(hang())
    with pytest.raises(ProviderUnavailable, match="TRANSLATOR_TIMEOUT_S or lower TRANSLATOR_MAX_CHARACTERS"):
        list(translate(Chat(provider(server, timeout_s=0.3)), "French", LINES))


def test_the_requests_before_a_failure_are_counted_with_it(server):
    server.answer_with(says("no"), status(500))
    with pytest.raises(ProviderFailed) as failed:
        run(server)
    assert failed.value.requests == 2


def test_whoever_waits_can_give_up(server):
    class Cancelled(Exception):
        pass

    def cancelled():
        raise Cancelled

    server.answer_with(hang())
    with pytest.raises(Cancelled):
        run(server, on_wait=cancelled)
    server.wait_for(lambda one: one.requests[0].gone)


def test_fields_that_a_server_refuses_are_not_sent_again(server):
    server.answer_with(
        status(400, body={"error": {"message": "'temperature' does not support 0 with this model."}}),
        status(422, body={"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs"}]}),
    )
    chat = Chat(provider(server))
    (part,) = translate(chat, "French", LINES)
    assert (part.texts, part.cost.requests) == (RIGHT, 3)
    list(translate(chat, "French", LINES))
    sent_fields = [{"temperature", "response_format"} & sent(request).keys() for request in server.requests]
    assert sent_fields == [{"temperature", "response_format"}, {"response_format"}, set(), set()]


def test_a_batch_is_at_least_one_segment_and_as_many_as_fit():
    lines = [Line(id=number, text="x" * 40) for number in range(10)]
    assert len(batch_of(lines, most=3, most_characters=1000)) == 3
    assert len(batch_of(lines, most=30, most_characters=100)) == 2
    assert len(batch_of([Line(id=1, text="x" * 500)], most=30, most_characters=100)) == 1
    assert [fewer(30, attempt) for attempt in (1, 2, 3, 6, 40)] == [30, 15, 7, 1, 1]
