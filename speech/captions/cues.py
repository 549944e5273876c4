"""Cut a transcript into captions that can be read: two short lines, a few seconds, cut at natural places.

A cue is one caption, as WebVTT calls it. The limits are the usual ones of subtitle guides: 42 Latin or 16
Chinese, Japanese or Korean characters a line, two lines, one to seven seconds. The cuts of a whole stretch of
speech are chosen at once, by dynamic programming over its words as in Knuth and Plass, "Breaking paragraphs
into lines" (1981).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from speech.captions.tokens import AFTER_WORD, LINE_WIDTH, Token, label_tokens, make_tokens
from speech.types import SpeechSegment

MAX_CUE_MS = 7_000
MIN_CUE_MS = 1_000
PAUSE_MS = 1_000
"""A caption never stays over a pause of this length."""
LONGEST_LABEL = 30
"""Characters of a name. A longer one would take the lines from what is said."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption.

    It has one or two `lines`, which are never blank, and `end_ms` is later than `start_ms`.
    """

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: str = ""


def make_cues(segments: Iterable[SpeechSegment], *, label_speakers: bool = False) -> list[Cue]:
    """Return the captions of a transcript, in time order and without overlap.

    `segments` are in time order. If the words of a segment are those of its text, their times count.
    Otherwise (no word times, or an edited text) the characters are spread evenly over the time of the
    segment. A caption may hold the end of one segment and the beginning of the next of the same speaker. With
    `label_speakers`, a caption in which another speaker begins starts with "Name: ", or with the beginning of
    a name that is longer than `LONGEST_LABEL`.
    """
    cues: list[Cue] = []
    for name, group in groupby(segments, key=lambda segment: segment.speaker):
        speaker = " ".join(name.split())
        tokens = list(make_tokens(group))
        if tokens and speaker and label_speakers:
            tokens = [
                *label_tokens(_shortened(speaker), tokens[0].start_ms),
                replace(tokens[0], space_before=True),
                *tokens[1:],
            ]
        for stretch in _split_at_pauses(tokens):
            for first, end in _best_cuts(stretch):
                cue = stretch[first:end]
                start_ms = cue[0].start_ms
                end_ms = min(cue[-1].end_ms, start_ms + MAX_CUE_MS)
                cues.append(Cue(start_ms, end_ms, _lines(cue), speaker))
    return without_overlap(cues)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1].rstrip()}…"


def _split_at_pauses(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    start = 0
    for at, (before, after) in enumerate(pairwise(tokens), start=1):
        if after.start_ms - before.end_ms >= PAUSE_MS:
            yield tokens[start:at]
            start = at
    if tokens:
        yield tokens[start:]


def line_width(tokens: Sequence[Token]) -> float:
    return sum(token.width + token.space_before for token in tokens) - tokens[0].space_before


def _best_cuts(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Return the captions as (first, one past the last) token. Together they have the least cost."""
    reach = _two_line_reach(tokens)
    cheapest = [0.0] + [float("inf")] * len(tokens)
    came_from = [0] * (len(tokens) + 1)
    for first in range(len(tokens)):
        width = -float(tokens[first].space_before)
        for end in range(first + 1, reach[first] + 1):
            last = tokens[end - 1]
            width += last.width + last.space_before
            duration_ms = last.end_ms - tokens[first].start_ms
            if duration_ms > MAX_CUE_MS and end > first + 1:
                break
            # The squares make captions similar in length; without them there would be full captions and a
            # short rest.
            cost = cheapest[first] + 1 + (1 - width / (2 * LINE_WIDTH)) ** 2
            cost += 2 * max(0, MIN_CUE_MS - duration_ms) / MIN_CUE_MS
            if end < len(tokens):
                cost += _pair_cost(last, tokens[end])
            if cost < cheapest[end]:
                cheapest[end], came_from[end] = cost, first
    cuts = []
    end = len(tokens)
    while end:
        cuts.append((came_from[end], end))
        end = came_from[end]
    return cuts[::-1]


def _two_line_reach(tokens: Sequence[Token]) -> list[int]:
    """Return for each token one past the last token that fits into two lines which begin with it."""
    one_line: list[int] = []
    end, width = 0, 0.0
    for first, token in enumerate(tokens):
        if end == first:
            end, width = first + 1, token.width
        while end < len(tokens) and width + tokens[end].width + tokens[end].space_before <= LINE_WIDTH:
            width += tokens[end].width + tokens[end].space_before
            end += 1
        one_line.append(end)
        if first + 1 < end:
            width -= token.width + tokens[first + 1].space_before
    one_line.append(len(tokens))
    return [one_line[end] for end in one_line[:-1]]


def _pair_cost(before: Token, after: Token) -> float:
    """Return the cost of a cut between two tokens.

    A pause of half a second makes a cut between words cheaper than a cut after a comma without a pause.
    """
    if before.cut_cost > AFTER_WORD:
        return before.cut_cost
    pause = min(500, max(0, after.start_ms - before.end_ms)) / 500
    return before.cut_cost * (1 - 0.6 * pause) - 0.6 * pause


def _lines(tokens: Sequence[Token]) -> tuple[str, ...]:
    if line_width(tokens) <= LINE_WIDTH:
        return (text_of(tokens),)

    def cost(at: int) -> float:
        upper, lower = line_width(tokens[:at]), line_width(tokens[at:])
        too_wide = 1000 * (max(upper, lower) > LINE_WIDTH)
        return too_wide + abs(upper - lower) + 6 * _pair_cost(tokens[at - 1], tokens[at])

    at = min(range(1, len(tokens)), key=cost)
    return text_of(tokens[:at]), text_of(tokens[at:])


def text_of(tokens: Sequence[Token]) -> str:
    return "".join(" " * token.space_before + token.text for token in tokens).strip(" ")


def without_overlap(cues: list[Cue]) -> list[Cue]:
    """Return the cues in time order. Each ends when the next begins, and short ones last longer if there is
    room.

    If people talk at the same time, the later cue waits until the earlier one has had its least time.
    """
    ordered = sorted(cues, key=lambda cue: cue.start_ms)
    apart: list[Cue] = []
    free_ms = 0
    for at, cue in enumerate(ordered):
        start_ms = max(cue.start_ms, free_ms)
        end_ms = max(cue.end_ms, start_ms + 1)
        least_ms = start_ms + MIN_CUE_MS
        next_ms = ordered[at + 1].start_ms if at + 1 < len(ordered) else max(end_ms, least_ms)
        if next_ms < end_ms:
            end_ms = max(next_ms, min(end_ms, least_ms))
        else:
            end_ms = min(next_ms, max(end_ms, least_ms))
        apart.append(replace(cue, start_ms=start_ms, end_ms=end_ms))
        free_ms = end_ms
    return apart
