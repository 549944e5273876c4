"""Where utterances end, in speech and silence of known lengths."""

from __future__ import annotations

from itertools import pairwise

import pytest

from speech.live.utterances import UNDECIDED_MS, Utterance, Utterances
from speech.samples import Samples
from tests.speech.live.conftest import said

FRAME = 1600


def cut(samples: Samples, start_ms: int = 0, frame: int = FRAME) -> list[Utterance]:
    utterances = Utterances(start_ms)
    found = []
    for first in range(0, len(samples), frame):
        found += utterances.feed(samples[first : first + frame])
    return [*found, *utterances.finish()]


def speech(samples: Samples, **how: int) -> list[tuple[int, int]]:
    return [(u.speech_start_ms, u.speech_end_ms) for u in cut(samples, **how)]


@pytest.mark.parametrize(
    ("spoken_s", "pause_s", "ends"),
    [
        (1.0, 0.9, False),
        (1.0, 1.1, True),
        (5.0, 0.5, False),
        (5.0, 0.7, True),
        (9.0, 0.2, False),
        (9.0, 0.4, True),
    ],
)
def test_the_longer_an_utterance_is_the_shorter_a_pause_ends_it(spoken_s, pause_s, ends):
    found = speech(said(spoken_s, pause_s, 1.0))
    assert len(found) == (2 if ends else 1)


def test_an_utterance_is_given_out_as_soon_as_its_pause_is_long_enough():
    utterances = Utterances()
    assert utterances.feed(said(5.0, 0.5)) == []
    assert utterances.open() is not None
    assert len(utterances.feed(said(0.0, 0.1))) == 1
    assert utterances.open() is None


@pytest.mark.parametrize("frame", [160, 1600, 16_000, 160_000])
def test_sound_that_arrives_in_large_blocks_is_cut_at_the_same_pauses(frame):
    samples = said(2.0, 1.5, 6.0, 0.8, 3.0, 0.3, 6.0, 0.5, 1.0)
    assert speech(samples, frame=frame) == speech(samples, frame=FRAME)


def test_utterances_lie_side_by_side_and_hold_all_speech():
    samples = said(2.0, 1.5, 6.0, 0.8, 30.0, 0.4, 13.0, 0.15, 8.0, 5.0, 0.3)
    found = cut(samples)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(found))
    assert found[-1].speech_end_ms == 67_150
    spoken_ms = sum(u.speech_end_ms - u.speech_start_ms for u in found)
    assert spoken_ms >= (2 + 6 + 30 + 13 + 8 + 0.3) * 1000


def test_who_does_not_pause_is_cut_at_the_longest_of_the_short_pauses():
    found = cut(said(6.0, 0.12, 2.0, 0.2, 2.5, 0.1, 4.0, 0.11, 3.0))
    assert found[0].end_ms == 6_000 + 120 + 2_000 + 100


def test_who_never_pauses_is_cut_where_speech_is_least_likely():
    found = cut(said(30.0))
    assert [u.end_ms for u in found[:2]] == [8_500, 17_000]
    assert all(u.end_ms - u.start_ms <= 12_600 for u in found)


def test_the_end_of_the_audio_ends_what_is_being_said():
    utterances = Utterances()
    assert utterances.feed(said(4.0)) == []
    [last] = utterances.finish()
    assert (last.speech_start_ms, last.speech_end_ms) == (0, 4_000)
    assert utterances.cut_ms == 4_000


def test_silence_has_no_utterance_and_is_decided_but_for_late_finds():
    utterances = Utterances()
    assert utterances.feed(said(0.0, 60.0)) == []
    assert utterances.silent_until_ms() == 60_000 - UNDECIDED_MS
    assert utterances.finish() == []


def test_times_are_positions_in_the_recording():
    assert speech(said(2.0, 2.0, 3.0), start_ms=60_000) == [(60_000, 62_000), (64_000, 67_000)]


def test_a_little_sound_around_the_speech_belongs_to_it():
    first, second = cut(said(0.0, 1.0, 3.0, 1.0, 3.0, 2.0))
    assert (first.start_ms, first.end_ms) == (700, 4_300)
    assert (second.start_ms, second.end_ms) == (4_700, 8_300)
