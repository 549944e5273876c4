from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from faster_whisper import decode_audio
from faster_whisper.vad import get_vad_model

from speech.types import SAMPLE_RATE, Span
from speech.voice.activity import FRAME, SpeechDetector, VoiceActivityOptions
from tests.services import ROOT


@pytest.fixture(scope="module")
def talk():
    """About a minute of two voices, with pauses."""
    return decode_audio(str(ROOT / "tests" / "audio" / "sample.mp3"))


def detected(samples, cuts=()) -> SpeechDetector:
    detector = SpeechDetector()
    for block in np.split(samples, cuts):
        detector.feed(block)
    detector.finish()
    return detector


def speech_in(*blocks) -> list[Span]:
    detector = SpeechDetector()
    for block in blocks:
        detector.feed(block)
    return detector.finish()


def test_it_hears_the_same_as_in_one_pass_however_the_audio_is_cut(talk):
    padded = np.pad(talk, (0, -len(talk) % FRAME))
    in_one_pass = get_vad_model()(padded).reshape(-1)
    rng = np.random.default_rng(1)
    for cuts in ([], [1], sorted(rng.integers(0, len(talk), 200)), range(0, len(talk), FRAME)):
        heard = detected(talk, cuts).probabilities()
        assert heard == pytest.approx(in_one_pass, abs=1e-5)


def test_sixteen_bit_samples_are_heard_like_floats(talk):
    sixteen = (talk * 32767).astype(np.int16)
    assert speech_in(sixteen) == speech_in(sixteen / np.float32(32768))


def test_spans_are_in_order_inside_the_recording_and_apart(talk):
    spans = speech_in(talk)
    assert len(spans) > 10
    assert spans[0].start_ms >= 0
    assert spans[-1].end_ms <= len(talk) * 1000 // SAMPLE_RATE
    options = VoiceActivityOptions()
    assert all(b.start_ms - a.end_ms >= options.min_pause_ms for a, b in pairwise(spans))
    assert all(span.duration_ms >= options.min_speech_ms for span in spans)


def test_what_is_found_on_the_way_stays_and_only_the_last_span_grows(talk):
    whole = speech_in(talk)
    detector = SpeechDetector()
    for number, block in enumerate(np.split(talk, range(SAMPLE_RATE, len(talk), SAMPLE_RATE))):
        detector.feed(block)
        *before, last = detector.so_far() or [None]
        assert before == whole[: len(before)], number
        assert last is None or last.start_ms == whole[len(before)].start_ms, number
    assert detector.finish() == detector.so_far() == whole


def test_what_ended_before_is_left_out_but_for_the_last(talk):
    detector = SpeechDetector()
    detector.feed(talk)
    spans = detector.finish()
    assert detector.so_far(spans[5].end_ms) == spans[5:]
    assert detector.so_far(spans[-1].end_ms) == spans[-1:]


def test_what_is_too_short_to_count_is_not_taken_for_the_last_before():
    detector = SpeechDetector()
    detector._probabilities.extend([0.9] * 40 + [0.0] * 40 + [0.9] * 2 + [0.0] * 40 + [0.9] * 40)
    detector._n_samples = len(detector._probabilities) * FRAME
    assert len(detector.so_far()) == 2
    assert detector.so_far(since_ms=100 * 32) == detector.so_far()


def test_speech_is_where_it_was_put(talk):
    voice = talk[: 5 * SAMPLE_RATE]
    silence = np.zeros(20 * SAMPLE_RATE, dtype=np.float32)
    spans = speech_in(silence, voice, silence)
    assert 20_000 <= spans[0].start_ms < 21_500
    assert 23_500 < spans[-1].end_ms <= 25_500


@pytest.mark.parametrize("kind", ["nothing", "silence", "white noise", "hum", "clicks"])
def test_it_does_not_hear_speech_where_there_is_none(kind):
    time_s = np.arange(30 * SAMPLE_RATE) / SAMPLE_RATE
    sounds = {
        "nothing": time_s[:0],
        "silence": 0 * time_s,
        "white noise": 0.05 * np.random.default_rng(1).standard_normal(len(time_s)),
        "hum": 0.2 * np.sin(2 * np.pi * 50 * time_s),
        "clicks": np.where(np.arange(len(time_s)) % 4000 < 20, 0.5, 0),
    }
    assert speech_in(sounds[kind].astype(np.float32)) == []


def test_speech_that_goes_on_to_the_end_ends_there(talk):
    spoken = next(span for span in speech_in(talk) if span.duration_ms > 1500)
    cut_ms = spoken.start_ms + 1000
    assert speech_in(talk[: cut_ms * SAMPLE_RATE // 1000])[-1].end_ms == cut_ms


def test_the_quietest_moment_is_inside_the_range_and_in_the_pause(talk):
    detector = SpeechDetector()
    detector.feed(talk)
    spans = detector.finish()
    before, after = max(pairwise(spans), key=lambda two: two[1].start_ms - two[0].end_ms)
    at_ms = detector.quietest(before.end_ms - 2000, after.start_ms + 2000)
    assert before.end_ms <= at_ms <= after.start_ms
    inside = next(span for span in spans if span.duration_ms > 1000)
    at_ms = detector.quietest(inside.start_ms + 200, inside.end_ms - 200)
    assert inside.start_ms + 200 <= at_ms < inside.end_ms - 200


def test_the_quietest_moment_is_not_drawn_to_the_ends_of_the_range():
    detector = SpeechDetector()
    detector._probabilities.extend([0.9] * 40 + [0.7] * 3 + [0.9] * 40)
    assert Span(40 * 32, 43 * 32).start_ms <= detector.quietest(0, 83 * 32) < 43 * 32


def test_memory_does_not_grow_with_the_recording():
    script = """
import resource, sys
import numpy as np
from speech.voice.activity import SpeechDetector
minute = np.random.default_rng(0).standard_normal(960_000).astype(np.float32) / 20
detector = SpeechDetector()
for _ in range(int(sys.argv[1])):
    detector.feed(minute)
detector.finish()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

    def peak_kb(minutes: int) -> int:
        done = subprocess.run(
            [sys.executable, "-c", script, str(minutes)], cwd=ROOT, capture_output=True, check=True, text=True
        )
        return int(done.stdout)

    assert peak_kb(minutes=40) < peak_kb(minutes=2) + 8_000


def test_importing_it_loads_no_inference_library():
    script = (
        "import sys, speech.voice.activity; sys.exit(bool({'onnxruntime', 'ctranslate2'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_fork_goes_on_hearing():
    script = """
import os
import numpy as np
from speech.voice.activity import SpeechDetector
def speech_in(samples):
    detector = SpeechDetector()
    detector.feed(samples)
    return detector.finish()
speech_in(np.zeros(16_000, dtype=np.float32))
child = os.fork()
if child == 0:
    os._exit(len(speech_in(np.zeros(160_000, dtype=np.float32))))
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


def test_hours_of_silence_cost_next_to_nothing_and_hide_no_speech(monkeypatch):
    detector = SpeechDetector()
    ran = []
    network = detector._network
    run = network._session.run
    monkeypatch.setattr(
        network, "_session", SimpleNamespace(run=lambda *given: (ran.append(1), run(*given))[1])
    )
    for _ in range(60):
        detector.feed(np.zeros(60 * SAMPLE_RATE, dtype=np.float32))
    assert not ran
    assert len(detector.probabilities()) == 60 * 60 * SAMPLE_RATE // FRAME
    assert detector.finish() == []
