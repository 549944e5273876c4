"""What a job is asked to do: defaults from the settings, checked against what the engine can do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.conf import settings

from jobs_app.models import JobPriority, TranscriptionJob
from speech.engines import capabilities, check_options
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.models import model_path
from speech.errors import NotSupported


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of API.md, filled in and checked. `language` empty: find out."""

    engine: str
    model: str
    language: str = ""
    translate_to: str = ""
    diarize: bool = False
    num_speakers: int | None = None
    prompt: str = ""
    priority: str = JobPriority.NORMAL


def engine_models() -> dict[str, list[str]]:
    """The models that users may choose, by engine; the first one is the engine's default."""
    known = {"local": settings.LOCAL_MODELS, "fake": ["fake"]}
    return {engine: known[engine] for engine in settings.ENGINES}


def resolve_options(
    *,
    engine: str = "",
    model: str = "",
    language: str = "",
    translate_to: str = "",
    diarize: bool = False,
    num_speakers: int | None = None,
    prompt: str = "",
    priority: str = "",
) -> JobOptions:
    """Fill in what was left out.

    Raises:
        NotSupported: the engine or model is not offered here, or cannot do what is asked.
    """
    offered = engine_models()
    engine = engine or settings.DEFAULT_ENGINE
    if engine not in offered:
        raise NotSupported(f"There is no engine {engine!r} here. Choose one of: {', '.join(offered)}.")
    model = model or offered[engine][0]
    if model not in offered[engine]:
        raise NotSupported(
            f"The engine {engine!r} has no model {model!r} here. Choose one of: {', '.join(offered[engine])}."
        )
    able = capabilities(engine, model)
    if diarize and not able.diarizes:
        raise NotSupported(
            f"The model {model!r} cannot tell speakers apart. Leave `diarize` out or choose another engine."
        )
    check_options(able, TranscribeOptions(language=language, translate_to=translate_to, prompt=prompt))
    return JobOptions(
        engine=engine,
        model=model,
        language=language,
        translate_to=translate_to,
        diarize=diarize,
        num_speakers=num_speakers,
        prompt=prompt,
        priority=priority or JobPriority.NORMAL,
    )


def transcribe_options(wanted: JobOptions | TranscriptionJob) -> TranscribeOptions:
    return TranscribeOptions(language=wanted.language, translate_to=wanted.translate_to, prompt=wanted.prompt)


@cache
def engine_settings(engine: str, model: str) -> EngineSettings:
    """What the engine needs to know of this machine, for `speech.engines.load_engine`.

    Raises:
        ModelUnavailable: the model is not on this machine.
    """
    path = model_path(model, settings.MODELS_DIR) if engine == "local" else ""
    return EngineSettings(model=model, model_dir=path, threads=settings.ENGINE_THREADS)
