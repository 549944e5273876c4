"""What becomes of the answers of a provider."""

from __future__ import annotations

import pytest

from tests.speech.numbered_speech import make_numbered_speech
from tests.speech.openai_asking import ASK, SPEECH, engine, hear, segment, verbose, word, words
from tests.speech.scripted_provider import Answer, ok


def test_words_of_a_flat_list_go_to_their_segments_and_get_their_punctuation(server):
    heard = hear(
        server,
        verbose(
            segment(0.0, 2.0, ' "Well," he said,'),
            segment(2.0, 4.0, " it's twenty-one."),
            words=[
                word("Well", 0.1, 0.5), word("he", 0.6, 0.8), word("said", 0.9, 1.2),
                word("it's", 1.9, 2.2), word("twenty", 2.5, 3.0), word("one", 3.0, 3.5),
            ],
        ),
    )  # fmt: skip
    assert [[w.text for w in s.words] for s in heard.segments] == [
        ['"Well,"', "he", "said,"],
        ["it's", "twenty-one."],
    ]
    last = heard.segments[1].words[-1]
    assert (last.start_ms, last.end_ms) == (2500, 3500)
    assert heard.segments[1].text == "it's twenty-one."
    assert (heard.segments[1].start_ms, heard.segments[1].end_ms) == (1900, 3500)


def test_words_that_are_spelled_otherwise_than_the_text_go_by_their_times(server):
    heard = hear(
        server,
        verbose(
            segment(0.0, 2.0, "Five dollars."),
            segment(2.0, 4.0, "Thanks."),
            words=[word("$5", 0.1, 1.0), word("thanks", 2.5, 3.0)],
        ),
    )
    assert [[w.text for w in s.words] for s in heard.segments] == [["$5"], ["Thanks."]]


def test_words_inside_of_segments_are_taken_with_their_probabilities(server):
    inside = [word(" Hello", 0.1, 0.5, probability=0.8), word(" you.", 0.6, 0.9, probability=0.6)]
    heard = hear(server, verbose(segment(0.0, 1.0, " Hello you.", words=inside, avg_logprob=-0.1)))
    assert words(heard) == ["Hello", "you."]
    assert [w.confidence for w in heard.segments[0].words] == [0.8, 0.6]
    assert heard.segments[0].confidence == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("text", "given", "written"),
    [
        (" My fellow men", [" My", " fel", "low", " men"], ["My", "fellow", "men"]),
        (
            "今天天气很好。我们去",
            ["今天", "天气", "很", "好", "我们", "去"],
            ["今天", "天气", "很", "好。", "我们", "去"],
        ),
        ("Bonjour ! Ça va ?", ["Bonjour", "Ça", "va"], ["Bonjour !", "Ça", "va ?"]),
        ("«Ça va»", ["Ça", "va"], ["«Ça", "va»"]),
    ],
)
def test_words_are_what_stands_between_spaces_where_a_script_has_them(server, text, given, written):
    times = [word(one, n / 4, n / 4 + 0.25) for n, one in enumerate(given)]
    heard = hear(server, verbose(segment(0.0, 2.0, text, words=times)))
    assert words(heard) == written


def test_times_stay_in_order_and_inside_the_window(server):
    given = [segment(3.0, 99.0, "Later."), segment(-1.0, 3.5, "Earlier.")]
    heard = hear(server, verbose(*given))
    assert [(s.text, s.start_ms, s.end_ms) for s in heard.segments] == [
        ("Earlier.", 0, 3500),
        ("Later.", 3500, pytest.approx(5900, abs=100)),
    ]


def test_nanoseconds_are_understood(server):
    heard = hear(
        server, verbose(segment(0, 2_000_000_000, "One."), segment(2_000_000_000, 4_000_000_000, "Two."))
    )
    assert [(s.start_ms, s.end_ms) for s in heard.segments] == [(0, 2000), (2000, 4000)]


def test_without_word_times_the_segments_keep_theirs(server):
    heard = hear(server, verbose(segment(0.5, 2.0, " One.", avg_logprob=-0.25), segment(2.0, 4.0, " Two.")))
    assert heard.timing == "segments"
    assert words(heard) == []
    assert heard.segments[0].confidence == pytest.approx(0.7788, abs=0.001)
    assert heard.segments[1].confidence is None


def test_a_text_alone_is_one_segment_where_the_speech_is_and_has_no_words(server):
    heard = hear(server, ok("  Just\n a text. "), model="gpt-4o-transcribe", language="de")
    [only] = heard.segments
    assert (only.text, only.words, only.confidence) == ("Just a text.", (), None)
    assert only.start_ms == 0
    assert only.end_ms == pytest.approx(5_900, abs=100)
    assert (heard.timing, heard.language) == ("window", "de")


def test_a_diarized_answer_has_the_times_of_its_segments_and_no_speakers(server):
    turns = [segment(0.0, 1.0, "Hello.", speaker="A"), segment(1.0, 2.0, "Hi.", speaker="B")]
    heard = hear(server, ok("Hello. Hi.", segments=turns), model="gpt-4o-transcribe-diarize")
    assert heard.timing == "segments"
    assert [(s.text, s.speaker) for s in heard.segments] == [("Hello.", ""), ("Hi.", "")]


@pytest.mark.parametrize(
    ("fields", "language", "confidence"),
    [
        ({"language": "german"}, "de", None),
        ({"language": "de", "language_probability": 0.9}, "de", 0.9),
        ({"languages": [{"code": "fr"}, {"code": "en"}]}, "fr", None),
        ({"languages": []}, "", None),
        ({"language": None}, "", None),
        ({}, "", None),
    ],
)
def test_the_language_is_what_the_provider_says_it_is(server, fields, language, confidence):
    heard = hear(server, ok("Text.", **fields))
    assert (heard.language, heard.language_confidence) == (language, confidence)


def test_the_language_of_a_translation_says_nothing_about_the_recording(server):
    heard = hear(server, verbose(segment(0, 2, "Good day.")), translate_to="en")
    assert (heard.language, heard.timing) == ("", "segments")


def test_what_whisper_invents_is_left_out(server):
    heard = hear(
        server,
        verbose(
            segment(0, 2, "Said.", no_speech_prob=0.1, avg_logprob=-0.7),
            segment(2, 4, "You", no_speech_prob=0.9, avg_logprob=-0.7),
            segment(4, 5, "Said, too.", no_speech_prob=0.9, avg_logprob=0),
            segment(5, 6, "[BLANK_AUDIO]"),
        ),
    )
    assert [s.text for s in heard.segments] == ["Said.", "Said, too."]


@pytest.mark.parametrize("answer", [ok(""), ok("  "), verbose(), ok("", segments=None), ok("[BLANK_AUDIO]")])
def test_a_provider_that_hears_nothing_is_believed(server, answer):
    assert hear(server, answer).segments == ()


@pytest.mark.parametrize(
    "answer",
    [
        ok("Text.", segments=None, words=None, language=None, usage={"type": "tokens"}, x_new=[1]),
        ok("Text.", segments=[]),
        ok("Text.", segments=[{"text": "Text.", "start": "zero", "end": None}]),
        ok("Text.", segments=["Text."]),
        ok("Text.", segments={"0": "Text."}),
        Answer(body=b'{"text": "Text.", "segments": [{"text": "Text.", "start": NaN, "end": 1}]}'),
        Answer(
            body=b'{"text": "Text.", "segments": [{"text": "Text.", "start": 1'
            + b"0" * 400
            + b', "end": 1}]}'
        ),
        ok("Te\x00xt. "),
    ],
)
def test_a_text_is_kept_where_times_are_missing_or_wrong(server, answer):
    heard = hear(server, answer)
    assert [s.text for s in heard.segments] == ["Text."]
    assert heard.timing == "window"


def test_times_and_numbers_beyond_all_measure_do_no_harm(server):
    words_given = [word("One", -1e308, 1e308, probability=7)]
    heard = hear(server, verbose(segment(-1e308, 1e308, "One", words=words_given, avg_logprob=-1e308)))
    assert [(s.start_ms, s.text) for s in heard.segments] == [(0, "One")]
    assert heard.segments[0].words[0].confidence is None


def test_half_of_a_character_is_replaced(server):
    heard = hear(server, Answer(body=b'{"text": "A \\ud83d half."}'))
    assert heard.segments[0].text == "A ? half."


def test_each_segment_is_handed_over_and_what_is_raised_there_passes_through(server):
    seen = []
    engine(server).transcribe(make_numbered_speech(0, 12), ASK, seen.append)
    assert len(seen) == 3

    def stop(segment):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        engine(server).transcribe(SPEECH, ASK, stop)
