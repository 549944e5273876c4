"""The engine where nobody asked for the times of words."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from speech.engines.base import TranscribeOptions
from speech.engines.local.engine import LocalEngine
from speech.engines.local.without_words import needs_words
from speech.types import SAMPLE_RATE, Span, Transcription
from tests.speech.wer import spoken_words

TEXT = TranscribeOptions(language="en", word_times=False)
WORDS = replace(TEXT, word_times=True)


@pytest.fixture
def aligned(tiny: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that words were given times."""
    calls: list[int] = []
    find_alignment = tiny._model.find_alignment

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return find_alignment(*given, **named)

    monkeypatch.setattr(tiny._model, "find_alignment", counted)
    return calls


def said(heard: Transcription) -> list[str]:
    return spoken_words(" ".join(segment.text for segment in heard.segments))


@pytest.mark.slow
@pytest.mark.recordings
def test_text_alone_is_the_same_without_alignment(tiny, jfk, aligned):
    heard = tiny.transcribe(jfk, TEXT)
    assert aligned == []
    assert (heard.timing, [segment.words for segment in heard.segments]) == ("segments", [()] * 2)
    with_words = tiny.transcribe(jfk, WORDS)
    assert aligned and with_words.timing == "words"
    assert said(with_words) == said(heard)
    for segment, timed in zip(heard.segments, with_words.segments, strict=True):
        assert abs(segment.start_ms - timed.start_ms) < 500
        assert 0 < segment.confidence < 1


@pytest.mark.slow
@pytest.mark.recordings
def test_hints_are_checked_word_by_word(tiny, jfk, aligned):
    heard = tiny.transcribe(jfk, replace(TEXT, prompt="Kubernetes"))
    assert aligned
    assert heard.timing == "words"


@pytest.mark.slow
@pytest.mark.recordings
def test_text_that_faster_whisper_would_leave_out_is_heard_with_word_times(tiny, jfk, aligned, monkeypatch):
    split = tiny._model._split_segments_by_timestamps

    def without_length(*given: Any, **named: Any) -> Any:
        segments, *rest = split(*given, **named)
        for segment in segments:
            segment["end"] = segment["start"]
        tiny._model.leaves_out = True
        return segments, *rest

    monkeypatch.setattr(tiny._model, "_split_segments_by_timestamps", without_length)
    heard = tiny.transcribe(jfk[: 5 * SAMPLE_RATE], TEXT)
    assert aligned
    assert "americans" in said(heard)


SPEECH = [Span(0, 4_000), Span(4_500, 8_000)]
WHOLE = Span(0, 8_000)


def part(start: float, end: float, text: str, no_speech_prob: float = 0.01) -> Any:
    return SimpleNamespace(start=start, end=end, text=text, no_speech_prob=no_speech_prob, words=None)


FIRST, SECOND = "And so my fellow Americans ask not", "what your country can do for you, ask what"


def test_what_covers_the_speech_needs_no_words():
    assert not needs_words([part(0, 4.2, FIRST), part(4.4, 8, SECOND)], WHOLE, SPEECH)
    # A character of Chinese takes as long as some letters.
    assert not needs_words([part(0, 4, "今天天气怎么样明天会下雨吗")], Span(0, 4_000), SPEECH)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [part(0, 4.2, FIRST)],
        [part(4.4, 8, SECOND)],
        [part(0, 8, FIRST)],
        [part(0, 4.2, FIRST), part(4.4, 8, SECOND, no_speech_prob=0.4)],
        [part(0, 4.2, FIRST), part(4.4, 8, 20 * SECOND)],
    ],
    ids=["no text", "the end is missing", "the beginning", "too little text", "maybe a hum", "too fast"],
)
def test_word_times_show_what_may_be_wrong(parts):
    assert needs_words(parts, WHOLE, SPEECH)
