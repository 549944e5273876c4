"""Measure what the mix of two channels loses. `benchmarks.speakers` prints it."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import numpy as np

from benchmarks.conversations import READERS, utterances
from benchmarks.server import MODELS
from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.models import model_path
from speech.samples import Samples
from speech.types import SAMPLE_RATE


def show_channels(model: str) -> None:
    engine = load_engine("local", EngineSettings(model=model, model_dir=model_path(model, MODELS)))

    def words_in(samples: Samples) -> Counter[str]:
        heard = engine.transcribe(samples, TranscribeOptions(language="en"))
        text = " ".join(segment.text for segment in heard.segments)
        return Counter(re.findall(r"[\w']+", text.lower()))

    print(f"\n{'two channels, ' + model:34}{'by channel':>12}{'in one':>8}{'lost':>7}")
    said = list(itertools.islice(itertools.chain(*zip(*map(utterances, READERS[:2]), strict=False)), 10))
    for early_s in (-0.2, 0.5, 1.0, 2.0):
        channels = np.zeros((2, sum(len(one.samples) + SAMPLE_RATE for one in said)), dtype=np.float32)
        at = 0
        for turn, one in enumerate(said):
            channels[turn % 2, at : at + len(one.samples)] += one.samples
            at = max(0, at + len(one.samples) - int(early_s * SAMPLE_RATE))
        apart = words_in(channels[0]) + words_in(channels[1])
        together = words_in(channels.mean(axis=0))
        lost = (apart - together).total() / apart.total()
        name = f"each begins {early_s} s early"
        print(f"{name:34}{apart.total():12}{together.total():8}{lost:7.0%}", flush=True)
