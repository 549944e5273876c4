"""Asking the openai engine, of a scripted server."""

from __future__ import annotations

from typing import Any

import pytest

from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.openai.engine import OpenAIEngine
from speech.engines.providers import Provider
from speech.errors import SpeechError
from speech.types import Transcription
from tests.speech.numbered_speech import make_numbered_speech
from tests.speech.scripted_provider import Answer, ScriptedProvider, ok

KEY = "sk-proj-0123456789abcdef"
SPEECH = make_numbered_speech(0, 4)
"""Six seconds, spoken from 0 to 5.5 s."""
ASK = TranscribeOptions()


def engine(server: ScriptedProvider, model: str = "whisper-1", **given: Any) -> OpenAIEngine:
    settings: dict[str, Any] = {"name": "openai", "base_url": server.url, "api_key": KEY, "timeout_s": 20}
    return OpenAIEngine(EngineSettings(model=model, provider=Provider(**(settings | given))))


def failure(of: OpenAIEngine, options: TranscribeOptions = ASK) -> SpeechError:
    with pytest.raises(SpeechError) as failed:
        of.transcribe(SPEECH, options)
    return failed.value


def words(heard: Transcription) -> list[str]:
    return [word.text for segment in heard.segments for word in segment.words]


def verbose(*segments: dict[str, Any], **more: Any) -> Answer:
    return ok(
        " ".join(s["text"].strip() for s in segments), language="english", segments=list(segments), **more
    )


def segment(start: float, end: float, text: str, **more: Any) -> dict[str, Any]:
    return {"id": 0, "start": start, "end": end, "text": text, **more}


def word(text: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    return {"word": text, "start": start, "end": end, **more}


def hear(
    server: ScriptedProvider, *answers: Answer, model: str = "whisper-1", **options: Any
) -> Transcription:
    server.answer_with(*answers)
    return engine(server, model).transcribe(SPEECH, TranscribeOptions(**options))
