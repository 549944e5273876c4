"""Check what the engines on this site can do: each one transcribes a second of speech."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

from jobs_app.engines.offered import capabilities_of, engine_for, engine_models, provider_of
from speech.engines.base import Capabilities, TranscribeOptions
from speech.engines.openai.listing import listed_models
from speech.engines.openai.models import facts_of
from speech.errors import SpeechError
from speech.samples import Samples

# This is the first second of tests/audio/hello_5s.wav. Without speech, no engine would be asked.
HELLO = Path(__file__).parent / "hello.flac"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedModel:
    """One model that users may choose. The last four fields are None for a built-in engine.

    `listed` says whether the server lists the model as its own; None if the server does not say.
    """

    engine: str
    model: str
    can: Capabilities
    sends_audio_to: str | None = None
    listed: bool | None = None
    max_request_bytes: int | None = None
    max_audio_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What happened when a model transcribed the second of speech. `code` and `error` are empty if it
    answered.

    `timing` says which times it gave, as in `speech.types.Transcription`.
    """

    seconds: float
    heard: str = ""
    timing: str = ""
    code: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.code


def offered_models(only_engine: str = "", *, ask: bool = True) -> Iterator[OfferedModel]:
    """Yield all models, or those of one engine. With `ask`, each provider is asked which models it has."""
    for engine, models in engine_models().items():
        if only_engine not in ("", engine):
            continue
        provider = provider_of(engine)
        listed = listed_models(provider) if provider and ask else None
        for model in models:
            can = capabilities_of(engine, model)
            if provider is None:
                yield OfferedModel(engine=engine, model=model, can=can)
                continue
            facts = facts_of(model, provider)
            yield OfferedModel(
                engine=engine,
                model=model,
                can=can,
                sends_audio_to=provider.host,
                listed=None if listed is None else model in listed,
                max_request_bytes=facts.max_request_bytes,
                max_audio_s=facts.max_audio_s,
            )


def try_model(engine: str, model: str) -> Trial:
    """Transcribe a second of speech. The time to load the model does not count."""
    began = time.monotonic()
    try:
        loaded = engine_for(engine, model)
        began = time.monotonic()
        heard = loaded.transcribe(_hello(), TranscribeOptions())
    except SpeechError as e:
        return Trial(seconds=time.monotonic() - began, code=e.code, error=e.why)
    text = " ".join(segment.text.strip() for segment in heard.segments)
    return Trial(seconds=time.monotonic() - began, heard=text, timing=heard.timing if text else "")


def _hello() -> Samples:
    samples: Samples = soundfile.read(HELLO, dtype="float32")[0]
    return samples
