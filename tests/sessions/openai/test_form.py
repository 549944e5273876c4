"""The form under /v1/ as the many clients write it."""

from __future__ import annotations

import json

import pytest
from django.http import QueryDict

from sessions_app.openai.events import event_of
from sessions_app.openai.form import GRANULARITIES, normalised
from sessions_app.openai.serializers import TranscriptionInput
from tests.sessions.openai.test_errors import TRANSCRIPTIONS, client, error_of, form, key, storage  # noqa: F401


def read(*pairs: tuple[str, str]) -> QueryDict:
    given = QueryDict(mutable=True)
    for name, value in pairs:
        given.appendlist(name, value)
    return normalised(given)


VERBOSE = ("response_format", "verbose_json")


@pytest.mark.parametrize(
    "written",
    [
        [(GRANULARITIES, "word"), (GRANULARITIES, "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        [("timestamp_granularities[0]", "word"), ("timestamp_granularities[1]", "segment")],
        [("timestamp_granularities", '["word", "segment"]')],
        [(GRANULARITIES, "word,segment")],
        [("timestamp_granularities", " word , segment ")],
    ],
)
def test_lists_are_understood_however_they_are_written(written):
    assert read(VERBOSE, *written).getlist(GRANULARITIES) == ["word", "segment"]


@pytest.mark.parametrize("other", ["timestamp_granularity", "x_timestamp_granularities[0]", "word"])
def test_other_names_are_no_lists(other):
    assert read(VERBOSE, (other, "word")).getlist(GRANULARITIES) == []


@pytest.mark.parametrize("response_format", [None, "json", "text", "srt", "vtt"])
@pytest.mark.parametrize("value", ["segment", "word", "letter", "[", ""])
def test_granularities_are_ignored_where_the_answer_has_no_times(response_format, value):
    fields = [("response_format", response_format)] if response_format else []
    assert GRANULARITIES not in read(*fields, (GRANULARITIES, value), ("timestamp_granularities[0]", value))


@pytest.mark.parametrize("value", ["[", '{"a": 1}', "[[[", "letter"])
def test_what_is_no_granularity_stays_to_be_refused(value):
    assert read(VERBOSE, (GRANULARITIES, value)).getlist(GRANULARITIES)


def test_keywords_are_added_to_the_prompt():
    both = read(("prompt", "At the clinic"), ("keywords[]", "Ozempic"), ("keywords[]", "Wegovy"))
    assert both["prompt"] == "At the clinic, Ozempic, Wegovy"
    assert read(("keywords", '["Zürich", "Bern"]'))["prompt"] == "Zürich, Bern"
    assert "prompt" not in read(("keywords[]", ""))


def test_one_language_of_a_list_is_the_language_and_several_are_left_to_detection():
    assert read(("languages[]", "de"))["language"] == "de"
    assert read(("languages[]", "de"), ("language", "fr"))["language"] == "fr"
    assert "language" not in read(("languages[]", "de"), ("languages[]", "en"))


@pytest.mark.parametrize("value", ["0", "0.0", "1", ".5", " 0.5 ", "1e-1", ""])
def test_a_temperature_is_any_number_from_0_to_1_or_nothing(value):
    given = TranscriptionInput(data=read(("temperature", value), ("model", "m")))
    given.is_valid()
    assert "temperature" not in given.errors


@pytest.mark.parametrize("response_format", ["srt", "vtt", "verbose_json"])
def test_a_stream_is_of_text_alone_and_otherwise_not_asked_for(response_format):
    given = TranscriptionInput(data=read(("response_format", response_format), ("stream", "true")))
    given.fields["file"].required = False
    assert given.is_valid(), given.errors
    assert given.validated_data["stream"] is False


@pytest.mark.parametrize(
    ("needed", "fields"),
    [
        (False, []),
        (False, [("response_format", "text")]),
        (False, [("stream", "true")]),
        (False, [VERBOSE]),
        (False, [VERBOSE, (GRANULARITIES, "segment")]),
        (False, [("response_format", "json"), (GRANULARITIES, "word")]),
        (True, [VERBOSE, (GRANULARITIES, "word")]),
        (True, [VERBOSE, (GRANULARITIES, "segment"), (GRANULARITIES, "word")]),
        (True, [("response_format", "srt")]),
        (True, [("response_format", "vtt")]),
        (True, [("response_format", "diarized_json")]),
        (True, [("diarize", "true")]),
    ],
)
def test_word_times_are_made_where_the_answer_needs_them(needed, fields):
    given = TranscriptionInput(data=read(*fields))
    given.fields["file"].required = False
    assert given.is_valid(), given.errors
    assert given.options()["word_times"] is needed


def test_no_character_of_a_text_cuts_an_event_in_two():
    said = "".join(map(chr, range(0x3000)))
    event = event_of({"type": "transcript.text.delta", "delta": said}).decode()
    name, data, *end = event.splitlines()
    assert (name, end) == ("event: transcript.text.delta", [""])
    assert json.loads(data.removeprefix("data: "))["delta"] == said


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp_granularities[]": "segment", "response_format": "json"},
        {"timestamp_granularities[]": ["word", "segment"]},
        {"include[]": "logprobs", "chunking_strategy": "auto"},
        {"chunking_strategy": '{"type": "server_vad"}', "known_speaker_names[]": ["a", "b"]},
        {"keywords[]": ["one", "two"], "languages[]": ["en", "de"]},
        {"model": ""},
        {"no_such_field": "1", "user": "someone", "seed": "7"},
        {"stream": "true", "response_format": "verbose_json"},
    ],
)
@pytest.mark.django_db
def test_what_openai_takes_becomes_a_job(client, settings, fields):  # noqa: F811
    settings.V1_TIMEOUT_S = 0
    # It waits for no worker here: taken, and then too late.
    error_of(client.post(TRANSCRIPTIONS, form(**fields)), 504)


@pytest.mark.django_db
def test_without_a_model_it_is_the_default_one(client, settings):  # noqa: F811
    settings.V1_TIMEOUT_S = 0
    fields = form()
    del fields["model"]
    error_of(client.post(TRANSCRIPTIONS, fields), 504)
