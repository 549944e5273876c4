"""Where somebody speaks: Silero VAD v6, written so that it takes less than half of the time (speech.silero).

The recording goes through in blocks; what grows with it is one probability per 32 ms (4 MB in ten hours).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speech.engines.base import Samples
from speech.types import SAMPLE_RATE, Span, ms_to_samples, samples_to_ms

_MODEL = Path(__file__).parent / "silero" / "silero_vad.onnx"
FRAME = 512
"""Samples that one probability is about: 32 ms."""
_CONTEXT = 64
_STATE = (1, 1, 128)
_SILENT = 2 / 32768
_A_SECOND = SAMPLE_RATE // FRAME
# At most this many frames go through the network at once: 4 s. A minute at once needs 50 MB and is slower.
_FRAMES_AT_ONCE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceActivityOptions:
    """Speech begins where its probability reaches `threshold` and goes on while it is above `threshold_off`.

    Pauses shorter than `min_pause_ms` are part of the speech; shorter speech than `min_speech_ms` is none.
    """

    threshold: float = 0.5
    threshold_off: float = 0.35
    min_pause_ms: int = 128
    min_speech_ms: int = 96


class SpeechDetector:
    """Finds speech in samples that are fed in any blocks; the result does not depend on how they are cut."""

    def __init__(self, options: VoiceActivityOptions | None = None) -> None:
        self._options = options or VoiceActivityOptions()
        self._session = _session()
        self._h = np.zeros(_STATE, dtype=np.float32)
        self._c = np.zeros(_STATE, dtype=np.float32)
        self._context = np.zeros(_CONTEXT, dtype=np.float32)
        self._rest = np.zeros(0, dtype=np.float32)
        self._n_samples = 0
        self._probabilities = array("f")
        self._spans: list[Span] = []
        self._looked = 0
        self._began: int | None = None

    def feed(self, samples: Samples | npt.NDArray[np.int16]) -> None:
        """The next samples, in any number: float32 from -1 to 1, or int16."""
        if samples.dtype == np.int16:
            samples = samples.astype(np.float32) / np.float32(32768)
        self._n_samples += len(samples)
        waiting = np.concatenate([self._rest, samples])
        whole = len(waiting) // FRAME
        self._rest = waiting[whole * FRAME :].copy()
        frames = waiting[: whole * FRAME].reshape(-1, FRAME)
        for first in range(0, whole, _FRAMES_AT_ONCE):
            self._run(frames[first : first + _FRAMES_AT_ONCE])

    def finish(self) -> list[Span]:
        """All speech, in order. Nothing can be fed afterwards."""
        if len(self._rest):
            self._run(np.pad(self._rest, (0, FRAME - len(self._rest)))[None])
            self._rest = self._rest[:0]
        return self.so_far()

    def so_far(self, since_ms: int = 0) -> list[Span]:
        """The speech in what was fed, but for what ended before `since_ms`; of that only the last span.

        What is fed afterwards can make the last span longer and add others. Nothing else changes.
        """
        self._look()
        first = bisect_right(self._spans, since_ms, key=lambda span: span.end_ms)
        # The last one before may be too short to count.
        while first > 0 and self._spans[first - 1].duration_ms < self._options.min_speech_ms:
            first -= 1
        spans = self._spans[max(first - 1, 0) :]
        if self._began is not None:
            self._append(spans, self._span(self._began, len(self._probabilities)))
        return [span for span in spans if span.duration_ms >= self._options.min_speech_ms]

    def probabilities(self) -> npt.NDArray[np.float32]:
        """One probability of speech per frame of 32 ms so far."""
        return np.array(self._probabilities, dtype=np.float32)

    def quietest(self, start_ms: int, end_ms: int) -> int:
        """The moment in `[start_ms, end_ms)` that is least likely to be inside of a word."""
        first, last = ms_to_samples(start_ms) // FRAME, ms_to_samples(end_ms) // FRAME
        some = np.array(self._probabilities[first : last + 1], dtype=np.float32)
        if not len(some):
            return end_ms
        # Three frames, because a single one may be a plosive's closure.
        smooth = np.convolve(np.pad(some, 1, mode="edge"), np.ones(3), mode="valid")
        middle = samples_to_ms((first + int(smooth.argmin())) * FRAME + FRAME // 2)
        return min(max(middle, start_ms), end_ms - 1)

    def _run(self, frames: Samples) -> None:
        if len(frames) >= _A_SECOND and np.abs(frames).max() < _SILENT:
            # A muted microphone, perhaps for hours: the model would say the same, a hundred times slower.
            self._context = frames[-1, -_CONTEXT:].copy()
            self._probabilities.frombytes(bytes(4 * len(frames)))
            return
        before = np.concatenate([self._context[None], frames[:-1, -_CONTEXT:]])
        self._context = frames[-1, -_CONTEXT:].copy()
        probabilities, self._h, self._c = self._session.run(
            None, {"input": np.concatenate([before, frames], axis=1), "h": self._h, "c": self._c}
        )
        self._probabilities.frombytes(np.asarray(probabilities, dtype=np.float32).tobytes())

    def _look(self) -> None:
        """Find where speech begins and ends in the probabilities that are new."""
        for frame in range(self._looked, len(self._probabilities)):
            if self._began is None and self._probabilities[frame] >= self._options.threshold:
                self._began = frame
            elif self._began is not None and self._probabilities[frame] < self._options.threshold_off:
                self._append(self._spans, self._span(self._began, frame))
                self._began = None
        self._looked = len(self._probabilities)

    def _append(self, spans: list[Span], span: Span) -> None:
        if spans and span.start_ms - spans[-1].end_ms < self._options.min_pause_ms:
            span = Span(spans.pop().start_ms, span.end_ms)
        spans.append(span)

    def _span(self, first: int, end: int) -> Span:
        duration_ms = samples_to_ms(self._n_samples)
        return Span(samples_to_ms(first * FRAME), min(samples_to_ms(end * FRAME), duration_ms))


@cache
def _session() -> Any:
    # Here, because no inference library may be loaded before a worker is forked. The model itself would
    # survive that: it has one thread, so no pool that the child lacks.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(_MODEL, sess_options=options, providers=["CPUExecutionProvider"])
