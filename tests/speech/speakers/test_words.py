"""Words go to speakers, and segments are cut where the speaker changes."""

from __future__ import annotations

from time import process_time

from speech.speakers import Speakers, Turn, Voice, assign
from speech.types import Span, SpeechSegment, Word


def spoken(text: str, *, start_ms: int = 0, each_ms: int = 400) -> SpeechSegment:
    """A segment whose words follow each other without a pause."""
    words = tuple(
        Word(start_ms + at * each_ms, start_ms + (at + 1) * each_ms, word)
        for at, word in enumerate(text.split())
    )
    return SpeechSegment(start_ms, words[-1].end_ms, text, words=words)


def speakers(*turns: Turn, overlaps: tuple[Span, ...] = (), unsure: tuple[Span, ...] = ()) -> Speakers:
    voices = (Voice(),) * (1 + max((turn.speaker for turn in turns), default=-1))
    return Speakers(turns, overlaps, voices, unsure=unsure)


def told(segments: list[SpeechSegment], who: Speakers) -> list[tuple[str, str]]:
    return [(said.segment.speaker, said.segment.text) for said in assign(segments, who)]


def test_a_segment_is_cut_where_the_speaker_changes():
    segment = spoken("How are you? Fine, thank you.")
    who = speakers(Turn(0, 1200, 0), Turn(1200, 2400, 1))
    assert told([segment], who) == [("S1", "How are you?"), ("S2", "Fine, thank you.")]
    first, second = (said.segment for said in assign([segment], who))
    assert (first.start_ms, first.end_ms, second.start_ms, second.end_ms) == (0, 1200, 1200, 2400)
    assert first.words + second.words == segment.words


def test_a_change_moves_to_punctuation_within_two_words():
    who = speakers(Turn(0, 2000, 0), Turn(2000, 4000, 1))
    assert told([spoken("How are you? Fine, thank you very much indeed.")], who) == [
        ("S1", "How are you? Fine,"),
        ("S2", "thank you very much indeed."),
    ]
    # Without punctuation or a pause near, it stays.
    assert told([spoken("one two three four five six seven eight nine ten")], who) == [
        ("S1", "one two three four five"),
        ("S2", "six seven eight nine ten"),
    ]


def test_a_short_word_inside_of_what_another_says_is_no_turn():
    who = speakers(Turn(0, 800, 0), Turn(800, 1200, 1), Turn(1200, 2400, 0))
    assert told([spoken("one two three four five six")], who) == [("S1", "one two three four five six")]


def test_a_word_far_from_all_turns_is_left_unnamed():
    who = speakers(Turn(0, 800, 0))
    (said,) = assign([spoken("who is this", start_ms=60_000)], who)
    assert (said.speaker, said.segment.speaker) == (None, "")
    assert told([spoken("near", start_ms=1000)], who) == [("S1", "near")]
    assert told([spoken("nobody was heard")], Speakers()) == [("", "nobody was heard")]


def test_words_are_left_unnamed_where_it_is_unsure_who_speaks():
    who = speakers(Turn(0, 800, 0), Turn(800, 2400, 1), unsure=(Span(800, 1600),))
    assert told([spoken("a b. c d. e f.")], who) == [("S1", "a b."), ("", "c d."), ("S2", "e f.")]


def test_words_are_marked_while_two_speak():
    who = speakers(Turn(0, 2000, 0), Turn(800, 1600, 1), overlaps=(Span(800, 1600),))
    (said,) = assign([spoken("a b c d e")], who)
    assert said.overlapped == (2, 3)


def test_a_text_without_spaces_is_cut_at_its_words():
    words = tuple(Word(at * 500, (at + 1) * 500, text) for at, text in enumerate(("你好", "吗?", "很", "好")))
    segment = SpeechSegment(0, 2000, "你好吗?很好", words=words)
    who = speakers(Turn(0, 1000, 0), Turn(1000, 2000, 1))
    assert told([segment], who) == [("S1", "你好吗?"), ("S2", "很好")]


def test_a_segment_without_words_goes_to_who_speaks_most_of_it():
    segment = SpeechSegment(0, 1000, "hello there")
    assert told([segment], speakers(Turn(0, 400, 0), Turn(400, 1000, 1))) == [("S2", "hello there")]


def test_each_part_names_the_segment_it_comes_from():
    who = speakers(Turn(0, 1200, 0), Turn(1200, 9000, 1))
    parts = assign([spoken("How are you? Fine, thank you."), spoken("Good.", start_ms=3000)], who)
    assert [(said.source, said.speaker) for said in parts] == [(0, 0), (0, 1), (1, 1)]


def test_a_word_inside_of_a_long_turn_is_found_behind_many_short_ones():
    short = [Turn(at, at + 100, 1) for at in range(1000, 50_000, 1000)]
    who = speakers(Turn(0, 60_000, 0), *short)
    assert told([spoken("here", start_ms=50_500)], who) == [("S1", "here")]
    assert told([spoken("after", start_ms=61_000)], who) == [("S1", "after")]


def test_a_day_of_words_takes_no_time_to_speak_of():
    turns = tuple(Turn(at, at + 2000, at // 2000 % 3) for at in range(0, 36_000_000, 2000))
    segments = [spoken("one two three four five", start_ms=at) for at in range(0, 36_000_000, 2000)]
    began = process_time()
    assert len(assign(segments, speakers(*turns))) == len(segments)
    assert process_time() - began < 30  # two seconds; to look at all turns for each word takes hours
