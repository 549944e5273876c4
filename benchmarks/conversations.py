"""Build conversations from the real recordings of one person each, which are not part of the repository."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from faster_whisper import decode_audio

from benchmarks.long_recordings import FOLDER
from speech.samples import Samples
from speech.speakers import Turn
from speech.types import SAMPLE_RATE, Span, ms_to_samples, samples_to_ms
from speech.voice.activity import SpeechDetector
from tests.speech.der import read_rttm

READERS = (
    "en_sonnet1_53s.mp3",
    "en_two_cities_44s.m4a",
    "de_simplicissimus_68s.mp3",
    "en_mediarecorder_like_austen_28s.webm",
    "fr_telephone_8k_29s.wav",
    "en_ivr_telephone_8k_25s.wav",
    "en_jfk_11s.flac",
    "es_short_9s.wav",
)
CALL = "en_call_2spk_stereo_8k"
LEVEL = 0.05
"""Root mean square of speech."""
_LONGEST_UTTERANCE_MS = 5000


@dataclass(frozen=True, slots=True)
class Conversation:
    """Samples, and who says what when."""

    name: str
    samples: Samples
    turns: list[Turn]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of a recording that ends in pauses, and the speech in it."""

    samples: Samples
    speech: list[Span]


@cache
def utterances(reader: str) -> tuple[Utterance, ...]:
    """Return what one person says, all as loud. `CALL/0` and `CALL/1` are the two people of a call."""
    if reader.startswith(CALL):
        samples = decode_audio(str(FOLDER / f"{CALL}.wav"))
        spans = [
            Span(turn.start_ms, turn.end_ms)
            for turn in read_rttm(FOLDER / f"{CALL}.rttm")
            if turn.speaker == int(reader[-1])
        ]
        return tuple(_utterance(samples, [span]) for span in spans)
    samples = decode_audio(str(FOLDER / reader))
    detector = SpeechDetector()
    detector.feed(samples)
    groups: list[list[Span]] = []
    for span in detector.finish():
        if groups and span.end_ms - groups[-1][0].start_ms < _LONGEST_UTTERANCE_MS:
            groups[-1].append(span)
        else:
            groups.append([span])
    return tuple(_utterance(samples, group) for group in groups)


def _utterance(samples: Samples, speech: list[Span]) -> Utterance:
    first = speech[0].start_ms
    own = samples[ms_to_samples(first) : ms_to_samples(speech[-1].end_ms)]
    loudness = float(np.sqrt(np.mean(np.square(own)))) or 1.0
    moved = [Span(span.start_ms - first, span.end_ms - first) for span in speech]
    return Utterance(own * np.float32(LEVEL / loudness), moved)


def conversation(
    seed: int, people: int, *, minutes: float = 3, overlap: bool = False, telephone: bool = False
) -> Conversation:
    """Return a conversation in which nobody says the same twice.

    With `overlap`, a third of the turns begin .4 to 1.6 s early, and the voices differ by up to 10 dB. With
    `telephone`, the band is 300 to 3400 Hz.
    """
    rng = np.random.default_rng(seed)
    readers = rng.permutation([*READERS, f"{CALL}/0", f"{CALL}/1"])[:people]
    left = [list(utterances(str(reader))) for reader in readers]
    gains = 10 ** (-rng.uniform(0, 10 if overlap else 3, people) / 20)
    samples = np.zeros(int((minutes * 60 + 30) * SAMPLE_RATE), dtype=np.float32)
    turns: list[Turn] = []
    end, last = SAMPLE_RATE // 2, -1
    while end < minutes * 60 * SAMPLE_RATE:
        able = [at for at in range(people) if left[at] and at != last]
        if not able:
            break
        # Who has most left speaks more often, so that nobody is silent for the second half.
        chances = np.array([len(left[at]) for at in able], dtype=float)
        last = int(rng.choice(able, p=chances / chances.sum()))
        early = overlap and turns and rng.random() < 1 / 3
        gap_s = -rng.uniform(0.4, 1.6) if early else rng.uniform(0.1, 0.8)
        at = max(0, end + int(gap_s * SAMPLE_RATE))
        for _ in range(min(len(left[last]), int(rng.integers(1, 4)))):
            said = left[last].pop(0)
            samples[at : at + len(said.samples)] += said.samples * np.float32(gains[last])
            turns += [
                Turn(samples_to_ms(at) + span.start_ms, samples_to_ms(at) + span.end_ms, last)
                for span in said.speech
            ]
            at += len(said.samples) + int(rng.uniform(0.1, 0.5) * SAMPLE_RATE)
            end = max(end, at)
    samples = samples[: end + SAMPLE_RATE // 2]
    samples += rng.normal(0, 0.0005, len(samples)).astype(np.float32)
    kinds = [kind for kind, given in (("overlap", overlap), ("telephone", telephone)) if given]
    return Conversation(
        ", ".join([f"{len({turn.speaker for turn in turns})} people", *kinds, f"seed {seed}"]),
        _rounded(by_telephone(samples) if telephone else samples),
        _filled(turns),
    )


def _rounded(samples: Samples) -> Samples:
    """Return the samples as the working copy of a recording keeps them, in 16 bits."""
    return (np.rint(samples * 32768) / 32768).astype(np.float32)


def by_telephone(samples: Samples) -> Samples:
    """Return what a telephone leaves: 300 to 3400 Hz, in the 256 steps of mu-law."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    spectrum[(hz < 300) | (hz > 3400)] = 0
    narrow = np.fft.irfft(spectrum[: len(samples) // 4 + 1], len(samples) // 2) / 2
    steps = np.rint(127 * np.sign(narrow) * np.log1p(255 * np.minimum(1, np.abs(narrow))) / np.log(256))
    narrow = np.sign(steps) * np.expm1(np.abs(steps) / 127 * np.log(256)) / 255
    wide = np.zeros_like(spectrum)
    half = np.fft.rfft(narrow)
    wide[: len(half)] = 2 * half
    return np.fft.irfft(wide, len(samples)).astype(np.float32)


def _filled(turns: list[Turn]) -> list[Turn]:
    """Return the turns of each speaker without pauses of less than .3 s."""
    filled: list[Turn] = []
    for turn in sorted(turns, key=lambda turn: (turn.speaker, turn.start_ms)):
        before = filled[-1] if filled else None
        if before and before.speaker == turn.speaker and turn.start_ms - before.end_ms < 300:
            filled[-1] = Turn(before.start_ms, max(before.end_ms, turn.end_ms), turn.speaker)
        else:
            filled.append(turn)
    return sorted(filled)
