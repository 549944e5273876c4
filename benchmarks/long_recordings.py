"""Build long recordings from the short real ones, which are not part of the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from faster_whisper import decode_audio

from speech.types import SAMPLE_RATE

FOLDER = Path(
    os.environ.get("TEST_RECORDINGS", Path(__file__).resolve().parent.parent.parent / "shared" / "audio")
)
CLEAN_ENGLISH = (
    "en_two_cities_44s.m4a",
    "en_jfk_11s.flac",
    "en_sonnet1_53s.mp3",
    "en_mediarecorder_like_austen_28s.webm",
    "en_three_speakers_20s.wav",
)
PAUSE_S = 0.7
ENGLISH_READING = (
    *CLEAN_ENGLISH,
    "en_ivr_telephone_8k_25s.wav",
    "en_call_2spk_stereo_8k.wav",
)


def manifest() -> list[dict[str, Any]]:
    """Return the recordings with their texts.

    Raises:
        SystemExit: they are not on this machine.
    """
    path = FOLDER / "manifest.json"
    if not path.is_file():
        raise SystemExit(f"{FOLDER} has no recordings. Set TEST_RECORDINGS to the folder with manifest.json.")
    return list(json.loads(path.read_text()))


def long_english(target: Path, *, minutes: float) -> None:
    """Write `minutes` of clean English speech, the same over and over, in the format of the suffix of
    `target`.
    """
    manifest()
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE), dtype=np.float32)
    voices = [np.concatenate([decode_audio(str(FOLDER / name)), pause]) for name in CLEAN_ENGLISH]
    left = int(minutes * 60 * SAMPLE_RATE)
    with soundfile.SoundFile(target, "w", SAMPLE_RATE, 1) as file:
        while left > 0:
            for voice in voices:
                file.write(voice[:left])
                left -= len(voice)
                if left <= 0:
                    break


def english_reading(target: Path, *, rounds: int = 3, seed: int = 1) -> str:
    """Write all of ENGLISH_READING `rounds` times, each round in another order, and return what is said.

    Three rounds are about ten minutes. The pauses between them are no longer than those of a reader, so that
    they do not attract the ends of windows.
    """
    texts = {recording["file"]: recording["text"] for recording in manifest()}
    voices = {name: decode_audio(str(FOLDER / name)) for name in ENGLISH_READING}
    rng = np.random.default_rng(seed)
    said = []
    with soundfile.SoundFile(target, "w", SAMPLE_RATE, 1) as file:
        for _ in range(rounds):
            for name in rng.permutation(ENGLISH_READING):
                file.write(voices[name])
                file.write(np.zeros(int(rng.uniform(0.1, 0.5) * SAMPLE_RATE), dtype=np.float32))
                said.append(texts[name])
    return "\n".join(said)
