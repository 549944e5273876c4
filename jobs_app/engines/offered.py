"""The engines and models of this site: built-in ones, and the providers in the settings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.conf import settings

from speech.engines import capabilities, load_engine
from speech.engines.base import Capabilities, Engine, EngineSettings
from speech.engines.models import model_path
from speech.engines.providers import Provider
from speech.errors import NotSupported

BUILT_IN_MODELS = {"local": lambda: settings.LOCAL_MODELS, "fake": lambda: ["fake"]}


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
    return capabilities("openai" if provider else engine, model, provider)


def engine_for(engine: str, model: str) -> Engine:
    """Return the engine with its model. It is loaded when this process first asks for it.

    Raises:
        NotSupported: there is no such engine.
        ModelUnavailable: its model cannot be loaded.
    """
    if provider := provider_of(engine):
        return load_engine("openai", EngineSettings(model=model, provider=provider))
    path = _local_model(model, settings.MODELS_DIR) if engine == "local" else ""
    return load_engine(engine, EngineSettings(model=model, model_dir=path, threads=settings.ENGINE_THREADS))


@cache
def _local_model(model: str, models_dir: Path) -> str:
    return model_path(model, models_dir)
