"""From decoded audio to windows: find the speech, then decide where to cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from speech.engines.base import Capabilities, Samples
from speech.types import Span
from speech.voice_activity import SpeechDetector
from speech.windows import Window, plan_growing, plan_windows

BLOCK_MS = 60_000
"""How much audio is in memory at a time."""


def plan(
    read: Callable[[int, int], Samples],
    duration_ms: int,
    capabilities: Capabilities,
    *,
    start_ms: int = 0,
    more_to_come: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> list[Window]:
    """The windows of `[start_ms, duration_ms)` of a recording; `read(start_ms, end_ms)` gives samples of it.

    With `more_to_come` they leave over what has to wait for the audio that follows.
    `on_progress` is called with how many milliseconds have been searched for speech.
    """
    length_ms = duration_ms - start_ms
    speech = [Span(0, length_ms)] if length_ms else []
    detector = None
    if capabilities.needs_voice_activity:
        detector = SpeechDetector()
        for block_ms in range(start_ms, duration_ms, BLOCK_MS):
            end_ms = min(block_ms + BLOCK_MS, duration_ms)
            detector.feed(read(block_ms, end_ms))
            if on_progress is not None:
                on_progress(end_ms)
        speech = detector.finish()
    quietest = detector.quietest if detector is not None else None
    cut = plan_growing if more_to_come else plan_windows
    windows = cut(
        speech,
        length_ms,
        min_window_s=capabilities.min_window_s,
        max_window_s=capabilities.max_window_s,
        quietest=quietest,
    )
    return [replace(w, start_ms=w.start_ms + start_ms, end_ms=w.end_ms + start_ms) for w in windows]
