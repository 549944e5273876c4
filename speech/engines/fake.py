"""An engine for tests, which does all the work of an engine without a model.

It reads the numbers, one a second, that `make_numbered_audio` has put into the sound. So a test knows every
word of any recording, and sees which second was lost or doubled. Hint words make the engine misbehave:

    fake:slow=2           each window takes two seconds more
    fake:fail             EngineFailed, which is worth another try
    fake:fail=permanent   NotSupported, which is not
    fake:fail=utterance   EngineFailed, but only for utterances, which are heard while somebody speaks
    fake:crash            the process is killed
    fake:hang             it never returns, and no exception can reach it
    fake:once=FILE        the hints after it work only for the first process that creates FILE
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from speech.engines.base import Capabilities, EngineSettings, TranscribeOptions
from speech.errors import EngineFailed, NotSupported
from speech.samples import Samples
from speech.types import SAMPLE_RATE, SpeechSegment, Timing, Transcription, Word

DIGITS = 4
SLOT = SAMPLE_RATE // DIGITS
LOWEST_HZ = 400
STEP_HZ = 200
AMPLITUDE = 0.3
WORDS_PER_SEGMENT = 5


def make_numbered_audio(first: int, count: int) -> Samples:
    """Return `count` seconds of sound.

    Each is four tones, the digits of its number. Lossy codecs keep them readable.
    """
    time_s = np.arange(SLOT) / SAMPLE_RATE
    tones = [AMPLITUDE * np.sin(2 * np.pi * (LOWEST_HZ + digit * STEP_HZ) * time_s) for digit in range(10)]
    slots = [tones[int(digit)] for n in range(first, first + count) for digit in f"{n:0{DIGITS}d}"]
    return np.concatenate(slots).astype(np.float32) if slots else np.zeros(0, dtype=np.float32)


class FakeEngine:
    name = "fake"
    capabilities = Capabilities(needs_voice_activity=False, live=True)

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings

    def transcribe(
        self,
        samples: Samples,
        options: TranscribeOptions,
        on_segment: Callable[[SpeechSegment], None] | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Transcription:
        slow_s = _misbehave(options.prompt)
        segments = []
        for segment in _segments(samples, slow_s=slow_s):
            segment = segment if options.word_times else replace(segment, words=())
            segments.append(segment)
            if on_segment is not None:
                on_segment(segment)
        timing: Timing = "words" if options.word_times else "segments"
        return Transcription(tuple(segments), options.language or "en", 1.0, timing)

    def transcribe_utterance(self, samples: Samples, options: TranscribeOptions) -> Transcription:
        slow_s = _misbehave(options.prompt, utterance=True)
        return Transcription(tuple(_segments(samples, slow_s=slow_s)), options.language or "en", 1.0)

    def draft(
        self, samples: Samples, options: TranscribeOptions, *, carefully: bool = False
    ) -> tuple[str, str]:
        text = " ".join(segment.text for segment in _segments(samples, slow_s=0))
        return text, options.language or "en"


def _segments(samples: Samples, *, slow_s: float) -> Iterator[SpeechSegment]:
    """Yield the numbers in the whole seconds of `samples`. All of them take `slow_s` longer."""
    words = [
        Word(n * 1000, n * 1000 + 1000, text, 1.0)
        for n in range(len(samples) // SAMPLE_RATE)
        if (text := _read(samples[n * SAMPLE_RATE : (n + 1) * SAMPLE_RATE]))
    ]
    for at in range(0, len(words), WORDS_PER_SEGMENT):
        some = tuple(words[at : at + WORDS_PER_SEGMENT])
        text = " ".join(word.text for word in some)
        time.sleep(slow_s * len(some) / len(words))
        yield SpeechSegment(some[0].start_ms, some[-1].end_ms, text, confidence=1.0, words=some)


def _read(second: Samples) -> str:
    """Return the number in a second of sound as a word, or '' if there is none."""
    digits = ""
    for slot in second.reshape(DIGITS, SLOT):
        # Codecs blur the edges of the tones.
        middle = slot[SLOT // 4 : -SLOT // 4]
        if np.abs(middle).max() < AMPLITUDE / 10:
            return ""
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        loudest_hz = int(spectrum.argmax()) * SAMPLE_RATE / len(middle)
        digits += str(min(9, max(0, round((loudest_hz - LOWEST_HZ) / STEP_HZ))))
    return f"w{digits}"


def _misbehave(prompt: str, *, utterance: bool = False) -> float:
    """Do what the hint words say. Return how many seconds this window or utterance should take longer."""
    slow_s = 0.0
    for hint in prompt.split():
        name, _, value = hint.partition("=")
        if name == "fake:slow":
            slow_s = float(value)
        elif name == "fake:fail" and (value != "utterance" or utterance):
            raise (NotSupported if value == "permanent" else EngineFailed)(
                "The fake engine was asked to fail."
            )
        elif name == "fake:crash":
            os.kill(os.getpid(), signal.SIGKILL)
        elif name == "fake:hang":
            _hang()
        elif name == "fake:once":
            try:
                Path(value).touch(exist_ok=False)
            except FileExistsError:
                break
    return slow_s


def _hang() -> None:
    """Wait for ever in C, like a hung inference, which neither a signal handler nor an exception can end."""
    lock = ctypes.CDLL(None).pthread_mutex_lock
    mutex = ctypes.create_string_buffer(64)  # a mutex of zeros is unlocked
    lock(mutex)
    lock(mutex)
