"""A recording that is heard while it is spoken, with an engine that says how much it was given."""

from __future__ import annotations

from speech.engines.base import TranscribeOptions
from speech.live.listening import Final, Interim, Listening
from speech.samples import Samples
from speech.types import SpeechSegment, Transcription, samples_to_ms
from tests.speech.live.conftest import said


class CountingEngine:
    """Hears one word in each second, and notes the lengths of what it was given, in milliseconds."""

    def __init__(self) -> None:
        self.finals: list[int] = []
        self.drafts: list[int] = []
        self.careful: list[int] = []
        self.languages: list[str] = []

    def transcribe_utterance(self, samples: Samples, options: TranscribeOptions) -> Transcription:
        length_ms = samples_to_ms(len(samples))
        self.finals.append(length_ms)
        self.languages.append(options.language)
        if not samples.any():
            return Transcription()
        return Transcription((SpeechSegment(100, length_ms, self._text(length_ms)),), "fr", 0.9)

    def draft(
        self, samples: Samples, options: TranscribeOptions, *, carefully: bool = False
    ) -> tuple[str, str]:
        length_ms = samples_to_ms(len(samples))
        (self.careful if carefully else self.drafts).append(length_ms)
        return self._text(length_ms), "fr"

    @staticmethod
    def _text(length_ms: int) -> str:
        return words(length_ms // 1000)


def words(n: int) -> str:
    return " ".join(f"w{m}" for m in range(n))


def hear(
    samples: Samples, listening: Listening, engine: CountingEngine, *, every_ms: int = 1000
) -> list[Final | Interim]:
    """Feed a tenth of a second after the other, and hear all that is to be heard."""
    events: list[Final | Interim] = []
    for first in range(0, len(samples), 1600):
        listening.feed(samples[first : first + 1600])
        while final := listening.hear_final(engine):
            events.append(final)
        if listening.wants_interim(every_ms) and (interim := listening.hear_interim(engine)):
            events.append(interim)
    return events


def test_an_interim_each_second_and_a_final_after_the_pause():
    engine = CountingEngine()
    events = hear(said(5.0, 1.0), Listening(), engine)
    interims, finals = events[:-1], events[-1:]
    assert [type(event) for event in finals] == [Final]
    assert [event.text for event in interims] == [words(n) for n in (1, 2, 3, 4, 5)]
    assert len(engine.drafts) == 5
    assert finals[0].segments[0].text == "w0 w1 w2 w3 w4"
    assert finals[0].cut_ms == 5_300


def test_finals_lie_side_by_side_and_their_times_are_those_of_the_recording():
    engine = CountingEngine()
    listening = Listening(start_ms=60_000)
    finals = [
        event for event in hear(said(3.0, 2.0, 4.0, 2.0), listening, engine) if isinstance(event, Final)
    ]
    assert [(f.start_ms, f.cut_ms) for f in finals] == [(60_000, 63_300), (64_700, 69_300)]
    assert [f.segments[0].start_ms for f in finals] == [60_100, 64_800]
    assert listening.final_ms == 69_300


def test_in_a_long_sentence_an_interim_hears_only_what_follows_the_last_short_pause():
    engine = CountingEngine()
    hear(said(4.5, 0.25, 4.0), Listening(), engine)
    assert max(engine.drafts) <= 6_000
    assert min(engine.drafts[-3:]) < 4_000


def test_what_lies_before_a_short_pause_is_heard_once_more_and_carefully():
    engine = CountingEngine()
    events = hear(said(4.5, 0.25, 4.0), Listening(), engine)
    assert engine.careful == [4_625]
    texts = [event.text for event in events if isinstance(event, Interim)]
    assert texts[4:6] == [words(4), f"{words(4)} w0"]


def test_what_came_out_badly_before_a_short_pause_is_not_heard_again_and_again():
    class BadEngine(CountingEngine):
        def draft(
            self, samples: Samples, options: TranscribeOptions, *, carefully: bool = False
        ) -> tuple[str, str]:
            text, language = super().draft(samples, options, carefully=carefully)
            return "" if carefully else text, language

    engine = BadEngine()
    events = hear(said(4.5, 0.25, 5.0), Listening(), engine)
    assert engine.careful == [4_625]
    assert max(engine.drafts) == 9_000  # nothing was kept
    assert isinstance(events[-1], Interim) and events[-1].text == words(8)


def test_nothing_is_heard_of_a_breath_behind_a_short_pause():
    engine = CountingEngine()
    listening = Listening()
    listening.feed(said(4.5, 0.3, 0.2))
    interim = listening.hear_interim(engine)
    assert interim is not None and interim.text == words(4)
    assert (engine.careful, engine.drafts) == ([4_650], [])


def test_a_word_that_was_held_back_is_shown_in_the_pause_behind_it():
    engine = CountingEngine()
    listening = Listening()
    listening.feed(said(2.0))
    interim = listening.hear_interim(engine)
    assert interim is not None and interim.text == "w0"
    listening.feed(said(0.0, 0.1))
    assert not listening.wants_interim(1_000)
    listening.feed(said(0.0, 0.1))
    assert listening.wants_interim(1_000)
    interim = listening.hear_interim(engine)
    assert interim is not None and interim.text == "w0 w1"
    assert len(engine.drafts) == 1
    assert not listening.wants_interim(0)


def test_the_first_utterance_with_enough_speech_decides_the_language():
    engine = CountingEngine()
    hear(said(2.0, 1.5, 4.0, 1.0, 4.0, 1.0), Listening(), engine)
    assert engine.languages == ["", "", "fr"]


def test_a_language_that_was_asked_for_stays():
    engine = CountingEngine()
    hear(said(4.0, 1.0), listening := Listening(options=TranscribeOptions(language="de")), engine)
    assert listening.options.language == "de"


def test_what_was_said_behind_a_sentence_that_was_cut_is_shown_again_at_once():
    engine = CountingEngine()
    events = hear(said(6.0, 0.2, 6.5), Listening(), engine)
    number = next(n for n, event in enumerate(events) if isinstance(event, Final))
    shown, final, after = events[number - 1 : number + 2]
    assert isinstance(shown, Interim) and isinstance(final, Final) and isinstance(after, Interim)
    assert final.cut_ms < shown.end_ms <= after.end_ms < shown.end_ms + 1_000


def test_no_interim_while_an_utterance_that_has_ended_waits():
    listening = Listening()
    listening.feed(said(4.0, 1.0, 2.0))
    assert listening.ended_ms == 4_300
    assert not listening.wants_interim(0)
    listening.hear_final(CountingEngine())
    assert listening.wants_interim(0)


def test_silence_is_never_heard_and_not_kept():
    engine = CountingEngine()
    listening = Listening()
    hear(said(0.0, 60.0), listening, engine)
    assert engine.drafts == engine.finals == []
    assert sum(map(len, listening._blocks)) < 16_000 * 12


def test_sound_that_was_heard_is_not_kept():
    listening = Listening()
    hear(said(*[8.0, 0.7] * 8), listening, CountingEngine())
    assert sum(map(len, listening._blocks)) < 16_000 * 12


def test_at_the_end_everything_that_was_said_is_heard_once():
    engine = CountingEngine()
    listening = Listening()
    events = hear(said(20.0, 0.2, 3.0), listening, engine)
    listening.finish()
    while final := listening.hear_final(engine):
        events.append(final)
    finals = [event for event in events if isinstance(event, Final)]
    assert finals[0].start_ms == 0
    assert sum(f.cut_ms - f.start_ms for f in finals) == 23_200
