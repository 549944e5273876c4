"""Transcribe with OpenAI's API, or any server that speaks it, through the official client."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import httpx2
import numpy as np
from openai import APIStatusError, AsyncOpenAI, OpenAIError

from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.hints import LEAST_SPEECH_MS, Hints, Said, choose_hearing
from speech.engines.openai.answers import NoTranscript, read_answer
from speech.engines.openai.client import ask
from speech.engines.openai.errors import (
    container_refused,
    form_refused,
    never_sent,
    no_transcript,
    speech_error,
    too_slow,
)
from speech.engines.openai.models import FORM_BYTES, Form, ModelFacts, facts_of
from speech.errors import NotSupported, ProviderRefused, SpeechError
from speech.samples import Samples
from speech.sound.encoding import encode_audio
from speech.text.language_tags import iso_code
from speech.types import (
    SAMPLE_RATE,
    Container,
    Span,
    SpeechSegment,
    Transcription,
    ms_to_samples,
    samples_to_ms,
)
from speech.voice.activity import SpeechDetector

MARGIN_MS = 400
"""How much silence stays around the speech. The rest costs money, and invites inventions."""
EDGE = 10 * SAMPLE_RATE
"""In samples. From either end, speech is searched in stretches of this length until some is found."""
SHORTEST = SAMPLE_RATE // 2
"""In samples. OpenAI refuses less than a tenth of a second."""

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
        # What is known of transcriptions and of translations, which have no word times. What the server
        # refuses is taken out. Threads that learn the same at once do no harm.
        facts = facts_of(settings.model, settings.provider)
        untimed = tuple(form for form in facts.forms if form != "words")
        self._facts = {False: facts, True: replace(facts, forms=untimed)}

    def transcribe(
        self,
        samples: Samples,
        options: TranscribeOptions,
        on_segment: Callable[[SpeechSegment], None] | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Transcription:
        """Transcribe as `Engine.transcribe` says. The window is sent from its first to its last word, in one
        request.

        A server that knows no word times, or cannot read the container, costs one request more, once. An
        answer that may be only the hint words costs one request more, without them, which counts in full.

        Raises:
            ProviderBusy, ProviderUnavailable, ProviderFailed: worth another try.
            ProviderRefused: not worth another try.
        """
        span = _speech_in(samples)
        if span is None:
            return Transcription()
        clip = samples[ms_to_samples(span.start_ms) : ms_to_samples(span.end_ms)]
        if span.duration_ms - 2 * MARGIN_MS < LEAST_SPEECH_MS:
            options = replace(options, prompt="")
        heard = self._hear(clip, span, options, on_wait)
        hinted = self._facts[bool(options.translate_to)].prompt and options.prompt
        if doubtful := _doubtful(heard, options.prompt) if hinted else []:
            try:
                plain = self._hear(clip, span, replace(options, prompt=""), on_wait)
            except SpeechError as e:
                raise _counted(e, heard.requests + e.requests) from None
            chosen = (
                heard if choose_hearing(heard.segments, doubtful, plain.segments) is heard.segments else plain
            )
            heard = replace(
                chosen,
                requests=heard.requests + plain.requests,
                audio_ms=heard.audio_ms + plain.audio_ms,
            )
        for segment in heard.segments:
            if on_segment is not None:
                on_segment(segment)
        language = heard.language or (options.language if heard.segments else "")
        return replace(heard, language=language)

    def _hear(
        self, clip: Samples, span: Span, options: TranscribeOptions, on_wait: Callable[[], None] | None
    ) -> Transcription:
        """Return what the provider answers about a clip, which is `span` of its window."""
        body, requests = self._ask(clip, options, on_wait)
        try:
            heard = read_answer(body, span, translated=bool(options.translate_to))
        except NoTranscript as e:
            raise _counted(no_transcript(self._provider, str(e), e.said), requests) from None
        return replace(heard, requests=requests, audio_ms=span.duration_ms)

    def _ask(
        self, clip: Samples, options: TranscribeOptions, on_wait: Callable[[], None] | None
    ) -> tuple[bytes, int]:
        """Return the body of the answer, and how many requests it took."""
        requests, translated = 0, bool(options.translate_to)
        while True:
            facts = self._facts[translated]
            container = facts.containers[0]
            file = encode_audio(np.pad(clip, (0, max(0, SHORTEST - len(clip)))), container)
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
                simpler = _simpler(facts, e)
                if simpler is None:
                    raise _counted(speech_error(self._provider, self._model, e), requests) from None
                self._facts[translated] = simpler
            except TimeoutError:
                raise _counted(too_slow(self._provider), requests) from None

    def _send(
        self,
        path: str,
        fields: dict[str, Any],
        file: tuple[str, bytes, str],
        on_wait: Callable[[], None] | None,
    ) -> bytes:
        return ask(self._provider, lambda client: _post(client, path, fields, file), on_wait)

    def _too_large(self, size_bytes: int, most_bytes: int) -> ProviderRefused:
        setting = self._provider.setting
        return ProviderRefused(
            f"A window is {size_bytes / 1e6:.1f} MB, and {self._provider.name} takes requests of "
            f"{most_bytes / 1e6:.1f} MB. Shorten {setting}WINDOW_S, or set {setting}CONTAINER to ogg or mp3."
        )


def _doubtful(heard: Transcription, prompt: str) -> list[list[Said]]:
    hints = Hints(prompt)
    return [run for segment in heard.segments for run in hints.doubtful(segment)]


def _speech_in(samples: Samples) -> Span | None:
    """Return the span from a little before the first word to a little after the last; None if
    nobody speaks.
    """
    first_ms = _edge(samples, range(0, len(samples), EDGE), lambda speech: speech[0].start_ms)
    if first_ms is None:
        return None
    starts = (max(end - EDGE, 0) for end in range(len(samples), 0, -EDGE))
    last_ms = _edge(samples, starts, lambda speech: speech[-1].end_ms)
    end_ms = samples_to_ms(len(samples))
    return Span(max(first_ms - MARGIN_MS, 0), end_ms if last_ms is None else min(last_ms + MARGIN_MS, end_ms))


def _edge(samples: Samples, starts: Iterable[int], edge: Callable[[list[Span]], int]) -> int | None:
    """Return `edge` of the speech in the first of these stretches that has any, in ms of all samples."""
    for start in starts:
        detector = SpeechDetector()
        detector.feed(samples[start : start + EDGE])
        if speech := detector.finish():
            return samples_to_ms(start) + edge(speech)
    return None


def _simpler(facts: ModelFacts, error: OpenAIError) -> ModelFacts | None:
    """Return the facts without what the server has just refused; None if the error was something else."""
    if not isinstance(error, APIStatusError):
        return None
    if len(facts.forms) > 1 and form_refused(error):
        return replace(facts, forms=facts.forms[1:])
    if len(facts.containers) > 1 and container_refused(error):
        return replace(facts, containers=facts.containers[1:])
    return None


def _request(model: str, facts: ModelFacts, options: TranscribeOptions) -> tuple[str, dict[str, Any]]:
    """Return the path of the request, and its fields beside the file."""
    form: Form = facts.forms[0]
    fields: dict[str, Any] = {"model": model}
    if options.prompt and facts.prompt:
        fields["prompt"] = options.prompt
    if options.temperature is not None:
        fields["temperature"] = options.temperature
    if options.translate_to:
        # The endpoint for translations takes no language.
        fields["response_format"] = "json" if form == "text" else "verbose_json"
        return "/audio/translations", fields
    allowed = options.prior.allowed
    if facts.language_list and not options.language and allowed:
        fields |= {"languages": sorted(map(iso_code, allowed))}
    if options.language:
        language = options.language if facts.whisper else iso_code(options.language)
        fields |= {"languages": [language]} if facts.language_list else {"language": language}
    if facts.chunking:
        fields["chunking_strategy"] = "auto"
    fields["response_format"] = {"diarized": "diarized_json", "text": "json"}.get(form, "verbose_json")
    if form == "words":
        fields["timestamp_granularities"] = ["word", "segment"]
    return "/audio/transcriptions", fields


async def _post(
    client: AsyncOpenAI, path: str, fields: dict[str, Any], file: tuple[str, bytes, str]
) -> bytes:
    # The client's own methods would guess the shape of the answer, and the one for translations would warn.
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
