"""Read the settings of speech servers from the environment; docs/operations.md lists them.

OPENAI_API_KEY or OPENAI_BASE_URL configures the server called "openai", whose settings begin with `OPENAI_`.
The settings of each name in PROVIDERS have a prefix of their own: those of `groq` begin with
`PROVIDER_GROQ_`. The chat model that translates is configured by the settings that begin with `TRANSLATOR_`.
"""

from __future__ import annotations

import re
from typing import Literal

from django.core.exceptions import ImproperlyConfigured

from speech.engines.providers import TRANSLATOR, Provider
from speech.types import Container
from transcribe_site import env

OPENAI = "openai"
OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODELS = "whisper-1,gpt-transcribe,gpt-4o-transcribe,gpt-4o-mini-transcribe"
BUILT_IN = ("local", "fake", TRANSLATOR)
FIELDS = (
    "BASE_URL",
    "API_KEY",
    "MODELS",
    "CONCURRENCY",
    "REQUESTS_PER_MINUTE",
    "PRICE_PER_MINUTE",
    "TIMEOUT_S",
    "MAX_REQUEST_MB",
    "MAX_AUDIO_S",
    "CONTAINER",
    "WORD_TIMES",
    "WINDOW_S",
)
"""The names of settings that may follow a prefix."""
TRANSLATOR_FIELDS = (
    "BASE_URL",
    "API_KEY",
    "MODEL",
    "CONCURRENCY",
    "REQUESTS_PER_MINUTE",
    "TIMEOUT_S",
    "INPUT_PRICE",
    "OUTPUT_PRICE",
)
"""The same of the chat model that translates."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_MIB = 1024 * 1024


def prefix_of(name: str) -> str:
    """Return the prefix of the names of a provider's settings."""
    return Provider(name=name, base_url="").setting


def providers(names: list[str]) -> dict[str, Provider]:
    """Return the providers of these names, with "openai" before them if it is configured.

    Raises:
        ImproperlyConfigured: a setting cannot be used. The message names the setting, but repeats no secret.
    """
    if env.text("OPENAI_API_KEY") or env.text("OPENAI_BASE_URL"):
        names = [OPENAI, *names]
    found: dict[str, Provider] = {}
    for name in dict.fromkeys(names):
        if name in (*BUILT_IN, "none"):
            raise ImproperlyConfigured(f"PROVIDERS: {name} has a meaning of its own; take another name")
        if not _NAME.fullmatch(name):
            raise ImproperlyConfigured(
                f"PROVIDERS: {name!r} must be made of at most 40 small letters, digits, - and _"
            )
        if twin := next((other for other in found if prefix_of(other) == prefix_of(name)), None):
            raise ImproperlyConfigured(
                f"PROVIDERS: {twin} and {name} would share the settings {prefix_of(name)}..."
            )
        found[name] = _provider(name)
    return found


def _provider(name: str) -> Provider:
    prefix = prefix_of(name)
    default_url = OPENAI_URL if name == OPENAI else ""
    base_url = env.http_url(f"{prefix}BASE_URL", default_url)
    if not base_url:
        raise ImproperlyConfigured(f"{prefix}BASE_URL must be set, such as http://127.0.0.1:8001/v1")
    at_openai = base_url == OPENAI_URL
    api_key = env.token(f"{prefix}API_KEY")
    if not api_key and at_openai:
        raise ImproperlyConfigured(f"{prefix}API_KEY must be set: {OPENAI_URL} answers nobody without a key")
    models = tuple(dict.fromkeys(env.items(f"{prefix}MODELS", OPENAI_MODELS if at_openai else "")))
    if not models:
        raise ImproperlyConfigured(
            f"{prefix}MODELS must name the models of {base_url}, the default one first; "
            "only OpenAI's own are known here"
        )
    if any(len(model) > 200 for model in models):
        raise ImproperlyConfigured(f"{prefix}MODELS: a model's name has at most 200 characters")
    request_mb = env.optional_number(f"{prefix}MAX_REQUEST_MB", at_least=1)
    return Provider(
        name=name,
        base_url=base_url,
        api_key=api_key,
        models=models,
        concurrency=env.number(f"{prefix}CONCURRENCY", 4, at_least=1, at_most=64),
        requests_per_minute=env.number(f"{prefix}REQUESTS_PER_MINUTE", 0),
        price_per_minute=env.decimal(f"{prefix}PRICE_PER_MINUTE", "0"),
        timeout_s=env.number(f"{prefix}TIMEOUT_S", 300, at_least=1),
        max_request_bytes=None if request_mb is None else request_mb * _MIB,
        max_audio_s=env.optional_number(f"{prefix}MAX_AUDIO_S", at_least=10),
        container=_container(f"{prefix}CONTAINER"),
        word_times=env.boolean(f"{prefix}WORD_TIMES", default=True)
        if env.text(f"{prefix}WORD_TIMES")
        else None,
        window_s=_window(f"{prefix}WINDOW_S"),
    )


def translator() -> Provider | None:
    """Return the server with the chat model that translates; None if there is none.

    Raises:
        ImproperlyConfigured: a setting cannot be used. The message names the setting, but repeats no secret.
    """
    base_url = env.http_url("TRANSLATOR_BASE_URL")
    api_key = env.token("TRANSLATOR_API_KEY")
    model = env.line("TRANSLATOR_MODEL", at_most=200)
    if not (base_url or api_key or model):
        return None
    if not model:
        raise ImproperlyConfigured("TRANSLATOR_MODEL must name the chat model that translates")
    base_url = base_url or OPENAI_URL
    if not api_key and base_url == OPENAI_URL:
        raise ImproperlyConfigured(
            f"TRANSLATOR_API_KEY must be set: {OPENAI_URL} answers nobody without a key. "
            "TRANSLATOR_BASE_URL names another server"
        )
    return Provider(
        name=TRANSLATOR,
        base_url=base_url,
        api_key=api_key,
        models=(model,),
        concurrency=env.number("TRANSLATOR_CONCURRENCY", 4, at_least=1, at_most=64),
        requests_per_minute=env.number("TRANSLATOR_REQUESTS_PER_MINUTE", 0),
        timeout_s=env.number("TRANSLATOR_TIMEOUT_S", 120, at_least=1),
        input_price=env.decimal("TRANSLATOR_INPUT_PRICE", "0"),
        output_price=env.decimal("TRANSLATOR_OUTPUT_PRICE", "0"),
    )


def _container(name: str) -> Container | None:
    chosen: Container | Literal[""] = env.one_of(name, "", ("", "ogg", "mp3", "flac", "wav"))
    return chosen or None


def _window(name: str) -> tuple[int, int] | None:
    value = env.text(name)
    if not value:
        return None
    written = re.fullmatch(r"(\d{1,4}) ?- ?(\d{1,4})", value)
    shortest, longest = (int(written[1]), int(written[2])) if written else (0, 0)
    if not 5 <= shortest < longest:
        raise ImproperlyConfigured(
            f"{name} must be two numbers of seconds such as 60-120, from 5 up, not {value!r}"
        )
    return shortest, longest
