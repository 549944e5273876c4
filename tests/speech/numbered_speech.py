"""Sound that voice activity takes for speech, and in which each utterance says its number.

A voice of three vowels carries four high tones, the digits of a number, a quarter of a second each; a pause
follows. So a test knows every word of a recording, and sees which utterance was lost, doubled or cut, through
voice activity, windows, codecs and a server.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from speech.samples import Samples
from speech.types import SAMPLE_RATE, Word

DIGITS = 4
SPOKEN_S = 1.0
PAUSE_S = 0.5
UTTERANCE_S = SPOKEN_S + PAUSE_S
LOWEST_HZ = 4_600
STEP_HZ = 200
"""The voice ends below; Opus at 32 kbit/s keeps up to 8 kHz."""
CUT = "cut"
FRAME = SAMPLE_RATE // 50
# Frequency, bandwidth and weight of the formants of a, i and u.
VOWELS = (
    ((730, 80, 1.0), (1090, 90, 0.6), (2440, 120, 0.3)),
    ((270, 60, 1.0), (2290, 100, 0.5), (3010, 120, 0.3)),
    ((300, 60, 1.0), (870, 90, 0.4), (2240, 120, 0.1)),
)


def make_numbered_speech(first: int, count: int) -> Samples:
    """`count` utterances of `UTTERANCE_S`, the pause behind each."""
    return np.concatenate([_utterance(number) for number in range(first, first + count)])


def numbers(first: int, count: int) -> list[str]:
    """What they say."""
    return [f"w{number:0{DIGITS}d}" for number in range(first, first + count)]


def read_numbered_speech(samples: Samples) -> list[Word]:
    """The whole utterances in any stretch of it; one that is cut shows as `CUT`."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1))
    # From the lowest tone on, half a step wider on either side.
    low, high = (round(hz * FRAME / SAMPLE_RATE) for hz in (LOWEST_HZ - 100, LOWEST_HZ + 9.5 * STEP_HZ))
    sounding = np.pad(spectrum[:, low:high].max(axis=1) > 0.7, 1)
    edges = np.flatnonzero(np.diff(sounding.astype(int))).reshape(-1, 2) * FRAME
    words = []
    for start, end in edges.tolist():
        whole = abs((end - start) / SAMPLE_RATE - SPOKEN_S) < 0.1
        text = _digits(samples[start:end]) if whole else CUT
        words.append(Word(start * 1000 // SAMPLE_RATE, end * 1000 // SAMPLE_RATE, text))
    return words


def _digits(sound: Samples) -> str:
    text = "w"
    for slot in np.array_split(sound, DIGITS):
        middle = slot[len(slot) // 4 : -len(slot) // 4]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        low = round((LOWEST_HZ - STEP_HZ) * len(middle) / SAMPLE_RATE)
        loudest_hz = (low + int(spectrum[low:].argmax())) * SAMPLE_RATE / len(middle)
        text += str(min(9, max(0, round((loudest_hz - LOWEST_HZ) / STEP_HZ))))
    return text


def _utterance(number: int) -> Samples:
    time_s = np.arange(int(SPOKEN_S * SAMPLE_RATE) // DIGITS) / SAMPLE_RATE
    tones = [
        np.sin(2 * np.pi * (LOWEST_HZ + int(digit) * STEP_HZ) * time_s) for digit in f"{number:0{DIGITS}d}"
    ]
    spoken = _voice() + 0.05 * np.concatenate(tones)
    return np.concatenate([spoken, np.zeros(int(PAUSE_S * SAMPLE_RATE))]).astype(np.float32)


@cache
def _voice() -> Samples:
    time_s = np.arange(int(SPOKEN_S * SAMPLE_RATE)) / SAMPLE_RATE
    pitch_hz = 125 + 15 * np.sin(2 * np.pi * 2.3 * time_s) - 20 * time_s
    pulses = np.diff(np.floor(np.cumsum(pitch_hz) / SAMPLE_RATE), prepend=0.0)
    vowels = [sum(weight * _resonance(pulses, hz, width) for hz, width, weight in vowel) for vowel in VOWELS]
    syllable = (time_s * 4).astype(int) % len(VOWELS)
    voice = np.choose(syllable, vowels) * np.sqrt(np.sin(np.pi * ((time_s * 4) % 1)))
    return (0.4 * voice / np.abs(voice).max()).astype(np.float32)


def _resonance(sound: Samples, hz: float, width_hz: float) -> Samples:
    """A two-pole resonator, its loudest sample 1."""
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE)
    near, far = 2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE), -radius * radius
    out = np.zeros(len(sound) + 2)
    for n, sample in enumerate(sound):
        out[n + 2] = sample + near * out[n + 1] + far * out[n]
    return out[2:] / np.abs(out).max()
