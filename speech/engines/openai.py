"""Transcription by OpenAI's API, or by any server that speaks it, through the official client."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import numpy as np
from openai import APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError

from speech.clips import Container, encode
from speech.engines.base import EngineSettings, Samples, TranscribeOptions
from speech.engines.openai_answers import NoTranscript, read_answer
from speech.engines.openai_errors import (
    container_refused,
    form_refused,
    never_sent,
    no_transcript,
    speech_error,
    too_slow,
)
from speech.engines.openai_models import FORM_BYTES, Form, ModelFacts, facts_of
from speech.engines.providers import Provider
from speech.errors import NotSupported, ProviderRefused, SpeechError
from speech.types import SAMPLE_RATE, Span, SpeechSegment, Transcription, ms_to_samples, samples_to_ms
from speech.voice_activity import SpeechDetector

POLL_S = 0.5
CONNECT_TIMEOUT_S = 10.0
MARGIN_MS = 400
"""Kept of the silence around what is said. The rest costs money, and invites inventions."""
SHORTEST = SAMPLE_RATE // 2
"""In samples. OpenAI refuses less than a tenth of a second."""
NO_KEY = "none"
"""Sent to servers that want no key: without one, the client takes OpenAI's from the environment."""

MEDIA_TYPES: dict[Container, str] = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
}


class OpenAIEngine:
    """One model of one provider. Several threads may use it at once."""

    name = "openai"

    def __init__(self, settings: EngineSettings) -> None:
        from speech.engines import capabilities

        if settings.provider is None:
            raise NotSupported("The openai engine needs a provider. Set OPENAI_API_KEY or OPENAI_BASE_URL.")
        self.capabilities = capabilities(self.name, settings.model, settings.provider)
        self._provider = settings.provider
        self._model = settings.model
        # Loses what the server has refused. Threads that learn the same at once do no harm.
        self._facts = facts_of(settings.model, settings.provider)

    def transcribe(
        self,
        samples: Samples,
        options: TranscribeOptions,
        on_segment: Callable[[SpeechSegment], None] | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Transcription:
        """As `Engine.transcribe`. The window is sent from its first word to its last one, in one request.

        A server that knows no word times, or cannot read the container, costs one request more, once.

        Raises:
            ProviderBusy, ProviderUnavailable, ProviderFailed: worth another try.
            ProviderRefused: not.
        """
        span = _speech_in(samples)
        if span is None:
            return Transcription()
        clip = samples[ms_to_samples(span.start_ms) : ms_to_samples(span.end_ms)]
        body, requests = self._ask(clip, options, on_wait)
        try:
            heard = read_answer(body, span, translated=bool(options.translate_to))
        except NoTranscript as e:
            raise _counted(no_transcript(self._provider, str(e), e.said), requests) from None
        for segment in heard.segments:
            if on_segment is not None:
                on_segment(segment)
        language = heard.language or (options.language if heard.segments else "")
        return replace(heard, language=language, requests=requests)

    def _ask(
        self, clip: Samples, options: TranscribeOptions, on_wait: Callable[[], None] | None
    ) -> tuple[bytes, int]:
        """The body of the answer, and how many requests it took."""
        requests = 0
        while True:
            facts = self._facts
            container = facts.containers[0]
            file = encode(np.pad(clip, (0, max(0, SHORTEST - len(clip)))), container)
            if len(file) + FORM_BYTES > facts.max_request_bytes:
                raise _counted(self._too_large(len(file), facts.max_request_bytes), requests)
            path, fields = _request(self._model, facts, options)
            requests += 1
            try:
                return self._send(
                    path, fields, (f"audio.{container}", file, MEDIA_TYPES[container]), on_wait
                ), requests
            except OpenAIError as e:
                if never_sent(e):
                    requests -= 1
                if not self._simplify(facts, e):
                    raise _counted(speech_error(self._provider, self._model, e), requests) from None
            except TimeoutError:
                raise _counted(too_slow(self._provider), requests) from None

    def _send(
        self,
        path: str,
        fields: dict[str, Any],
        file: tuple[str, bytes, str],
        on_wait: Callable[[], None] | None,
    ) -> bytes:
        loop, client = connect(self._provider)
        sending = asyncio.run_coroutine_threadsafe(
            _post(client, path, fields, file, self._provider.timeout_s), loop
        )
        try:
            while not wait([sending], POLL_S).done:
                if on_wait is not None:
                    on_wait()
        except BaseException:
            # A lost lease, a cancel, a signal: the connection is closed, and the answer nobody's.
            sending.cancel()
            raise
        return sending.result()

    def _simplify(self, facts: ModelFacts, error: OpenAIError) -> bool:
        """Leave out from now on what the server has just refused; False where that was something else."""
        if not isinstance(error, APIStatusError):
            return False
        if len(facts.forms) > 1 and form_refused(error):
            self._facts = replace(facts, forms=facts.forms[1:])
        elif len(facts.containers) > 1 and container_refused(error):
            self._facts = replace(facts, containers=facts.containers[1:])
        else:
            return False
        return True

    def _too_large(self, size_bytes: int, most_bytes: int) -> ProviderRefused:
        setting = self._provider.setting
        return ProviderRefused(
            f"A window is {size_bytes / 1e6:.1f} MB, and {self._provider.name} takes requests of "
            f"{most_bytes / 1e6:.1f} MB. Shorten {setting}WINDOW_S, or set {setting}CONTAINER to ogg or mp3."
        )


def _speech_in(samples: Samples) -> Span | None:
    """From a little before the first word to a little after the last one; None where nobody speaks."""
    detector = SpeechDetector()
    detector.feed(samples)
    speech = detector.finish()
    if not speech:
        return None
    end_ms = min(speech[-1].end_ms + MARGIN_MS, samples_to_ms(len(samples)))
    return Span(max(speech[0].start_ms - MARGIN_MS, 0), end_ms)


def _request(model: str, facts: ModelFacts, options: TranscribeOptions) -> tuple[str, dict[str, Any]]:
    """The path and the fields beside the file."""
    form: Form = facts.forms[0]
    fields: dict[str, Any] = {"model": model}
    if options.prompt and facts.prompt:
        fields["prompt"] = options.prompt
    if options.temperature is not None:
        fields["temperature"] = options.temperature
    if options.translate_to:
        # It knows no word times, and takes no language.
        fields["response_format"] = "json" if form == "text" else "verbose_json"
        return "/audio/translations", fields
    if options.language:
        fields |= {"languages": [options.language]} if facts.language_list else {"language": options.language}
    if facts.chunking:
        fields["chunking_strategy"] = "auto"
    fields["response_format"] = {"diarized": "diarized_json", "text": "json"}.get(form, "verbose_json")
    if form == "words":
        fields["timestamp_granularities"] = ["word", "segment"]
    return "/audio/transcriptions", fields


async def _post(
    client: AsyncOpenAI, path: str, fields: dict[str, Any], file: tuple[str, bytes, str], timeout_s: float
) -> bytes:
    # The client's own methods for this would guess at the answer's shape, and that for translations warns.
    async with asyncio.timeout(timeout_s):
        response = await client.post(
            path,
            cast_to=httpx2.Response,
            body=fields,
            files=[("file", file)],
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )
        return response.content


def _counted(error: SpeechError, requests: int) -> SpeechError:
    error.requests = requests
    return error


# One event loop in a thread of its own does all requests of a process, so that each can be given up at once.
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_clients: dict[Provider, AsyncOpenAI] = {}


def connect(provider: Provider) -> tuple[asyncio.AbstractEventLoop, AsyncOpenAI]:
    """The event loop of this process, which runs in a thread, and the provider's client for that loop."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="providers", daemon=True).start()
        if provider not in _clients:
            _clients[provider] = _client(provider)
        return _loop, _clients[provider]


def _client(provider: Provider) -> AsyncOpenAI:
    # It logs whole addresses, which may hold a password or a key.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    url = urlsplit(provider.base_url)
    timeout = httpx2.Timeout(provider.timeout_s, connect=min(CONNECT_TIMEOUT_S, provider.timeout_s))
    key = provider.api_key or NO_KEY
    client = AsyncOpenAI(
        api_key=key,
        base_url=url._replace(query="", fragment="").geturl(),
        default_query=dict(parse_qsl(url.query)),
        # What the environment says is meant for OpenAI, and must not go to another server.
        default_headers={"Authorization": f"Bearer {key}"},
        admin_api_key="",
        max_retries=0,
        timeout=timeout,
        # Nor may a redirect take the recording, or the key, to another server.
        http_client=DefaultAsyncHttpxClient(follow_redirects=False, timeout=timeout),
    )
    if provider.name != "openai":
        client.organization = client.project = None
    return client


def _after_fork() -> None:
    """A child has its parent's loop and connections, but not the thread that serves them."""
    global _lock, _loop
    _lock = threading.Lock()
    _loop = None
    _clients.clear()


os.register_at_fork(after_in_child=_after_fork)
