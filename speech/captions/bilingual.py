"""Captions in two languages: a line of the translation over a line of what was said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import ceil

from speech.captions.cues import MAX_CUE_MS, Cue, line_width, make_cues, text_of, without_overlap
from speech.captions.tokens import LINE_WIDTH, Token, label_tokens, make_tokens
from speech.types import SpeechSegment


def make_bilingual_cues(segments: Iterable[SpeechSegment], *, label_speakers: bool = False) -> list[Cue]:
    """Return captions with one line of each language, in time order and without overlap.

    Nothing tells which word of a translation stands for which word. So a segment and its original are cut
    into equally many parts, each as wide as its neighbours, with the time of the segment divided alike. A
    segment that is not translated has captions of its own language.
    """
    cues: list[Cue] = []
    last_speaker = ""
    for segment in segments:
        speaker = " ".join(segment.speaker.split())
        label = speaker if label_speakers and speaker != last_speaker else ""
        last_speaker = speaker
        if segment.original:
            cues += _cues(segment, speaker, label)
        else:
            cues += make_cues([segment], label_speakers=bool(label))
    return without_overlap(cues)


def _cues(segment: SpeechSegment, speaker: str, label: str) -> list[Cue]:
    upper, lower = _tokens(segment.text, segment), _tokens(segment.original, segment)
    if label and upper:
        upper = [
            *label_tokens(label, segment.start_ms),
            replace(upper[0], space_before=True),
            *upper[1:],
        ]
    duration_ms = segment.end_ms - segment.start_ms
    widest = max((line_width(tokens) for tokens in (upper, lower) if tokens), default=0.0)
    number = max(1, ceil(widest / LINE_WIDTH), ceil(duration_ms / MAX_CUE_MS))
    # Words are not cut, so more parts may be needed than the widths say.
    while number < max(len(upper), len(lower)) and not (_fit(upper, number) and _fit(lower, number)):
        number += 1
    cues = []
    for at, parts in enumerate(zip(_split(upper, number), _split(lower, number), strict=True)):
        lines = tuple(text_of(part) for part in parts if part)
        start_ms = segment.start_ms + duration_ms * at // number
        end_ms = segment.start_ms + duration_ms * (at + 1) // number
        if lines:
            cues.append(Cue(start_ms, end_ms, lines, speaker))
    return cues


def _tokens(text: str, segment: SpeechSegment) -> list[Token]:
    return list(make_tokens(iter([SpeechSegment(segment.start_ms, segment.end_ms, text)])))


def _fit(tokens: Sequence[Token], number: int) -> bool:
    return all(line_width(part) <= LINE_WIDTH for part in _split(tokens, number) if part)


def _split(tokens: Sequence[Token], number: int) -> list[list[Token]]:
    """Return the tokens in `number` parts of about equal width. Some parts may be empty."""
    parts: list[list[Token]] = [[] for _ in range(number)]
    total = sum(token.width + token.space_before for token in tokens)
    before = 0.0
    for token in tokens:
        width = token.width + token.space_before
        middle = (before + width / 2) / total if total else 0.0
        parts[min(number - 1, int(middle * number))].append(token)
        before += width
    return parts
