"""Ask a chat model, of OpenAI or of any server that speaks its API, through the official client."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2
from openai import APIStatusError, AsyncOpenAI, OpenAIError

from speech.engines.openai.client import ask
from speech.engines.openai.errors import never_sent, no_transcript, speech_error, too_slow
from speech.engines.providers import Provider

OPTIONAL: dict[str, object] = {"temperature": 0, "response_format": {"type": "json_object"}}
"""Fields that many servers know and some refuse. What a server has refused is not sent to it again."""
_REFUSAL_STATUSES = (400, 415, 422, 501)

Message = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """What a chat model says. `complete` is False if the answer was cut off or kept back.

    `requests` counts those that were sent for it.
    """

    text: str
    complete: bool
    requests: int
    input_tokens: int = 0
    output_tokens: int = 0


class Chat:
    """One model of one server. Several threads may use it at once."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._model = provider.models[0]
        # Threads that learn the same at once do no harm.
        self._fields = dict(OPTIONAL)

    def ask(self, messages: Sequence[Message], on_wait: Callable[[], None] | None = None) -> ChatAnswer:
        """Return what the model answers. `on_wait` is called at least once a second meanwhile.

        Raises:
            ProviderBusy, ProviderUnavailable, ProviderFailed: worth another try.
            ProviderRefused: not worth another try.
        """
        requests = 0
        while True:
            fields = {"model": self._model, "messages": list(messages), **self._fields}
            requests += 1
            try:
                return self._read(ask(self._provider, partial(_post, fields=fields), on_wait), requests)
            except OpenAIError as e:
                if never_sent(e):
                    requests -= 1
                refused = [name for name in self._fields if _refuses(e, name)]
                if not refused:
                    error = speech_error(self._provider, self._model, e)
                    error.requests = requests
                    raise error from None
                self._fields = {name: value for name, value in self._fields.items() if name not in refused}
            except TimeoutError:
                late = too_slow(self._provider)
                late.requests = requests
                raise late from None

    def _read(self, body: bytes, requests: int) -> ChatAnswer:
        try:
            answer = json.loads(body)
            choice = answer["choices"][0]
            message = choice["message"]
            text = message.get("content") or ""
            used = answer.get("usage") or {}
            if not isinstance(text, str):
                # Some servers send a list of parts.
                text = "".join(part.get("text") or "" for part in text)
            # Servers that do not say why an answer ends have ended it by themselves.
            complete = choice.get("finish_reason") in ("stop", "", None) and not message.get("refusal")
            tokens = [int(used.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            error = no_transcript(self._provider, "answered what is no chat.", None)
            error.requests = requests
            raise error from None
        return ChatAnswer(
            text=text,
            complete=complete,
            requests=requests,
            input_tokens=max(0, tokens[0]),
            output_tokens=max(0, tokens[1]),
        )


def _refuses(error: OpenAIError, field: str) -> bool:
    if not isinstance(error, APIStatusError) or error.status_code not in _REFUSAL_STATUSES:
        return False
    return field in str(error.body).lower()


async def _post(client: AsyncOpenAI, fields: dict[str, Any]) -> bytes:
    # The client's own methods would guess the shape of the answer.
    response = await client.post("/chat/completions", cast_to=httpx2.Response, body=fields)
    return response.content
