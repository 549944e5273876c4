"""The words of a translation, given to the segments of the original."""

from __future__ import annotations

from speech.translation.laying import laid, timed_words
from speech.types import SpeechSegment, Word

WORDS = (Word(0, 400, "one"), Word(1200, 1400, "two"), Word(2600, 3000, "three"))


def test_words_go_to_the_segment_at_whose_time_they_were_heard():
    segment = SpeechSegment(
        0,
        3000,
        "one two three",
        words=WORDS,
    )
    assert timed_words([segment]) == [(200, "one"), (1300, "two"), (2800, "three")]
    assert laid(timed_words([segment]), [(0, 1000), (1000, 2000), (2000, 3000)]) == ["one", "two", "three"]


def test_words_without_times_are_spread_evenly():
    words = timed_words([SpeechSegment(1000, 5000, "a b c d")])
    assert words == [(1500, "a"), (2500, "b"), (3500, "c"), (4500, "d")]
    assert laid(words, [(1000, 3000), (3000, 5000)]) == ["a b", "c d"]


def test_no_word_is_lost_outside_of_all_segments_and_their_order_stays():
    words = [(0, "a"), (9000, "b"), (8000, "c"), (20_000, "d")]
    assert laid(words, [(1000, 2000), (8000, 9000)]) == ["a", "b c d"]
    assert laid([], [(0, 1)]) == [""]
