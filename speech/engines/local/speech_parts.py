"""The stretches of speech that the model gets. Long pauses between them are left out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from faster_whisper.transcribe import restore_speech_timestamps

from speech.engines.local.model import typed_failures
from speech.samples import Samples
from speech.types import SAMPLE_RATE, Span, ms_to_samples

# More speech than this between two words was skipped. Word times are wrong by up to a second.
SKIPPED_SPEECH_MS = 2_500
LONGEST_PAUSE_MS = 2_000
MARGIN_MS = 400
"""Of a pause longer than LONGEST_PAUSE_MS, only this much stays on either side."""
MOST_HALF_MINUTE_S = 29
LEAST_HALF_MINUTE_S = 22
LEAST_ROOM_S = 1


def least_half_minute_s(n_samples: int) -> int:
    """Return the shortest stretch that a window of so many samples may begin with, to be decoded at once.

    Whisper takes as long to encode less than half a minute, so a window of two is not cut into three: the
    first stretch is so long that the rest is half a minute at most.
    """
    rest_s = math.ceil(n_samples / SAMPLE_RATE) - MOST_HALF_MINUTE_S
    most_s = MOST_HALF_MINUTE_S - LEAST_ROOM_S
    return rest_s if LEAST_HALF_MINUTE_S < rest_s <= most_s else LEAST_HALF_MINUTE_S


def speech_ms_in(speech: Sequence[Span], within: Span) -> int:
    """Return how many milliseconds of `within` are speech."""
    overlaps = (min(s.end_ms, within.end_ms) - max(s.start_ms, within.start_ms) for s in speech)
    return sum(overlap for overlap in overlaps if overlap > 0)


def somebody_speaks(speech: Sequence[Span], start_ms: int, end_ms: int) -> bool:
    """Whether there is more speech between two words than wrong word times explain."""
    return speech_ms_in(speech, Span(start_ms, end_ms)) > SKIPPED_SPEECH_MS


def spoken_parts(speech: Sequence[Span], span: Span) -> list[Span]:
    """Return the speech in `span` with a margin, without long pauses."""
    parts: list[Span] = []
    for part in speech:
        start_ms = max(part.start_ms - MARGIN_MS, span.start_ms)
        end_ms = min(part.end_ms + MARGIN_MS, span.end_ms)
        if part.end_ms <= span.start_ms or part.start_ms >= span.end_ms:
            continue
        if parts and start_ms - parts[-1].end_ms < LONGEST_PAUSE_MS - 2 * MARGIN_MS:
            parts[-1] = Span(parts[-1].start_ms, end_ms)
        else:
            parts.append(Span(start_ms, end_ms))
    return parts


def joined_samples(samples: Samples, parts: Sequence[Span]) -> Samples:
    """Return the samples of the parts, one after another."""
    return np.concatenate([samples[ms_to_samples(p.start_ms) : ms_to_samples(p.end_ms)] for p in parts])


def restored_segments(heard: Iterable[Any], parts: Sequence[Span]) -> Iterator[Any]:
    """Yield faster-whisper's segments of joined parts with the times in the window at which they
    were spoken.
    """
    chunks = [{"start": ms_to_samples(p.start_ms), "end": ms_to_samples(p.end_ms)} for p in parts]
    return iter(typed_failures(restore_speech_timestamps(heard, chunks, SAMPLE_RATE)))
