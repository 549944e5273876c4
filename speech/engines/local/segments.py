"""Turn the output of faster-whisper into segments, without what nobody said and with corrected times."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from speech.engines.base import INVENTED_AVG_LOGPROB, INVENTED_NO_SPEECH_PROB
from speech.engines.hints import Hints, Said, said_words, too_fast
from speech.engines.local.speech_parts import somebody_speaks
from speech.text.sentences import ends_sentence
from speech.types import Span, SpeechSegment, Word

EARLY_MS = 100
"""A word that begins more than this before the speech is moved to the beginning of the speech."""
REPEATED_WORDS = 5
REPEATED_NO_SPEECH_PROB = 0.3
"""From a hum Whisper makes "Yeah, man, man, man, man".

Of a spoken "no, no, no, no, no" it is sure from the first word.
"""
LIKELY_NO_SPEECH_PROB = 0.5
"""At this no-speech probability, what was transcribed with hints is transcribed without them, too."""
INVENTED_CONFIDENCE = 0.5
"""Whisper becomes sure when it repeats itself, but at first it is not sure of words that it invents."""
SENTENCE_WORDS = 4
"""No segment has fewer words, except the last one of a half minute."""


def take_segments(
    parts: Iterable[Any],
    span: Span,
    speech: Sequence[Span],
    take: Callable[[SpeechSegment], None],
    *,
    until_skipped: bool,
) -> Span | None:
    """Give each segment to `take`, and return the rest of `span` that has to be decoded again, if any.

    Sometimes Whisper ends a half minute early, often in the middle of a sentence, and goes on after it. It
    hears the skipped speech if it begins there. With `until_skipped` the work ends at skipped speech.
    """
    at_ms = span.start_ms
    for part in parts:
        if _invented(part):
            continue
        part.words = [word for word in part.words or () if word.word.strip()]
        segment = _segment(part, speech, earliest_ms=at_ms, latest_ms=span.end_ms)
        for number, word in enumerate(segment.words):
            # Without a word before it, there is no better place to begin.
            if until_skipped and at_ms > span.start_ms and somebody_speaks(speech, at_ms, word.start_ms):
                if number:
                    before = replace(part, words=part.words[:number])
                    before.text = "".join(word.word for word in before.words)
                    take(_segment(before, speech, earliest_ms=segment.start_ms, latest_ms=at_ms))
                return Span(at_ms, span.end_ms)
            at_ms = word.end_ms
        if segment.text:
            at_ms = segment.end_ms
            take(segment)
    skipped_end = until_skipped and at_ms > span.start_ms and somebody_speaks(speech, at_ms, span.end_ms)
    return Span(at_ms, span.end_ms) if skipped_end else None


def _invented(part: Any) -> bool:
    """Whether Whisper wrote something although nobody speaks."""
    if not any(map(str.isalnum, part.text)):
        return True
    first = _first_confidences(part)
    guessed = bool(first) and sum(first) / len(first) < INVENTED_CONFIDENCE
    if part.no_speech_prob > INVENTED_NO_SPEECH_PROB and (part.avg_logprob < INVENTED_AVG_LOGPROB or guessed):
        return True
    repeated = len(part.words) >= max(REPEATED_WORDS, 3 * len(first)) if first else False
    if repeated and guessed and part.no_speech_prob > REPEATED_NO_SPEECH_PROB:
        return True
    return too_fast(plain_segment(part))


def _first_confidences(part: Any) -> list[float]:
    """Return the probability of each different word at its first occurrence."""
    first: dict[str, float] = {}
    for word in part.words or ():
        first.setdefault(word.word.strip(" .,!?-").casefold(), float(word.probability))
    return list(first.values())


def doubtful_words(part: Any, prompt: str) -> list[list[Said]]:
    """Return the words of a segment that must be transcribed without hints before they are believed."""
    segment = plain_segment(part)
    if part.no_speech_prob > LIKELY_NO_SPEECH_PROB:
        return [said] if (said := said_words(segment)) else []
    return Hints(prompt).doubtful(segment)


def plain_segment(part: Any) -> SpeechSegment:
    """Return faster-whisper's segment with its own times."""
    words = tuple(
        Word(round(w.start * 1000), round(w.end * 1000), w.word.strip(), float(w.probability))
        for w in part.words or ()
    )
    start_ms = words[0].start_ms if words else round(part.start * 1000)
    end_ms = words[-1].end_ms if words else round(part.end * 1000)
    return SpeechSegment(start_ms, end_ms, part.text.strip(), words=words)


def came_out_badly(part: Any, span: Span, speech: Sequence[Span]) -> bool:
    """Whether Whisper repeats itself, guesses, or leaves out speech. The limits are Whisper's own."""
    if part.compression_ratio > 2.4 or part.avg_logprob < -1:
        return True
    edges = [
        span.start_ms,
        *(round(s * 1000) for word in part.words for s in (word.start, word.end)),
        span.end_ms,
    ]
    return any(somebody_speaks(speech, edges[n], edges[n + 1]) for n in range(0, len(edges), 2))


def split_at_sentences(part: Any, language: str = "") -> Iterator[Any]:
    """Split a half minute into its sentences, so that segments have the length of a sentence."""
    first = 0
    for number in range(1, len(part.words) + 1):
        so_far = "".join(word.word for word in part.words[max(0, number - 4) : number]).strip()
        after = "".join(word.word for word in part.words[number : number + 1])
        whole = number - first >= SENTENCE_WORDS and ends_sentence(so_far, after, language)
        if whole or number == len(part.words):
            words = part.words[first:number]
            yield replace(part, words=words, text="".join(word.word for word in words))
            first = number


def _onset(speech: Sequence[Span], start_ms: int, end_ms: int) -> int:
    """Return where a word or segment begins. Whisper often puts its beginning into the pause before it."""
    following = bisect_right(speech, start_ms, key=lambda span: span.end_ms)
    onset_ms = speech[following].start_ms if following < len(speech) else start_ms
    return onset_ms if start_ms + EARLY_MS < onset_ms < end_ms else start_ms


def _segment(part: Any, speech: Sequence[Span], *, earliest_ms: int, latest_ms: int) -> SpeechSegment:
    """Return faster-whisper's segment in milliseconds of the window, inside of it and in order."""

    def clamp(time_s: float, low_ms: int) -> int:
        return min(max(round(float(time_s) * 1000), low_ms), latest_ms)

    words = []
    at_ms = earliest_ms
    for word in part.words:
        start_ms = clamp(word.start, at_ms)
        at_ms = clamp(word.end, start_ms)
        start_ms = _onset(speech, start_ms, at_ms)
        words.append(Word(start_ms, at_ms, word.word.strip(), float(word.probability)))
    start_ms = words[0].start_ms if words else clamp(part.start, earliest_ms)
    end_ms = words[-1].end_ms if words else clamp(part.end, start_ms)
    if words:
        confidence = float(np.mean([w.confidence for w in words]))
    else:
        start_ms = _onset(speech, start_ms, end_ms)
        confidence = math.exp(min(0.0, part.avg_logprob))
    return SpeechSegment(start_ms, end_ms, part.text.strip(), confidence, tuple(words))
