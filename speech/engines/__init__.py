"""The engines by name. Importing this module loads no inference library and no model."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from speech.engines.base import Capabilities, Engine, EngineSettings, TranscribeOptions
from speech.engines.models import hears_short_context
from speech.engines.openai.models import capabilities as openai_capabilities
from speech.engines.providers import Provider
from speech.errors import NotSupported
from speech.models.catalogue import KNOWN, of_repository
from speech.models.store import read_note
from speech.text.languages import ENGLISH, languages_of

_ENGINES = {
    "local": "speech.engines.local.engine:LocalEngine",
    "fake": "speech.engines.fake:FakeEngine",
    "openai": "speech.engines.openai.engine:OpenAIEngine",
}
LOCAL_WINDOW_S = (44, 57)
"""Two half minutes that Whisper is to hear, and almost full (docs/decisions/0035-windows-in-batches.md)."""
_NO_TRANSLATOR = re.compile(r"turbo|distil")
"""Such models were not taught to translate: they write what was said, in its own language."""
_FAKE = Capabilities(needs_voice_activity=False, live=True)
_loaded: dict[tuple[int, str, EngineSettings], Engine] = {}


def load_engine(name: str, settings: EngineSettings) -> Engine:
    """Return the engine with its model. It is loaded when this process first asks for it.

    Raises:
        NotSupported: there is no such engine.
        ModelUnavailable: its model cannot be loaded.
    """
    # A model that was loaded before a fork hangs in the child. So a child never gets its parent's model.
    key = (os.getpid(), name, settings)
    if key not in _loaded:
        module, _, kind = _dotted(name).partition(":")
        _loaded[key] = getattr(import_module(module), kind)(settings)
    return _loaded[key]


def capabilities(
    name: str, model: str, provider: Provider | None = None, *, directory: str = ""
) -> Capabilities:
    """Return what a model of an engine can do, without loading either.

    `provider` is for the openai engine. `directory` has the files of a local model that was installed. They
    say more than its name, which is whatever somebody has called it.

    Raises:
        NotSupported: there is no such engine.
    """
    _dotted(name)
    if name == "fake":
        return _FAKE
    if name == "openai":
        return openai_capabilities(model, provider)
    note = read_note(Path(directory)) if directory else None
    repository = note.repository if note else ""
    known = KNOWN.get(model) or of_repository(repository)
    languages = ENGLISH if known and known.english_only else languages_of(directory or model)
    model = repository or model
    short = hears_short_context(model)
    local = Capabilities(
        languages=languages,
        live=True,
        min_window_s=LOCAL_WINDOW_S[0],
        max_window_s=LOCAL_WINDOW_S[1],
        short_windows=short,
    )
    if languages == ENGLISH:
        return replace(local, detects_language=False)
    return replace(local, translates_to=frozenset() if _NO_TRANSLATOR.search(model) else ENGLISH)


def check_options(able: Capabilities, options: TranscribeOptions) -> None:
    """Refuse what the model cannot do, before any work is done.

    Raises:
        NotSupported: its sentence says which option to change.
    """
    if options.language and able.languages and options.language not in able.languages:
        known = (
            "it knows only English; choose a model that knows others"
            if able.languages == ENGLISH
            else "use an ISO 639-1 code such as en"
        )
        raise NotSupported(
            f"This model does not know the language {options.language!r}: {known}.", option="language"
        )
    allowed = options.prior.allowed
    if not options.language and allowed and able.languages and not allowed & able.languages:
        known = "knows only English" if able.languages == ENGLISH else "knows none of them"
        raise NotSupported(
            f"The languages that may be spoken are {', '.join(sorted(allowed))}, and this model {known}. "
            "Choose another model, or allow another language.",
            option="languages",
        )
    if options.translate_to and options.translate_to not in able.translates_to:
        possible = ", ".join(sorted(able.translates_to)) or "no other language"
        raise NotSupported(
            f"This model cannot translate into {options.translate_to!r}; it can translate into {possible}. "
            "For all languages, the people who run this server can configure a chat model: TRANSLATOR_MODEL, "
            "with TRANSLATOR_API_KEY or TRANSLATOR_BASE_URL.",
            option="translate_to",
        )


def _dotted(name: str) -> str:
    if name not in _ENGINES:
        raise NotSupported(f"There is no engine {name!r}. Choose one of: {', '.join(sorted(_ENGINES))}.")
    return _ENGINES[name]
