"""Decoding of single utterances on a short context, which is for speech that is transcribed live.

Whisper was trained on half a minute, and faster-whisper always encodes as much. The utterance with 2.5 s of
silence behind it gives nearly the same words, if the time stamps are on and the text has a limit
(docs/decisions/0022-live-words.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from speech.engines.hints import compared_words
from speech.engines.local.model import Model
from speech.types import SAMPLE_RATE

TOKENS = 14
TOKENS_PER_S = 9
"""Nobody says more. A text that repeats itself ends at this limit."""
MOST_TOKENS = 220
"""Whisper has room for 448 tokens, and a prompt takes up to 223 of them."""
REPEATING = 2.4
GUESSING = -1.0
"""faster-whisper's own limits of the compression and of the mean log probability."""
REPEATED_WORDS = 3
"""So many words that come twice in a row were rarely said twice. Decoding them again does no harm."""


def most_tokens(n_samples: int) -> int:
    """Return how many tokens the text of so many samples may have."""
    return min(TOKENS + TOKENS_PER_S * n_samples // SAMPLE_RATE, MOST_TOKENS)


@contextmanager
def short_context(model: Model) -> Iterator[None]:
    """Let the model encode only the sound and a little silence, until the end of the `with`."""
    model.short_context = True
    try:
        yield
    finally:
        model.short_context = False


def heard_well(parts: list[Any], limit: int) -> bool:
    """Return whether faster-whisper's segments of an utterance have a text that can be believed.

    A text of `limit` tokens was broken off. There is none where Whisper takes the sound for silence.
    """
    tokens = sum(len(part.tokens) for part in parts)
    if not 0 < tokens < limit:
        return False
    if any(part.compression_ratio > REPEATING or part.avg_logprob < GUESSING for part in parts):
        return False
    return not says_again(compared_words(" ".join(part.text for part in parts)))


def says_again(words: Sequence[str]) -> bool:
    """Return whether REPEATED_WORDS or more come twice in a row."""
    for length in range(REPEATED_WORDS, len(words) // 2 + 1):
        # How many words in a row are the same as those `length` further on.
        same = 0
        for one, other in zip(words, words[length:], strict=False):
            same = same + 1 if one == other else 0
            if same == length:
                return True
    return False
