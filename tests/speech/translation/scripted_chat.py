"""What a scripted server answers when it is asked as a chat model that translates.

    with ScriptedProvider(respond=translating) as server:
        server.answer_with(says("no JSON"))  # the first request; then a right translation

It translates `hello` into `fr:hello` where the task names French.
"""

from __future__ import annotations

import json
import re
from typing import Any

from speech.engines.providers import TRANSLATOR, Provider
from tests.speech.scripted_provider import Answer, Request, ScriptedProvider, answered

KEY = "sk-chat-0123456789abcdef"
CODES = {"French": "fr", "German": "de", "English": "en", "Chinese (traditional)": "zh-Hant"}


def provider(server: ScriptedProvider, **given: Any) -> Provider:
    settings: dict[str, Any] = {"base_url": server.url, "api_key": KEY, "models": ("small",), "timeout_s": 20}
    return Provider(name=TRANSLATOR, **(settings | given))


def says(text: str, *, finish_reason: str | None = "stop", **message: Any) -> Answer:
    """A chat model says this."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return answered(
        {"object": "chat.completion", "choices": [choice | {"finish_reason": finish_reason}], "usage": usage}
    )


def translating(request: Request) -> Answer:
    return says(json.dumps({"segments": right(request)}))


def right(request: Request) -> list[dict[str, Any]]:
    """The right answer to a request."""
    code = CODES[language(request)]
    return [{"id": one["id"], "text": f"{code}:{one['text']}"} for one in asked(request)["segments"]]


def asked(request: Request) -> dict[str, Any]:
    """What is to be translated: segments, and those before them."""
    value: dict[str, Any] = json.loads(sent(request)["messages"][1]["content"])
    return value


def texts(request: Request) -> list[str]:
    return [one["text"] for one in asked(request)["segments"]]


def task(request: Request) -> str:
    return str(sent(request)["messages"][0]["content"])


def language(request: Request) -> str:
    found = re.search(r"into (.+), segment by segment", task(request))
    assert found
    return found[1]


def sent(request: Request) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(request.body)
    return value
