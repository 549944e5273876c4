"""Find a soft speaker beside a loud one.

Silero VAD remembers for seconds how loud somebody was, and takes a voice that is 30 dB softer for background.
So frames without detected speech are heard again, without that memory and as loud as speech usually is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from speech.types import SAMPLE_RATE
from speech.voice.band import FRAME, Float, band_powers, loud_and_quiet

LONGEST = 8 * SAMPLE_RATE // FRAME
"""How many frames are heard again at once."""
_SHORTEST = 12  # frames; a shorter stretch is a pause between words
_SHORTEST_SPEECH = 8  # frames; shorter speech may be a breath
# The end of a word is soft, and so is the beginning of the next one. These frames are not a soft speaker.
_END_OF_WORD, _BEGIN_OF_WORD = 6, 3
_COMES_AND_GOES = 4.0  # the loudest half second relative to the quietest fifth; noise has 1.4
_LOUD_FRAMES = 16
_AIM = 0.1  # the wanted root mean square of the loudest half second: -20 dBFS
_LEAST_GAIN, _MOST_GAIN = 2.0, 100.0
_OFFSET_HZ, _HUM_HZ = 20, 100
_HIDDEN = 0.2
_SILENT = 2 / 32768


@dataclass(frozen=True, slots=True)
class SoftSpan:
    """The speech in the frames `[first, first + len(probabilities))` of those that were given."""

    first: int
    probabilities: Float


class SoftSpeech:
    """Hears frames again in which no speech was found. The thresholds are the same as for loud speech.

    `new_network()` returns a function from frames, of shape (n, FRAME), to their probabilities of speech. The
    function remembers what it was given before.
    """

    def __init__(
        self, new_network: Callable[[], Callable[[Float], Float]], threshold: float, threshold_off: float
    ) -> None:
        self._new_network = new_network
        self._threshold = threshold
        self._threshold_off = threshold_off
        self._network: Callable[[Float], Float] | None = None

    def forget(self) -> None:
        """Forget the frames so far, because the next ones do not follow on them."""
        self._network = None

    def hear(self, frames: Float, *, after_speech: bool, before_speech: bool) -> list[SoftSpan]:
        """Return the soft speech in `frames`, which have the shape (n, FRAME)."""
        begin = _END_OF_WORD if after_speech else 0
        end = len(frames) - (_BEGIN_OF_WORD if before_speech else 0)
        raised = _raised(frames, begin, end) if len(frames) >= _SHORTEST else None
        if raised is None:
            self.forget()
            return []
        self._network = self._network or self._new_network()
        return self._spans(self._network(raised), begin, end)

    def _spans(self, probabilities: Float, at: int, end: int) -> list[SoftSpan]:
        spans = []
        while at < end:
            first = at
            limit = self._threshold
            while at < len(probabilities) and probabilities[at] >= limit:
                limit = self._threshold_off
                at += 1
            if at - first >= _SHORTEST_SPEECH:
                spans.append(SoftSpan(first, probabilities[first:at]))
            at = max(at, first + 1)
        return spans


def _raised(frames: Float, begin: int, end: int) -> Float | None:
    """Return the frames as loud as speech usually is.

    Return None if they are loud already, or if they hold only a steady sound.
    """
    if np.abs(frames).max() < _SILENT:
        return None
    loud, quiet = loud_and_quiet(band_powers(frames.reshape(-1))[begin:end])
    if loud <= _COMES_AND_GOES * quiet:
        return None
    sound = _above(_OFFSET_HZ, frames)
    level = _loudest(sound[begin:end])
    without_hum = _above(_HUM_HZ, frames)
    # Low tones are removed only where they hide everything else: a buzz without its lowest tone sounds like a
    # vowel.
    if (rest := _loudest(without_hum[begin:end])) < _HIDDEN * level:
        sound, level = without_hum, rest
    gain = min(_AIM / level, _MOST_GAIN)
    return None if gain < _LEAST_GAIN else np.clip(sound * np.float32(gain), -1, 1)


def _loudest(frames: Float) -> float:
    levels = np.sqrt(np.square(frames).mean(axis=1))
    return float(np.sort(levels)[-_LOUD_FRAMES:].mean())


def _above(hz: int, frames: Float) -> Float:
    spectrum = np.fft.rfft(frames.reshape(-1))
    spectrum[: hz * frames.size // SAMPLE_RATE] = 0
    return np.fft.irfft(spectrum, frames.size).astype(np.float32).reshape(frames.shape)
