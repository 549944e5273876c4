"""Sounds in which nobody says a word, made the same each time: what a microphone hears between words.

Each is float32 from -1 to 1 at `SAMPLE_RATE`. The voices are pulses of a glottis through resonances of a
mouth, so that voice activity takes some of them for speech, as it does with people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from speech.samples import Samples
from speech.types import SAMPLE_RATE

Floats = npt.NDArray[np.float64]
PEAK = 0.4

# Where a mouth resounds, in Hz, with how wide.
NASAL = ((250.0, 60.0), (1100.0, 150.0), (2100.0, 250.0))
OPEN = ((730.0, 90.0), (1150.0, 110.0), (2450.0, 160.0))
SHUT = ((300.0, 60.0), (870.0, 100.0), (2240.0, 160.0))


def laughter(length_s: float = 4.0, *, pitch_hz: float = 210.0, seed: int = 1) -> Samples:
    """Breaths of "ha" five times a second, falling in pitch, with a breath in after six of them."""
    rng = np.random.default_rng(seed)
    parts: list[Floats] = []
    while sum(map(len, parts)) < length_s * SAMPLE_RATE:
        for n in range(6):
            level = 0.9**n
            parts.append(0.25 * level * _breath(0.06, OPEN, rng))
            pitch = pitch_hz * rng.uniform(1.0, 1.2) * 0.95**n
            parts.append(level * _voice(np.linspace(1.1, 0.9, _n(0.1)) * pitch, OPEN, rng))
            parts.append(np.zeros(_n(rng.uniform(0.02, 0.06))))
        parts.append(0.15 * _breath(0.5, OPEN, rng))
    return _finished(parts, length_s)


def humming(length_s: float = 8.0, *, pitch_hz: float = 140.0, seed: int = 2) -> Samples:
    """A tune with closed lips, a note every half second."""
    rng = np.random.default_rng(seed)
    notes = pitch_hz * 2 ** (rng.choice([0, 2, 4, 5, 7, 9], _n(length_s) // _n(0.5) + 1) / 12)
    tune = np.repeat(notes, _n(0.5))
    # A voice slides from note to note, and trembles.
    tune = np.convolve(tune, np.ones(_n(0.08)) / _n(0.08), mode="same")
    tune *= 1 + 0.01 * np.sin(2 * np.pi * 5.5 * _time(len(tune)))
    return _finished([_voice(tune, NASAL, rng)], length_s)


def agreeing(length_s: float = 6.0, *, pitch_hz: float = 115.0, seed: int = 3) -> Samples:
    """ "Mm", "mm-hm": short hums that rise or fall, with pauses."""
    rng = np.random.default_rng(seed)
    parts: list[Floats] = [np.zeros(_n(0.4))]
    while sum(map(len, parts)) < length_s * SAMPLE_RATE:
        for _ in range(rng.integers(1, 3)):
            ends = pitch_hz * rng.uniform(0.85, 1.3, 2)
            parts.append(_voice(np.linspace(*ends, _n(rng.uniform(0.25, 0.6))), NASAL, rng))
            parts.append(np.zeros(_n(0.06)))
        parts.append(np.zeros(_n(rng.uniform(0.5, 1.2))))
    return _finished(parts, length_s)


def singing(length_s: float = 10.0, *, seed: int = 4) -> Samples:
    """A melody on vowels, without consonants."""
    rng = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < length_s * SAMPLE_RATE:
        note = 220 * 2 ** (rng.choice([0, 2, 4, 5, 7]) / 12)
        pitch = note * (1 + 0.015 * np.sin(2 * np.pi * 5.5 * _time(_n(rng.choice([0.4, 0.8])))))
        parts.append(_voice(pitch, [OPEN, SHUT][rng.integers(2)], rng))
    return _finished(parts, length_s)


def groaning(length_s: float = 5.0, *, seed: int = 5) -> Samples:
    """Long sighs with an open mouth, that fall."""
    rng = np.random.default_rng(seed)
    parts: list[Floats] = []
    while sum(map(len, parts)) < length_s * SAMPLE_RATE:
        parts.append(_voice(np.linspace(150, 85, _n(rng.uniform(0.7, 1.3))), OPEN, rng))
        parts.append(np.zeros(_n(0.5)))
    return _finished(parts, length_s)


def crying(length_s: float = 6.0, *, seed: int = 6) -> Samples:
    """A baby: high, and about a second long each time."""
    rng = np.random.default_rng(seed)
    parts: list[Floats] = []
    while sum(map(len, parts)) < length_s * SAMPLE_RATE:
        arch = np.sin(np.linspace(0.3, np.pi - 0.2, _n(rng.uniform(0.7, 1.1))))
        parts.append(_voice(380 + 130 * arch, OPEN, rng))
        parts.append(0.1 * _breath(0.35, OPEN, rng))
    return _finished(parts, length_s)


def coughing(length_s: float = 6.0, *, seed: int = 7) -> Samples:
    rng = np.random.default_rng(seed)
    parts: list[Floats] = [np.zeros(_n(0.5))]
    while sum(map(len, parts)) < length_s * SAMPLE_RATE:
        for _ in range(rng.integers(1, 4)):
            burst = _breath(0.3, OPEN, rng) * np.exp(-12 * _time(_n(0.3)))
            parts += [burst, 0.3 * _voice(np.linspace(160, 90, _n(0.12)), OPEN, rng)]
        parts.append(np.zeros(_n(rng.uniform(0.6, 1.4))))
    return _finished(parts, length_s)


def breathing(length_s: float = 10.0, *, seed: int = 8) -> Samples:
    rng = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < length_s * SAMPLE_RATE:
        for tract, level in ((SHUT, 0.6), (OPEN, 1.0)):
            parts += [level * _breath(rng.uniform(0.9, 1.5), tract, rng), np.zeros(_n(0.3))]
    return _finished(parts, length_s)


def keyboard(length_s: float = 10.0, *, seed: int = 9) -> Samples:
    """Clicks of keys, down and up, with pauses between words."""
    rng = np.random.default_rng(seed)
    sound = 0.002 * rng.standard_normal(_n(length_s))
    at = 0.2
    while at < length_s - 0.2:
        for delay_s, level in ((0.0, 1.0), (0.07, 0.4)):
            click = rng.standard_normal(_n(0.02)) * np.exp(-300 * _time(_n(0.02)))
            start = _n(at + delay_s)
            sound[start : start + len(click)] += level * click
        at += rng.choice([0.11, 0.16, 0.2, 0.7], p=[0.4, 0.3, 0.2, 0.1])
    return _finished([sound], length_s)


def applause(length_s: float = 8.0, *, seed: int = 10) -> Samples:
    rng = np.random.default_rng(seed)
    sound = np.zeros(_n(length_s) + _n(0.05))
    for start in rng.integers(0, _n(length_s), int(150 * length_s)):
        clap = rng.standard_normal(_n(0.02)) * np.exp(-200 * _time(_n(0.02)))
        sound[start : start + len(clap)] += rng.uniform(0.2, 1.0) * clap
    return _finished([sound], length_s)


def ringback(length_s: float = 14.0) -> Samples:
    """What a caller hears until somebody answers: North America's two tones, 2 s of every 6."""
    time_s = _time(_n(length_s))
    tones = np.sin(2 * np.pi * 440 * time_s) + np.sin(2 * np.pi * 480 * time_s)
    return _finished([tones * (time_s % 6 < 2)], length_s)


def dialling(length_s: float = 8.0, *, seed: int = 11) -> Samples:
    """The tones of a telephone's keys."""
    rng = np.random.default_rng(seed)
    parts: list[Floats] = []
    while sum(map(len, parts)) < length_s * SAMPLE_RATE:
        time_s = _time(_n(0.15))
        low, high = rng.choice([697, 770, 852, 941]), rng.choice([1209, 1336, 1477])
        parts += [np.sin(2 * np.pi * low * time_s) + np.sin(2 * np.pi * high * time_s), np.zeros(_n(0.12))]
    return _finished(parts, length_s)


def music(length_s: float = 12.0, *, seed: int = 12) -> Samples:
    """Plucked chords over a bass, with a drum."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(_n(length_s) + _n(2))
    for beat in range(int(length_s * 2)):
        root = 110 * 2 ** ([0, 5, 7, 3][beat // 4 % 4] / 12)
        time_s = _time(_n(1.5))
        for interval in (0, 4, 7, 12, 12 + rng.choice([2, 4, 7])):
            pitch = 2 * root * 2 ** (interval / 12)
            tone = sum(np.sin(2 * np.pi * pitch * k * time_s) / k for k in (1, 2, 3, 4))
            sound[_n(beat / 2) :][: len(time_s)] += 0.2 * tone * np.exp(-4 * time_s)
        drum = rng.standard_normal(_n(0.1)) * np.exp(-40 * _time(_n(0.1)))
        sound[_n(beat / 2) :][: len(drum)] += drum
    return _finished([sound], length_s)


def noise(length_s: float = 10.0, *, seed: int = 13) -> Samples:
    """A street far away: noise that is stronger below, and comes and goes."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(_n(length_s)))
    spectrum /= np.maximum(np.fft.rfftfreq(_n(length_s), 1 / SAMPLE_RATE), 20)
    rumble = np.fft.irfft(spectrum, _n(length_s))
    return _finished([rumble * (1.2 + np.sin(2 * np.pi * 0.2 * _time(len(rumble))))], length_s)


def nothing(length_s: float = 10.0) -> Samples:
    return np.zeros(_n(length_s), dtype=np.float32)


WORDLESS: dict[str, Callable[[], Samples]] = {
    sound.__name__: sound
    for sound in (
        laughter,
        humming,
        agreeing,
        singing,
        groaning,
        crying,
        coughing,
        breathing,
        keyboard,
        applause,
        ringback,
        dialling,
        music,
        noise,
        nothing,
    )
}

SEEDED = frozenset({"laughter", "humming", "agreeing", "singing", "groaning", "crying", "coughing"})
"""Those that voice activity may take for speech, and that differ with their seed."""


def _n(length_s: float) -> int:
    return round(length_s * SAMPLE_RATE)


def _time(n: int) -> Floats:
    return np.arange(n) / SAMPLE_RATE


def _voice(pitch_hz: Floats, tract: Sequence[tuple[float, float]], rng: np.random.Generator) -> Floats:
    """A voice of this pitch, one value for each sample, that swells and fades."""
    phase = np.cumsum(pitch_hz * rng.normal(1, 0.004, len(pitch_hz))) / SAMPLE_RATE
    source = np.diff(np.floor(phase), prepend=0.0) + 0.01 * rng.standard_normal(len(phase))
    # Pulses lose 12 dB in each octave, of which the lips give back 6.
    return _swelling(_resonant(source, [(100.0, 200.0), *tract]))


def _breath(length_s: float, tract: Sequence[tuple[float, float]], rng: np.random.Generator) -> Floats:
    return _swelling(_resonant(rng.standard_normal(_n(length_s)), tract))


def _resonant(source: Floats, tract: Sequence[tuple[float, float]]) -> Floats:
    """The source through resonances in a row, with the loudest sample at 1."""
    spectrum = np.fft.rfft(source, 2 * len(source))
    s = 2j * np.pi * np.fft.rfftfreq(2 * len(source), 1 / SAMPLE_RATE)
    for centre_hz, width_hz in tract:
        pole = -np.pi * width_hz + 2j * np.pi * centre_hz
        spectrum = spectrum * abs(pole) ** 2 / ((s - pole) * (s - pole.conjugate()))
    sound = np.fft.irfft(spectrum)[: len(source)]
    return sound / max(float(np.abs(sound).max()), 1e-9)


def _swelling(sound: Floats) -> Floats:
    edge = min(_n(0.04), len(sound) // 2)
    sound[:edge] *= np.linspace(0, 1, edge)
    sound[len(sound) - edge :] *= np.linspace(1, 0, edge)
    return sound


def _finished(parts: Sequence[Floats], length_s: float) -> Samples:
    sound = np.concatenate(parts)[: _n(length_s)]
    return (PEAK * sound / np.abs(sound).max()).astype(np.float32)
