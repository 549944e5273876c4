"""The names of models under /v1/, where requests name a model but no engine."""

from __future__ import annotations

from django.conf import settings

from jobs_app.engines.offered import engine_models
from rest.refusals import NotFound
from speech.engines.models import is_here
from speech.models.catalogue import KNOWN


class ModelNotFound(NotFound):
    code = "model_not_found"
    param = "model"

    def __init__(self, name: str) -> None:
        missing = (
            f" It is known, but not installed: `manage.py models install {name}` does that."
            if name in KNOWN and not is_here(name, settings.MODELS_DIR)
            else ""
        )
        super().__init__(
            f"The model {name[:200]!r} does not exist here.{missing} GET /v1/models lists those that do; "
            "further names for the default one stand in the server's setting V1_MODEL_ALIASES."
        )


def models_by_name() -> dict[str, tuple[str, str]]:
    """Return (engine, model) by the names that requests use.

    Local models keep their own names; all others are called `engine/model`. The names of OpenAI's models in
    V1_MODEL_ALIASES stand for the default engine: for its model of the same name, or else for its first
    model.
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
    """Return the (engine, model) of a name; for an empty name, the first model of the default engine.

    Raises:
        ModelNotFound: no model here has this name.
    """
    names = models_by_name()
    if not name:
        return settings.DEFAULT_ENGINE, engine_models()[settings.DEFAULT_ENGINE][0]
    if name not in names:
        raise ModelNotFound(name)
    return names[name]
