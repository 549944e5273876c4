"""Give the words of a translation to the segments of the original, by their times.

An engine translates from sound, so its segments are others than those of what was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from speech.text.spacing import join_texts
from speech.types import SpeechSegment

TimedWord = tuple[int, str]
"""The middle of a word in milliseconds, and the word."""


def timed_words(segments: Iterable[SpeechSegment]) -> list[TimedWord]:
    """Return the words of the segments, in order. Where the engine gives no times, they are evenly spread."""
    found: list[TimedWord] = []
    for segment in segments:
        texts = segment.text.split()
        if [word.text for word in segment.words] == texts:
            found += [((word.start_ms + word.end_ms) // 2, word.text) for word in segment.words]
            continue
        for number, text in enumerate(texts):
            middle = (2 * number + 1) / (2 * len(texts))
            found.append((int(segment.start_ms + middle * (segment.end_ms - segment.start_ms)), text))
    return found


def laid(words: Iterable[TimedWord], spans: Sequence[tuple[int, int]]) -> list[str]:
    """Return the text of each span, of which there is at least one. They are in the order of time.

    Each word goes to the span that it lies in, or else to the nearest. None is lost, and their order stays.
    """
    borders = [(before[1] + after[0]) // 2 for before, after in pairwise(spans)]
    texts: list[list[str]] = [[] for _ in spans]
    at = 0
    for middle_ms, text in words:
        while at < len(borders) and middle_ms >= borders[at]:
            at += 1
        texts[at].append(text)
    return [join_texts(each) for each in texts]
