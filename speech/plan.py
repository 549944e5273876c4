"""From decoded audio to windows: find the speech, then decide where to cut."""

from __future__ import annotations

from collections.abc import Callable

from speech.engines.base import Capabilities, Samples
from speech.types import Span
from speech.voice_activity import SpeechDetector
from speech.windows import Window, plan_windows

BLOCK_MS = 60_000
"""How much audio is in memory at a time."""


def plan(
    read: Callable[[int, int], Samples],
    duration_ms: int,
    capabilities: Capabilities,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> list[Window]:
    """The windows of `duration_ms` of audio, of which `read(start_ms, end_ms)` gives the samples.

    `on_progress` is called with how many milliseconds have been searched for speech.
    """
    speech = [Span(0, duration_ms)]
    detector = None
    if capabilities.needs_voice_activity:
        detector = SpeechDetector()
        for start_ms in range(0, duration_ms, BLOCK_MS):
            end_ms = min(start_ms + BLOCK_MS, duration_ms)
            detector.feed(read(start_ms, end_ms))
            if on_progress is not None:
                on_progress(end_ms)
        speech = detector.finish()
    return plan_windows(
        speech,
        duration_ms,
        min_window_s=capabilities.min_window_s,
        max_window_s=capabilities.max_window_s,
        quietest=detector.quietest if detector is not None else None,
    )
