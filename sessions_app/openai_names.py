"""The names of models under /v1/, where a request names no engine."""

from __future__ import annotations

from django.conf import settings

from jobs_app.api_errors import Problem
from jobs_app.options import engine_models


def models_by_name() -> dict[str, tuple[str, str]]:
    """(engine, model) by the names that requests use.

    Local models have their own names, all others `engine/model`. The names of OpenAI's models that are in
    V1_MODEL_ALIASES stand for the default engine: for its model of that name, or else for its first one.
    """
    offered = engine_models()
    names = {
        model if engine == "local" else f"{engine}/{model}": (engine, model)
        for engine, models in offered.items()
        for model in models
    }
    default = settings.DEFAULT_ENGINE
    for alias in settings.V1_MODEL_ALIASES:
        names.setdefault(alias, (default, alias if alias in offered[default] else offered[default][0]))
    return names


def find_model(name: str) -> tuple[str, str]:
    """The (engine, model) of a name. Raises a Problem of the API where there is none."""
    names = models_by_name()
    if name not in names:
        raise Problem(
            404,
            "model_not_found",
            f"The model {name[:200]!r} does not exist here. GET /v1/models lists those that do.",
            param="model",
        )
    return names[name]
