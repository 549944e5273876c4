"""Turn what goes wrong between this engine and a provider into errors of `speech`."""

from __future__ import annotations

import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

from speech.engines.openai.answers import one_line
from speech.engines.openai.client import AnswerTooLarge
from speech.engines.providers import TRANSLATOR, Provider
from speech.errors import (
    AGAIN,
    ProviderBusy,
    ProviderFailed,
    ProviderRefused,
    ProviderUnavailable,
    SpeechError,
)

QUOTED = 200
"""How many characters of a provider's own message are shown."""
LONGEST_RETRY_AFTER_S = 3_600
GATEWAY_ERRORS = frozenset({502, 503, 504})
_FORMS = ("response_format", "timestamp_granularit", "verbose_json", "diarized_json")
_FILES = (
    "file format",
    "unsupported audio",
    "unsupported file",
    "unsupported format",
    "corrupt",
    "decode",
    "read audio",
    "read wav",
    "codec",
    "media type",
)
# Keys as the known providers make them, also if they are already shortened with stars.
_KEYS = re.compile(r"\b(?:sk|gsk|rk|hf|xai|key)[-_][\w*.-]{4,}|(?<=Bearer )\S+", re.IGNORECASE)


def speech_error(provider: Provider, model: str, error: OpenAIError) -> SpeechError:
    """Return the client's exception as a SpeechError."""
    if isinstance(error, APIConnectionError) and never_sent(error):
        return ProviderUnavailable(
            f"The provider {provider.name} could not be reached.{AGAIN} "
            f"If this goes on, look at {provider.setting}BASE_URL and at the network."
        )
    if isinstance(error, APITimeoutError):
        return too_slow(provider)
    if isinstance(error.__cause__, AnswerTooLarge):
        return no_transcript(provider, "answered with more than any transcript is.")
    if isinstance(error, APIConnectionError):
        return ProviderFailed(
            f"The provider {provider.name} cut the connection before its answer was complete.{AGAIN}"
        )
    if isinstance(error, APIStatusError):
        return _status_error(provider, model, error)
    return ProviderFailed(f"The provider {provider.name} answered what is no transcript.{AGAIN}")


def never_sent(error: OpenAIError) -> bool:
    """Whether there was no connection, so that nothing was sent."""
    refused = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol)
    return isinstance(error.__cause__, refused)


def too_slow(provider: Provider) -> SpeechError:
    """Return an error for a provider that did not answer in time."""
    return ProviderUnavailable(
        f"The provider {provider.name} did not answer within {provider.timeout_s:g} seconds.{AGAIN} "
        f"If this goes on, raise {provider.setting}TIMEOUT_S or lower {provider.size_setting}."
    )


def form_refused(error: APIStatusError) -> bool:
    """Whether the server does not know the response format or word times."""
    return _is_about(error, _FORMS)


def container_refused(error: APIStatusError) -> bool:
    """Whether the server cannot read this kind of file."""
    return error.status_code == 415 or _is_about(error, _FILES)


def no_transcript(provider: Provider, what: str, body: Any = None) -> ProviderFailed:
    """Return an error for an answer with status 200 and no transcript. `what` completes the sentence."""
    said = _quoted(provider, _message(body))
    return ProviderFailed(f"The provider {provider.name} {what}{said}{AGAIN}")


def _status_error(provider: Provider, model: str, error: APIStatusError) -> SpeechError:
    status = error.status_code
    said = _quoted(provider, _message(error.body))
    who, settings = f"The provider {provider.name}", provider.setting
    no_credit = (
        f"The account at the provider {provider.name} has no credit left.{said} "
        "Add some there, or choose another engine."
    )
    if status == 429:
        if "insufficient_quota" in (error.code, error.type):
            return ProviderRefused(no_credit)
        return ProviderBusy(
            f"{who} has too many requests just now.{AGAIN}",
            retry_after_s=retry_after_s(error.response.headers),
        )
    if status in GATEWAY_ERRORS:
        return ProviderUnavailable(
            f"{who} is not available just now (status {status}).{AGAIN}",
            retry_after_s=retry_after_s(error.response.headers),
        )
    if status >= 500 or status in (408, 409, 425):
        return ProviderFailed(
            f"{who} failed (status {status}).{said}{AGAIN}",
            retry_after_s=retry_after_s(error.response.headers),
        )
    if status < 400:
        return ProviderRefused(
            f"{who} redirects to another address, where the key is not sent. "
            f"Set {settings}BASE_URL to the address that it should be."
        )
    advice = {
        401: f"{who} refused the API key.{said} Check {settings}API_KEY.",
        402: no_credit,
        403: f"{who} does not allow this.{said} Check {settings}API_KEY and what its account may use.",
        404: f"{who} does not know this address or the model {model!r}.{said} "
        f"Check {settings}BASE_URL and {provider.model_setting}."
        if not error.request.url.path.endswith("/translations")
        else f"{who} does not translate, or does not know the model {model!r}.{said} "
        "Leave the translation out, or choose another model.",
        413: f"{who} does not take requests as large as this.{said} "
        f"Lower {provider.size_setting if provider.name == TRANSLATOR else f'{settings}MAX_REQUEST_MB'}.",
        415: f"{who} cannot read this kind of file.{said} Set {settings}CONTAINER to wav.",
    }
    return ProviderRefused(
        advice.get(status)
        or f"{who} refused the request (status {status}).{said} Change the job's options, "
        "or choose another engine or model."
    )


def retry_after_s(headers: httpx2.Headers) -> float | None:
    """Return how long the provider asks to wait: `retry-after-ms`, or `Retry-After` in seconds or
    as a date.
    """
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        return _bounded(seconds) if math.isfinite(seconds) else None
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return _bounded(at.timestamp() - time.time())


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _is_about(error: APIStatusError, words: tuple[str, ...]) -> bool:
    if error.status_code not in (400, 415, 422, 501):
        return False
    said = str(error.body).lower()
    return any(word in said for word in words)


def _message(body: Any) -> str:
    """Return the message in the body of an error, in the forms that OpenAI, FastAPI and others use."""
    for _ in range(4):
        if isinstance(body, dict):
            body = next((body[key] for key in ("error", "message", "detail", "msg") if body.get(key)), "")
        elif isinstance(body, list):
            body = body[0] if body else ""
    return body if isinstance(body, str) else ""


def _quoted(provider: Provider, text: str) -> str:
    """Return the text as a sentence with a space before it; '' for no text and for a page of HTML."""
    if text.lstrip().startswith("<") or not text.strip():
        return ""
    line = one_line(_masked(provider, text)).rstrip(".")
    short = line if len(line) <= QUOTED else line[: QUOTED - 1].rstrip() + "…"
    return f' It says: "{short}".'


def _masked(provider: Provider, text: str) -> str:
    url = urlsplit(provider.base_url)
    secrets = [provider.api_key, url.password, *(value for _, value in parse_qsl(url.query))]
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _KEYS.sub("***", text)
