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
LEAST_FRAMES = 1_500
"""15 s: with less, other languages than English lose words. To encode it takes a quarter of half a minute."""
LAST_S = 0.1
"""What begins so late in a sound was not said in it. Half a word may begin there."""
LEAST_REST_S = 1.0
"""Where Whisper ends before the sound does, less than this is what comes behind the last word."""
REPEATED_WORDS = 3
"""So many words that come twice in a row were rarely said twice. Decoding them again does no harm."""


def most_tokens(n_samples: int) -> int:
    """Return how many tokens the text of so many samples may have."""
    return min(TOKENS + TOKENS_PER_S * n_samples // SAMPLE_RATE, MOST_TOKENS)


@contextmanager
def short_context(model: Model, *, longer: bool = False) -> Iterator[None]:
    """Let the model encode only the sound and a little silence, until the end of the `with`.

    If `longer`, it encodes LEAST_FRAMES at least.
    """
    model.least_frames = LEAST_FRAMES if longer else 0
    try:
        yield
    finally:
        model.least_frames = None


def without_echo(parts: Sequence[Any], n_samples: int, first_time_token: int) -> list[Any]:
    """Return faster-whisper's segments without those of the silence at the end of the sound and behind it.

    There Whisper says the end of the sound again, or goes on alone. `first_time_token` is the token of the
    time 0; the next one is 20 ms later. The times of a segment may be those of its words, which always lie
    within the sound.
    """
    length_s = n_samples / SAMPLE_RATE

    def is_echo(part: Any) -> bool:
        looked_s = part.seek / 100
        steps = part.tokens[0] - first_time_token if part.tokens else -1
        begin_s = looked_s + steps / 50 if steps >= 0 else part.start
        return bool(begin_s >= length_s - LAST_S or (looked_s and length_s - looked_s < LEAST_REST_S))

    return [part for part in parts if not is_echo(part)]


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
