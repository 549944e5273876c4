"""Translate segments by a chat model. What it answers wrongly is asked again in halves, down to one."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from speech.errors import SpeechError
from speech.translation.answers import Malformed, read_translations
from speech.translation.prompt import Done, Line, messages

if TYPE_CHECKING:
    from speech.engines.openai.chat import ChatAnswer, Message

logger = logging.getLogger(__name__)


CONTEXT = 5
"""So many segments before those that are asked are sent with them."""


class Asked(Protocol):
    """Something that answers like a chat model."""

    def ask(self, messages: Sequence[Message], on_wait: Callable[[], None] | None = None) -> ChatAnswer: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What was sent and answered."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some of the segments, in their order. `texts` has a translation by the id of each.

    It is empty for one segment that could not be translated.
    """

    lines: tuple[Line, ...]
    texts: dict[int, str]
    cost: Cost


def translate(
    chat: Asked,
    language: str,
    lines: Sequence[Line],
    *,
    before: Sequence[Done] = (),
    glossary: Sequence[str] = (),
    on_wait: Callable[[], None] | None = None,
) -> Iterator[Part]:
    """Yield the translations of `lines`, part by part in their order, as soon as each is there.

    `before` are the last segments before them. At most twice as many requests are sent as there are lines.

    Raises:
        SpeechError: the server gives no answer. Its `requests` counts those that no part has counted.
    """
    waiting = deque([tuple(lines)] if lines else [])
    context = list(before)
    cost = Cost()
    while waiting:
        part = waiting.popleft()
        asked = messages(language, part, context, glossary)
        try:
            answer = chat.ask(asked, on_wait)
        except SpeechError as e:
            e.requests += cost.requests
            raise
        cost += Cost(
            requests=answer.requests, input_tokens=answer.input_tokens, output_tokens=answer.output_tokens
        )
        try:
            if not answer.complete:
                raise Malformed("the answer was cut off or kept back")
            texts = read_translations(answer.text, [line.text for line in part])
        except Malformed as e:
            logger.info("An answer with %s segments is asked again in halves: %s", len(part), e)
            if len(part) > 1:
                middle = len(part) // 2
                waiting.extendleft([part[middle:], part[:middle]])
                continue
            texts = []
        done = dict(zip((line.id for line in part), texts, strict=False))
        yield Part(lines=part, texts=done, cost=cost)
        cost = Cost()
        context += [Done(line.text, done[line.id]) for line in part if line.id in done]
        del context[:-CONTEXT]


def batch_of(lines: Sequence[Line], *, most: int, most_characters: int) -> list[Line]:
    """Return the first of `lines` that go into one request: at least one, and no more than fit."""
    batch: list[Line] = []
    characters = 0
    for line in lines[:most]:
        characters += len(line.text)
        if batch and characters > most_characters:
            break
        batch.append(line)
    return batch


def fewer(number: int, attempt: int) -> int:
    """Return how many segments of a batch are sent at this attempt: half as many each time."""
    return max(1, number >> (attempt - 1))
