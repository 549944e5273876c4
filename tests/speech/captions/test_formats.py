"""Transcripts as text and captions. Files are read back by ffmpeg's own parsers, through PyAV."""

# ruff: noqa: RUF001 (look-alike letters are what is tested)

from __future__ import annotations

import io
import json
import random
import unicodedata
from itertools import pairwise

import av
import numpy as np
import pytest

from speech.captions.cues import MAX_CUE_MS, MIN_CUE_MS, Cue, make_cues
from speech.captions.formats import FORMATS, to_json, to_srt, to_txt, to_vtt, transcript_dict
from speech.captions.tokens import LINE_WIDTH
from speech.text.words import count_words
from speech.types import SpeechSegment, Word

CHINESE = "今天我们要讨论的是如何把录音变成文字，这样大家以后可以很快地找到自己说过的每一句话。"
JAPANESE = (
    "録音された音声は「文字」になります。それから、いつでも検索することができますので、とても便利です。"
)
KOREAN = "녹음한 소리는 몇 초 안에 글자로 바뀝니다. 그래서 나중에 필요한 문장을 쉽게 찾을 수 있습니다."


def segment(start_ms: int, end_ms: int, text: str, speaker: str = "") -> SpeechSegment:
    return SpeechSegment(start_ms, end_ms, text, speaker=speaker)


def spoken(
    start_ms: int, text: str, *, pauses: dict[int, int] | None = None, speaker: str = ""
) -> SpeechSegment:
    """Every word takes 300 ms; `pauses` maps a word's number to the silence before it."""
    words = []
    at_ms = start_ms
    for number, word in enumerate(text.split()):
        at_ms += (pauses or {}).get(number, 0)
        words.append(Word(at_ms, at_ms + 300, word, 0.9))
        at_ms += 300
    return SpeechSegment(start_ms, at_ms, text, 0.9, tuple(words), speaker)


def read_back(name: str, document: str) -> list[tuple[int, int, str]]:
    """(start, end, text) of every caption, as ffmpeg reads them."""
    with av.open(io.BytesIO(document.encode()), format={"srt": "srt", "vtt": "webvtt"}[name]) as container:
        return [
            (packet.pts, packet.pts + packet.duration, bytes(packet).decode())
            for packet in container.demux()
            if packet.size
        ]


def columns(line: str) -> float:
    """Room a line takes, counted without the code under test: a wide character is two and a half."""
    marks = ("Mn", "Cf", "Sk")
    return sum(0 if unicodedata.category(c) in marks else 2.5 if ord(c) > 0x2E80 else 1 for c in line)


def assert_well_formed(cues: list[Cue]) -> None:
    for cue in cues:
        assert 0 < cue.end_ms - cue.start_ms <= MAX_CUE_MS
        assert 1 <= len(cue.lines) <= 2
        assert all(line == line.strip() != "" for line in cue.lines)
        assert all(len(line.splitlines()) == 1 for line in cue.lines)
    for before, after in pairwise(cues):
        assert before.end_ms <= after.start_ms


def test_a_short_sentence_is_one_caption_on_one_line():
    assert make_cues([spoken(500, "This is short.")]) == [Cue(500, 1500, ("This is short.",))]


def test_two_lines_are_about_as_long_as_each_other():
    (cue,) = make_cues([spoken(0, "the quick brown fox jumps over the lazy dog again")])
    upper, lower = map(len, cue.lines)
    assert abs(upper - lower) <= 8


def test_a_line_is_cut_after_punctuation_rather_than_in_the_very_middle():
    (cue,) = make_cues([spoken(0, "When it rains all day, we stay at home and read books")])
    assert cue.lines == ("When it rains all day,", "we stay at home and read books")


def test_a_long_segment_is_cut_where_a_sentence_ends():
    text = "We went to the market early in the morning. There was nobody else on the whole long street yet."
    cues = make_cues([spoken(0, text)])
    assert [" ".join(cue.lines) for cue in cues] == [
        "We went to the market early in the morning.",
        "There was nobody else on the whole long street yet.",
    ]


def test_without_punctuation_it_is_cut_at_the_pause():
    text = "we went to the market early in the day and there was nobody else on the long street at all"
    cues = make_cues([spoken(0, text, pauses={9: 600})])
    assert " ".join(cues[0].lines) == "we went to the market early in the day"
    assert (cues[0].end_ms, cues[1].start_ms) == (2700, 3300)


def test_a_caption_does_not_stay_over_a_long_pause():
    cues = make_cues([spoken(0, "one two three four five six", pauses={3: 4000})])
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(0, 1000), (4900, 5900)]


def test_segments_of_one_speaker_that_follow_at_once_may_share_a_caption():
    (cue,) = make_cues([spoken(0, "He said that"), spoken(900, "it was fine.")])
    assert cue.lines == ("He said that it was fine.",)


def test_two_speakers_never_share_a_caption():
    cues = make_cues([spoken(0, "Is it?", speaker="A"), spoken(600, "Yes.", speaker="B")])
    assert [(cue.lines, cue.speaker) for cue in cues] == [(("Is it?",), "A"), (("Yes.",), "B")]


def test_a_short_caption_stays_a_second_when_nothing_follows_and_ends_when_something_does():
    cues = make_cues([spoken(0, "No.", speaker="A"), spoken(400, "Oh.", speaker="B")])
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(0, 400), (400, 400 + MIN_CUE_MS)]


def test_without_word_times_the_segment_is_shared_out_by_characters():
    cues = make_cues([segment(0, 10_000, "a" * 40 + " " + "b" * 40 + " " + "c" * 20)])
    assert [(cue.start_ms, cue.lines[0][0]) for cue in cues] == [(0, "a"), (4000, "b")]


def test_an_edited_text_is_shown_although_the_words_say_otherwise():
    heard = spoken(0, "I scream now")
    edited = SpeechSegment(0, 900, "Ice cream now", words=heard.words)
    assert make_cues([edited])[0].lines == ("Ice cream now",)


def test_word_times_that_run_backwards_or_overlap_give_captions_that_do_not():
    words = (Word(3000, 2000, "back"), Word(1000, 5000, "and"), Word(1000, 1000, "forth"))
    assert_well_formed(make_cues([SpeechSegment(3000, 1000, "back and forth", words=words)]))


def test_people_who_talk_at_once_get_captions_one_after_the_other():
    long_talk = (
        "I would like to tell you everything about my very long journey through the high mountains today"
    )
    cues = make_cues(
        [spoken(0, long_talk, speaker="A"), *(spoken(2000, "Really?", speaker=name) for name in "BCD")]
    )
    assert_well_formed(cues)
    assert sum(cue.lines == ("Really?",) for cue in cues) == 3


@pytest.mark.parametrize("text", [CHINESE, JAPANESE])
def test_text_without_spaces_is_cut_into_lines_that_begin_and_end_properly(text: str):
    lines = [line for cue in make_cues([segment(0, 9_000, text)]) for line in cue.lines]
    assert "".join(lines) == text
    assert all(len(line) <= 16 for line in lines)
    assert not any(line[0] in "，。、」ーっゃゅょ" or line[-1] in "「" for line in lines)


def test_korean_is_cut_at_its_spaces():
    lines = [line for cue in make_cues([segment(0, 9_000, KOREAN)]) for line in cue.lines]
    assert " ".join(lines) == KOREAN
    assert all(columns(line) <= LINE_WIDTH for line in lines)


def test_right_to_left_text_is_left_as_it_is():
    text = "مرحبا بكم في هذا التسجيل القصير، الذي يوضح ما تفعله الخدمة."
    (cue,) = make_cues([segment(0, 5_000, text)])
    assert " ".join(cue.lines) == text


def test_a_word_without_end_is_cut_but_not_between_a_letter_and_its_accent():
    lines = [line for cue in make_cues([segment(0, 9_000, "e\u0301" * 100)]) for line in cue.lines]
    assert "".join(lines) == "e\u0301" * 100
    assert not any(line.startswith("\u0301") for line in lines)
    assert all(columns(line) <= LINE_WIDTH for line in lines)


def test_srt_is_what_players_expect():
    text = to_srt([spoken(1_000, "Hello there.", speaker="Ann"), spoken(2_000, "Hello.", speaker="Bo")])
    assert text == (
        "1\n00:00:01,000 --> 00:00:02,000\nAnn: Hello there.\n\n"
        "2\n00:00:02,000 --> 00:00:03,000\nBo: Hello.\n"
    )


def test_srt_names_a_speaker_only_when_another_one_spoke_before():
    segments = [
        spoken(at, "Yes.", speaker=name) for at, name in ((0, "A"), (5_000, "A"), (9_000, "B"), (15_000, ""))
    ]
    assert [text for _, _, text in read_back("srt", to_srt(segments))] == [
        "A: Yes.",
        "Yes.",
        "B: Yes.",
        "Yes.",
    ]


def test_a_long_name_does_not_make_a_line_too_long():
    document = to_srt(
        [spoken(0, "I have something to say to all of you.", speaker="The chair of the whole meeting")]
    )
    ((_, _, text),) = read_back("srt", document)
    assert all(len(line) <= LINE_WIDTH for line in text.splitlines())


def test_vtt_marks_the_voice_and_escapes_what_is_no_tag():
    text = to_vtt([segment(0, 3_000, "a --> b & <i>c</i>\n\nNOTE d", speaker="A\n<b> & C")])
    assert text == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:03.000\n"
        "<v A &lt;b&gt; &amp; C>a --&gt; b &amp; &lt;i&gt;c&lt;/i&gt; NOTE d\n"
    )


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_a_hundred_hours_are_written_with_three_digits(name: str):
    assert "100:00:01" in FORMATS[name]([segment(360_001_000, 360_003_000, "Late.")])


def test_an_empty_transcript_is_a_valid_empty_document_of_each_kind():
    for nothing in ([], [segment(0, 1000, " \n ")]):
        assert to_txt(nothing) == to_srt(nothing) == ""
        assert to_vtt(nothing) == "WEBVTT\n"
    empty = {"id": "", "text": "", "language": "", "duration_ms": 0}
    assert json.loads(to_json([])) == {**empty, "speakers": [], "segments": [], "word_counts": {}}


def test_txt_has_a_paragraph_for_every_long_pause_and_every_speaker():
    text = to_txt(
        [
            segment(0, 1_000, " One. ", "Ann"),
            segment(1_500, 2_000, "Two.", "Ann"),
            segment(5_000, 6_000, "Three.", "Ann"),
            segment(6_000, 7_000, "Four.", "Bo"),
        ]
    )
    assert text == "Ann: One. Two.\n\nThree.\n\nBo: Four.\n"


def test_txt_breaks_an_endless_monologue_where_a_sentence_ends():
    segments = [
        segment(at * 1000, at * 1000 + 1000, f"this goes on{'.' if at % 7 == 0 else ''}") for at in range(200)
    ]
    paragraphs = to_txt(segments).split("\n\n")
    assert len(paragraphs) > 3
    assert all(paragraph.rstrip().endswith(".") for paragraph in paragraphs[:-1])


def test_chinese_segments_are_joined_without_spaces():
    assert to_txt([segment(0, 1000, "你好。"), segment(1000, 2000, "我很好。")]) == "你好。我很好。\n"


def test_json_has_the_fields_of_the_api_and_takes_the_numbers_of_engines():
    word = Word(0, 500, "Hi.", np.float64(0.123456))
    transcript = transcript_dict(
        id="t",
        segments=[("s", SpeechSegment(0, 500, "Hi.", np.float64(0.5), (word,), "S1"))],
        language="en",
        duration_ms=600,
        names={"S1": "Ann"},
        word_counts=count_words("Hi."),
    )
    assert json.loads(json.dumps(transcript)) == {
        "id": "t",
        "text": "Hi.",
        "language": "en",
        "duration_ms": 600,
        "speakers": [{"label": "S1", "name": "Ann"}],
        "segments": [
            {
                "id": "s", "start_ms": 0, "end_ms": 500, "text": "Hi.", "speaker": "S1", "language": "",
                "confidence": 0.5,
                "words": [{"start_ms": 0, "end_ms": 500, "word": "Hi.", "confidence": 0.1235}],
            }
        ],
        "word_counts": {"hi": 1},
    }  # fmt: skip


def random_segments(seed: int) -> list[SpeechSegment]:
    """Speech in time order in several scripts, with odd words and white space, some with word times."""
    chance = random.Random(seed)
    stock = [
        *(
            "I",
            "a",
            "the",
            "of",
            "and",
            "to",
            "was,",
            "it.",
            "is!",
            "(so)",
            "“no”",
            "<b>",
            "-->",
            "&",
            "1,000",
        ),
        *("x\u0301y\u0301", "naïve", "שלום", "नमस्ते", "👍🏽", "👩\u200d💻", "안녕하세요", "ภาษาไทย" * 9),
        *(CHINESE[:9], JAPANESE, "w" * 90, "https://example.org/" + "path/" * 15),
    ]
    segments = []
    at_ms = chance.randrange(5_000)
    for _ in range(chance.randrange(1, 25)):
        words = []
        start_ms = at_ms
        for _ in range(chance.randrange(40)):
            length_ms = chance.choice([0, 40, 200, 400, 900, 9_000])
            words.append(Word(at_ms, at_ms + length_ms, chance.choice(stock)))
            at_ms += length_ms + chance.choice([0, 0, 0, 100, 600, 3_000])
        text = "".join(chance.choice([" ", " ", "\n\n", "\u2028", "\t "]) + word.text for word in words)
        times = tuple(words) if chance.random() < 0.6 else ()
        segments.append(
            SpeechSegment(start_ms, at_ms, text, None, times, chance.choice(["", "", "Ann", "Bo  Li"]))
        )
        at_ms += chance.choice([0, 0, 300, 5_000])
    return segments


@pytest.mark.parametrize("seed", range(60))
def test_any_transcript_gives_captions_within_the_limits_that_say_all_of_it(seed: int):
    segments = random_segments(seed)
    cues = make_cues(segments)
    assert_well_formed(cues)
    assert all(columns(line) <= LINE_WIDTH for cue in cues for line in cue.lines)
    assert "".join("".join(cue.lines) for cue in cues).replace(" ", "") == "".join(
        "".join(s.text.split()) for s in segments
    )
    spaced = " ".join(" ".join(cue.lines) for cue in cues if " " in "".join(cue.lines))
    assert "  " not in spaced


@pytest.mark.parametrize("seed", range(60))
def test_any_transcript_is_read_back_by_another_parser_as_it_was_meant(seed: int):
    segments = random_segments(seed)
    for name, cues in (("srt", make_cues(segments, label_speakers=True)), ("vtt", make_cues(segments))):
        found = read_back(name, FORMATS[name](segments))
        assert [(start, end) for start, end, _ in found] == [(cue.start_ms, cue.end_ms) for cue in cues]
    assert [text for _, _, text in read_back("srt", to_srt(segments))] == [
        "\n".join(cue.lines) for cue in make_cues(segments, label_speakers=True)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_any_chaos_of_times_gives_captions_in_order_and_without_overlap(seed: int):
    chance = random.Random(seed)
    segments = [
        segment(start, start + chance.randrange(-500, 9_000), "so it goes on, " * chance.randrange(12), who)
        for start, who in sorted((chance.randrange(20_000), chance.choice("AB")) for _ in range(30))
    ]
    cues = make_cues(segments)
    assert_well_formed(cues)
    assert sorted(" ".join(" ".join(cue.lines) for cue in cues).split()) == sorted(
        " ".join(s.text for s in segments).split()
    )
