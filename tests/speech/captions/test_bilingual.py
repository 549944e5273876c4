"""Captions and text in two languages."""

from __future__ import annotations

from itertools import pairwise

import pytest

from speech.captions.bilingual import make_bilingual_cues
from speech.captions.formats import to_srt, to_txt, to_vtt
from speech.types import SpeechSegment

GERMAN = "Guten Morgen zusammen, wir fangen heute mit den Zahlen des letzten Quartals an und sprechen dann"
ENGLISH = "Good morning everybody, today we begin with the figures of the last quarter, and talk then"


def said(start_ms: int, end_ms: int, text: str, original: str = "", speaker: str = "") -> SpeechSegment:
    return SpeechSegment(start_ms, end_ms, text, speaker=speaker, original=original)


def test_a_caption_has_the_translation_over_what_was_said():
    srt = to_srt([said(1000, 3000, "Good morning.", "Guten Morgen.")], bilingual=True)
    assert srt == "1\n00:00:01,000 --> 00:00:03,000\nGood morning.\nGuten Morgen.\n"


def test_both_are_cut_into_equally_many_lines_and_no_word_is_lost():
    cues = make_bilingual_cues([said(0, 9000, ENGLISH, GERMAN)])
    assert len(cues) > 2
    assert all(len(cue.lines) == 2 and max(map(len, cue.lines)) <= 42 for cue in cues)
    assert [" ".join(cue.lines[at] for cue in cues) for at in (0, 1)] == [ENGLISH, GERMAN]
    assert (cues[0].start_ms, cues[-1].end_ms) == (0, 9000)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(cues))


@pytest.mark.parametrize(
    ("text", "original"),
    [
        ("好的。" * 20, "All right. " * 20),
        ("ok", ENGLISH),
        (ENGLISH, "ja"),
        ("x" * 200, "y y y"),
        ("是", "yes"),
    ],
    ids=["chinese", "short", "short original", "a long word", "one character"],
)
def test_texts_of_any_lengths_lose_nothing_and_no_line_is_blank(text, original):
    cues = make_bilingual_cues([said(0, 20_000, text, original)])
    assert all(line.strip() for cue in cues for line in cue.lines)
    shown = "".join(line for cue in cues for line in cue.lines)
    assert sorted("".join(shown.split())) == sorted("".join((text + original).split()))


def test_a_segment_that_is_not_translated_stands_alone():
    cues = make_bilingual_cues([said(0, 1000, "Yes.", "Ja."), said(1000, 3000, "OK", "")])
    assert [cue.lines for cue in cues] == [("Yes.", "Ja."), ("OK",)]


def test_speakers_are_named_once_over_what_they_say():
    talk = [
        said(0, 1000, "Yes.", "Ja.", "Ann"),
        said(1000, 2000, "No.", "Nein.", "Ann"),
        said(2000, 3000, "Why?", "Warum?", "Ben"),
    ]
    lines = [cue.lines for cue in make_bilingual_cues(talk, label_speakers=True)]
    assert lines == [("Ann: Yes.", "Ja."), ("No.", "Nein."), ("Ben: Why?", "Warum?")]
    assert "<v Ben>Why?\nWarum?" in to_vtt(talk, bilingual=True)


def test_text_has_what_was_said_below_each_paragraph():
    talk = [said(0, 1000, "Yes.", "Ja.", "Ann"), said(1000, 2000, "OK", "", "Ben")]
    assert to_txt(talk, bilingual=True) == "Ann: Yes.\nJa.\n\nBen: OK\n"
    assert to_txt(talk) == "Ann: Yes.\n\nBen: OK\n"
