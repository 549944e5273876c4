"""What a job is asked to do: defaults from the settings, checked against what the engine can do.

The engine of a job is a built-in one, `local` or `fake`, or the name of a provider of the settings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from django.conf import settings

from jobs_app.models import JobPriority, TranscriptionJob
from speech.engines import capabilities, check_options, load_engine
from speech.engines.base import Capabilities, Engine, EngineSettings, TranscribeOptions
from speech.engines.models import model_path
from speech.engines.providers import Provider
from speech.errors import NotSupported

BUILT_IN_MODELS = {"local": lambda: settings.LOCAL_MODELS, "fake": lambda: ["fake"]}
NO_FALLBACK = "none"
"""As `fallback_engine`: not even the one of the settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of API.md, filled in and checked. `language` empty: find out.

    `fallback_engine` empty: what the engine cannot do fails. `temperature` None: as the engine likes.
    """

    engine: str
    model: str
    language: str = ""
    translate_to: str = ""
    diarize: bool = False
    num_speakers: int | None = None
    prompt: str = ""
    temperature: float | None = None
    priority: str = JobPriority.NORMAL
    fallback_engine: str = ""
    fallback_model: str = ""


def engine_models() -> dict[str, list[str]]:
    """The models that users may choose, by engine; the first one is the engine's default."""
    built_in = {engine: BUILT_IN_MODELS[engine]() for engine in settings.ENGINES}
    return built_in | {name: list(provider.models) for name, provider in settings.PROVIDERS.items()}


def engine_names() -> list[str]:
    """Every engine that a job of this machine can be done by, whether or not new jobs may choose it."""
    return [*BUILT_IN_MODELS, *settings.PROVIDERS]


def provider_of(engine: str) -> Provider | None:
    """The server behind an engine's name; None for a built-in engine.

    Raises:
        NotSupported: there is no such engine, or no longer.
    """
    if engine in BUILT_IN_MODELS:
        return None
    if engine not in settings.PROVIDERS:
        raise NotSupported(
            f"There is no engine {engine!r} here any more. Choose one of: {', '.join(engine_models())}."
        )
    return settings.PROVIDERS[engine]


def capabilities_of(engine: str, model: str) -> Capabilities:
    """What a model can do, without loading it.

    Raises:
        NotSupported: there is no such engine.
    """
    provider = provider_of(engine)
    return capabilities("openai" if provider else engine, model, provider)


def engine_for(engine: str, model: str) -> Engine:
    """The engine with its model, loaded the first time this process asks for it.

    Raises:
        NotSupported: there is no such engine.
        ModelUnavailable: its model cannot be loaded.
    """
    if provider := provider_of(engine):
        return load_engine("openai", EngineSettings(model=model, provider=provider))
    path = _local_model(model, settings.MODELS_DIR) if engine == "local" else ""
    return load_engine(engine, EngineSettings(model=model, model_dir=path, threads=settings.ENGINE_THREADS))


def resolve_options(
    *,
    engine: str = "",
    model: str = "",
    language: str = "",
    translate_to: str = "",
    diarize: bool = False,
    num_speakers: int | None = None,
    prompt: str = "",
    temperature: float | None = None,
    priority: str = "",
    fallback_engine: str = "",
    fallback_model: str = "",
) -> JobOptions:
    """Fill in what was left out.

    Raises:
        NotSupported: the engine, model or fallback is not offered here, or cannot do what is asked.
    """
    if temperature is not None and not 0 <= temperature <= 1:
        raise NotSupported(f"The temperature {temperature} is not from 0 to 1. Choose one that is.")
    wanted = TranscribeOptions(
        language=language, translate_to=translate_to, prompt=prompt, temperature=temperature
    )
    engine, model = _offered(engine or settings.DEFAULT_ENGINE, model)
    _check_able(engine, model, wanted, diarize=diarize)
    # A fallback without the hints is better than none.
    hintless = replace(wanted, prompt="")
    if fallback_engine or fallback_model:
        fallback = _chosen_fallback(fallback_engine, fallback_model, hintless, diarize=diarize)
        if fallback == (engine, model):
            raise NotSupported("The fallback is the engine itself. Choose another one, or another model.")
    else:
        fallback = _default_fallback(engine, model, hintless, diarize=diarize)
    return JobOptions(
        engine=engine,
        model=model,
        language=language,
        translate_to=translate_to,
        diarize=diarize,
        num_speakers=num_speakers,
        prompt=prompt,
        temperature=temperature,
        priority=priority or JobPriority.NORMAL,
        fallback_engine=fallback[0],
        fallback_model=fallback[1],
    )


def transcribe_options(wanted: JobOptions | TranscriptionJob) -> TranscribeOptions:
    return TranscribeOptions(
        language=wanted.language,
        translate_to=wanted.translate_to,
        prompt=wanted.prompt,
        temperature=wanted.temperature,
    )


def _offered(engine: str, model: str) -> tuple[str, str]:
    """The engine and its model, or its first one."""
    offered = engine_models()
    if engine not in offered:
        raise NotSupported(f"There is no engine {engine!r} here. Choose one of: {', '.join(offered)}.")
    model = model or offered[engine][0]
    if model not in offered[engine]:
        raise NotSupported(
            f"The engine {engine!r} has no model {model!r} here. Choose one of: {', '.join(offered[engine])}."
        )
    return engine, model


def _check_able(engine: str, model: str, wanted: TranscribeOptions, *, diarize: bool) -> None:
    able = capabilities_of(engine, model)
    if diarize and not able.diarizes:
        raise NotSupported(
            f"The model {model!r} cannot tell speakers apart. Leave `diarize` out or choose another engine."
        )
    if wanted.prompt and not able.prompt:
        raise NotSupported(
            f"The model {model!r} takes no hint words. Leave `prompt` out or choose another model."
        )
    check_options(able, wanted)


def _chosen_fallback(engine: str, model: str, wanted: TranscribeOptions, *, diarize: bool) -> tuple[str, str]:
    if engine == NO_FALLBACK and not model:
        return "", ""
    if engine in ("", NO_FALLBACK):
        raise NotSupported("A `fallback_model` needs its `fallback_engine` beside it.")
    fallback = _offered(engine, model)
    _check_able(*fallback, wanted, diarize=diarize)
    return fallback


def _default_fallback(
    engine: str, model: str, wanted: TranscribeOptions, *, diarize: bool
) -> tuple[str, str]:
    """The one of the settings; none where it is the engine itself or cannot do what is asked."""
    if not settings.FALLBACK_ENGINE:
        return "", ""
    fallback = _offered(settings.FALLBACK_ENGINE, settings.FALLBACK_MODEL)
    try:
        _check_able(*fallback, wanted, diarize=diarize)
    except NotSupported:
        return "", ""
    return fallback if fallback != (engine, model) else ("", "")


@cache
def _local_model(model: str, models_dir: Path) -> str:
    return model_path(model, models_dir)
