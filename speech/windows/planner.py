"""Plan the windows of decoded audio: find the speech, then choose where to cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from speech.samples import Samples
from speech.types import Span, samples_to_ms
from speech.voice.activity import SpeechDetector
from speech.windows.cuts import Window, cut_growing_windows, cut_windows

BLOCK_MS = 60_000
"""How much audio is in memory at a time."""


class Hearing(Protocol):
    """What the planner needs to know of an engine. `speech.engines.base.Capabilities` has it."""

    @property
    def needs_voice_activity(self) -> bool: ...

    @property
    def min_window_s(self) -> int: ...

    @property
    def max_window_s(self) -> int: ...


class Planner:
    """Plans the windows of audio that is fed block by block. `start_ms` is where the first block lies.

    Each window is returned once, as soon as no later audio can change it. With `more_to_come`, `finish`
    returns all windows, and the audio that must wait for what follows stays out of them. Windows that begin
    before `early_until_ms` may then be short (`speech.windows.cuts.cut_growing_windows`).
    """

    def __init__(
        self,
        capabilities: Hearing,
        *,
        start_ms: int = 0,
        more_to_come: bool = False,
        early_until_ms: int = 0,
    ) -> None:
        self._limits = {
            "min_window_s": capabilities.min_window_s,
            "max_window_s": capabilities.max_window_s,
        }
        self._detector = SpeechDetector() if capabilities.needs_voice_activity else None
        self._start_ms = start_ms
        self._more_to_come = more_to_come
        self._early_until_ms = early_until_ms
        self._n_samples = 0
        self._planned_ms = 0

    def feed(self, samples: Samples | npt.NDArray[np.int16]) -> list[Window]:
        """Take the next samples (float32 from -1 to 1, or int16) and return the windows that are now
        certain.
        """
        self._n_samples += len(samples)
        if self._detector is not None:
            self._detector.feed(samples)
        if self._more_to_come or self._fed_ms - self._planned_ms < sum(self._limits.values()) * 1000:
            return []
        return self._windows(ended=False)

    def finish(self) -> list[Window]:
        """Return the windows of the rest. Nothing can be fed afterwards."""
        if self._detector is not None:
            self._detector.finish()
        if not self._more_to_come:
            return self._windows(ended=True)
        windows = cut_growing_windows(
            self._speech(),
            self._fed_ms,
            quietest=self._quietest,
            early_until_ms=self._early_until_ms - self._start_ms,
            **self._limits,
        )
        return self._placed(windows)

    @property
    def _fed_ms(self) -> int:
        return samples_to_ms(self._n_samples)

    @property
    def _quietest(self) -> Callable[[int, int], int] | None:
        return None if self._detector is None else self._detector.quietest

    def _speech(self) -> list[Span]:
        if self._detector is None:
            return [Span(0, self._fed_ms)] if self._fed_ms else []
        return self._detector.so_far(self._planned_ms)

    def _windows(self, *, ended: bool) -> list[Window]:
        windows = cut_windows(
            self._speech(),
            self._fed_ms,
            quietest=self._quietest,
            start_ms=self._planned_ms,
            ended=ended,
            **self._limits,
        )
        if windows:
            self._planned_ms = windows[-1].end_ms
        return self._placed(windows)

    def _placed(self, windows: list[Window]) -> list[Window]:
        by_ms = self._start_ms
        return [replace(w, start_ms=w.start_ms + by_ms, end_ms=w.end_ms + by_ms) for w in windows]


def plan_windows(
    read: Callable[[int, int], Samples],
    duration_ms: int,
    capabilities: Hearing,
    *,
    start_ms: int = 0,
    more_to_come: bool = False,
    early_until_ms: int = 0,
    on_progress: Callable[[int], None] | None = None,
    on_windows: Callable[[Sequence[Window]], None] | None = None,
) -> list[Window]:
    """Return the windows of `[start_ms, duration_ms)` of a recording. `read(start_ms, end_ms)` gives its
    samples.

    With `more_to_come`, the windows leave out the audio that must wait for what follows, and those that begin
    before `early_until_ms` may be short. `on_progress` is
    called with the milliseconds that have been searched for speech. `on_windows` gets each window that is
    certain before the search ends; the result then has only the other windows.
    """
    planner = Planner(
        capabilities, start_ms=start_ms, more_to_come=more_to_come, early_until_ms=early_until_ms
    )
    windows: list[Window] = []
    for block_ms in range(start_ms, duration_ms, BLOCK_MS):
        end_ms = min(block_ms + BLOCK_MS, duration_ms)
        settled = planner.feed(read(block_ms, end_ms))
        if on_windows is None:
            windows += settled
        elif settled:
            on_windows(settled)
        if on_progress is not None:
            on_progress(end_ms)
    return windows + planner.finish()
