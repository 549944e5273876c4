"""The engines and models of this site: built-in ones, and the providers in the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from django.conf import settings

from jobs_app.engines import devices
from jobs_app.engines.local_models import able, local_models
from speech.engines import capabilities, load_engine
from speech.engines.base import CPU, Capabilities, Engine, EngineSettings
from speech.engines.models import model_path
from speech.engines.providers import Provider
from speech.errors import ModelUnavailable, NotSupported
from speech.text.languages import CANTONESE, WHISPER_LANGUAGES

BUILT_IN_MODELS: dict[str, Callable[[], list[str]]] = {"local": local_models, "fake": lambda: ["fake"]}


def engine_models() -> dict[str, list[str]]:
    """Return the models that users may choose, by engine. The first model is the engine's default."""
    built_in = {engine: BUILT_IN_MODELS[engine]() for engine in settings.ENGINES}
    return built_in | {name: list(provider.models) for name, provider in settings.PROVIDERS.items()}


def engine_names() -> list[str]:
    """Return every engine that can do a job on this machine, even if new jobs may not choose it."""
    return [*BUILT_IN_MODELS, *settings.PROVIDERS]


def provider_of(engine: str) -> Provider | None:
    """Return the server behind an engine's name; None for a built-in engine.

    Raises:
        NotSupported: there is no such engine, or it was removed.
    """
    if engine in BUILT_IN_MODELS:
        return None
    if engine not in settings.PROVIDERS:
        raise NotSupported(
            f"There is no engine {engine!r} here any more. Choose one of: {', '.join(engine_models())}."
        )
    return settings.PROVIDERS[engine]


def capabilities_of(engine: str, model: str) -> Capabilities:
    """Return what a model can do, without loading it.

    Raises:
        NotSupported: there is no such engine.
    """
    provider = provider_of(engine)
    if engine == "local":
        return able(model)
    return capabilities("openai" if provider else engine, model, provider)


def translations_of(engine: str, model: str) -> frozenset[str]:
    """Return the languages into which a job with this model can be translated."""
    by_translator = WHISPER_LANGUAGES | CANTONESE if settings.TRANSLATOR else frozenset()
    return capabilities_of(engine, model).translates_to | by_translator


def engine_for(engine: str, model: str) -> Engine:
    """Return the engine with its model. It is loaded when this process first asks for it.

    Raises:
        NotSupported: there is no such engine.
        ModelUnavailable: its model cannot be loaded.
    """
    if provider := provider_of(engine):
        return load_engine("openai", EngineSettings(model=model, provider=provider))
    loaded = load_engine(engine, _settings_of(engine, model))
    if (runs_on := getattr(loaded, "runs_on", None)) is not None:
        devices.note(runs_on)
    return loaded


def longer_on_gpu(engine: str, model: str, able: Capabilities) -> Capabilities:
    """Return the same with windows of as many half minutes as a GPU of this machine decodes at once.

    Call it in a worker: it may ask CUDA.
    """
    if engine != "local" or settings.LOCAL_DEVICE == CPU:
        return able
    from speech.engines.local.device import find_device

    try:
        if not find_device(EngineSettings(model=model, device=settings.LOCAL_DEVICE)).half_minutes:
            return able
        half_minutes = find_device(_settings_of(engine, model)).half_minutes
    except ModelUnavailable:
        # Whoever transcribes will say so, if the fallback does not do it.
        return able
    return replace(
        able,
        min_window_s=max(able.min_window_s, 20 * half_minutes),
        max_window_s=max(able.max_window_s, 29 * half_minutes),
    )


def _settings_of(engine: str, model: str) -> EngineSettings:
    return EngineSettings(
        model=model,
        model_dir=_local_model(model, settings.MODELS_DIR) if engine == "local" else "",
        threads=settings.ENGINE_THREADS,
        device=settings.LOCAL_DEVICE,
        compute_type=settings.LOCAL_COMPUTE_TYPE,
        gpu_lock=devices.gpu_lock(),
    )


@cache
def _local_model(model: str, models_dir: Path) -> str:
    return model_path(model, models_dir)
