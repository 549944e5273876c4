"""Utterances for an engine that needs no voice activity: they end at each full five seconds."""

from __future__ import annotations

import numpy as np
import pytest

from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.fake import FakeEngine, make_numbered_audio
from speech.errors import EngineFailed
from speech.live.listening import Final, Listening
from speech.live.utterances import SoundUtterances, Utterance
from speech.types import ms_to_samples


def sound(ms: int) -> np.ndarray:
    return np.zeros(ms_to_samples(ms), dtype=np.float32)


def test_an_utterance_ends_at_each_full_five_seconds_of_the_timeline():
    utterances = SoundUtterances(start_ms=3_000)
    assert utterances.feed(sound(1_999)) == []
    assert utterances.open() == Utterance(3_000, 4_999, 3_000, 4_999)
    assert utterances.feed(sound(6_001)) == [
        Utterance(3_000, 5_000, 3_000, 5_000),
        Utterance(5_000, 10_000, 5_000, 10_000),
    ]
    assert utterances.finish() == [Utterance(10_000, 11_000, 10_000, 11_000)]
    assert utterances.open() is None


def engine() -> FakeEngine:
    made = load_engine("fake", EngineSettings(model="fake"))
    assert isinstance(made, FakeEngine)
    return made


def test_the_fake_engine_hears_each_second_once_live():
    listening = Listening(voice_activity=False)
    finals: list[Final] = []
    for n in range(12):
        listening.feed(make_numbered_audio(n, 1))
        if final := listening.hear_final(engine()):
            finals.append(final)
        elif interim := listening.hear_interim(engine()):
            # The last word may be half of one.
            assert interim.text.split() == [f"w{m:04}" for m in range(n // 5 * 5, n)]
    listening.finish()
    last = listening.hear_final(engine())
    assert last is not None
    segments = [segment for final in [*finals, last] for segment in final.segments]
    assert " ".join(s.text for s in segments) == " ".join(f"w{n:04}" for n in range(12))
    assert [s.start_ms for s in segments] == [0, 5_000, 10_000]
    assert listening.heard_ms == listening.received_ms == 12_000


def test_an_utterance_that_nobody_can_hear_is_given_up_and_the_next_one_is_heard():
    listening = Listening(options=TranscribeOptions(prompt="fake:fail=utterance"), voice_activity=False)
    listening.feed(make_numbered_audio(0, 11))
    with pytest.raises(EngineFailed):
        listening.hear_final(engine())
    assert (listening.n_ended, listening.oldest) == (2, Utterance(0, 5_000, 0, 5_000))
    assert listening.skip_final() == Utterance(0, 5_000, 0, 5_000)
    assert (listening.final_ms, listening.ended_ms) == (5_000, 10_000)
    # A window of the same job is transcribed.
    assert engine().transcribe(make_numbered_audio(0, 5), listening.options).segments
