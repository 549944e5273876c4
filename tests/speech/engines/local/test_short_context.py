"""Single utterances on a short context, with the real models on real recordings."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faster_whisper import decode_audio

from speech.engines.base import TranscribeOptions
from speech.engines.local.engine import LocalEngine
from speech.engines.local.model import SILENCE_FRAMES
from speech.engines.local.short_context import LEAST_FRAMES, most_tokens, says_again, without_echo
from speech.live.listening import Listening
from speech.types import SAMPLE_RATE, samples_to_ms
from tests.speech.wer import spoken_words, wer

pytestmark = [pytest.mark.slow, pytest.mark.recordings]

JFK = (
    "And so, my fellow Americans, ask not what your country can do for you; "
    "ask what you can do for your country."
)


@pytest.fixture
def encoded(tiny: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames the encoder was given, each time."""
    # Else it remembers what it has encoded for another test.
    tiny._model._encoded.clear()
    frames: list[int] = []
    encode = tiny._model.model.encode

    def counting(features: Any, *more: Any, **options: Any) -> Any:
        frames.append(features.shape[-1])
        return encode(features, *more, **options)

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return counting if name == "encode" else getattr(tiny_model, name)

    tiny_model = tiny._model.model
    monkeypatch.setattr(tiny._model, "model", Counting())
    return frames


def test_an_utterance_is_encoded_alone_and_its_words_have_times(tiny, jfk, encoded):
    heard = tiny.transcribe_utterance(jfk, TranscribeOptions(language="en"))
    assert wer(JFK, " ".join(segment.text for segment in heard.segments)) <= 0.05
    assert encoded and max(encoded) <= 1100 + SILENCE_FRAMES + 2
    times = [time for s in heard.segments for word in s.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert times[0] >= 0 and times[-1] <= samples_to_ms(len(jfk))


def test_the_end_of_an_utterance_is_not_said_again(tiny, jfk):
    for length_s in (2.6, 3.4, 8.0):
        heard = tiny.transcribe_utterance(
            jfk[: int(length_s * SAMPLE_RATE)], TranscribeOptions(language="en")
        )
        assert spoken_words(" ".join(segment.text for segment in heard.segments)).count("americans") == 1


def test_what_comes_out_badly_is_decoded_again_on_half_a_minute(tiny, jfk, encoded, monkeypatch):
    monkeypatch.setattr("speech.engines.local.decoder.heard_well", lambda parts, limit: False)
    heard = tiny.transcribe_utterance(jfk, TranscribeOptions(language="en"))
    assert wer(JFK, " ".join(segment.text for segment in heard.segments)) <= 0.05
    assert max(encoded) == 3000


def part(text: str, begin_s: float, *, looked_s: float = 0.0, start_s: float = 0.0) -> SimpleNamespace:
    """A segment of faster-whisper; 100 is the token of the time 0, `start_s` where its words begin."""
    tokens = [100 + round((begin_s - looked_s) * 50), 7]
    return SimpleNamespace(text=text, tokens=tokens, seek=round(looked_s * 100), start=start_s)


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        ([part("Had he married?", 0), part("Had he married?", 1.0, start_s=0.5)], 1),
        ([part("Press two.", 0), part("F...", 4.02, start_s=3.0), part("F...", 5.0, start_s=3.0)], 1),
        ([part("Go on.", 0), part("hand hand hand", 3.4, looked_s=3.4, start_s=3.4)], 1),
        ([part("Go on.", 0), part("You did.", 2.0, looked_s=2.0, start_s=2.0)], 2),
        ([part("N E Z.", 0), part("N E Z.", 0.5, start_s=0.5)], 2),
        ([SimpleNamespace(text="No time token.", tokens=[7], seek=0, start=0.2)], 1),
        ([], 0),
    ],
)
def test_what_begins_where_the_sound_has_ended_was_not_said(parts, kept):
    n_samples = SAMPLE_RATE if parts and parts[0].text.startswith("Had") else 4 * SAMPLE_RATE
    assert without_echo(parts, n_samples, 100) == parts[:kept]


def test_the_times_of_a_segment_are_read_from_its_tokens(tiny, jfk):
    heard, _ = tiny._hear_briefly(jfk, TranscribeOptions(language="en"))
    assert heard is not None
    begin_s = [(part.tokens[0] - tiny._model.first_time_token) / 50 for part in heard]
    assert begin_s == sorted(begin_s)
    assert 0 <= begin_s[0] < 1 and begin_s[-1] < len(jfk) / SAMPLE_RATE


@pytest.mark.parametrize(("language", "frames"), [("en", 300 + SILENCE_FRAMES), ("fr", LEAST_FRAMES)])
def test_other_languages_than_english_get_a_longer_context(tiny, jfk, encoded, monkeypatch, language, frames):
    monkeypatch.setattr(tiny, "capabilities", replace(tiny.capabilities, detects_language=True))
    tiny.transcribe_utterance(jfk[: 3 * SAMPLE_RATE], TranscribeOptions(language=language))
    assert encoded[0] == pytest.approx(frames, abs=2)


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("and so my and so my fellow", True),
        ("it was and so my fellow and so my fellow", True),
        ("no no no no", False),
        ("we were all going direct to heaven we were all going direct", False),
        ("", False),
    ],
)
def test_words_that_come_twice_in_a_row_are_noticed(text, again):
    assert says_again(text.split()) is again


def test_a_short_context_ends_with_its_utterance(tiny, jfk, encoded):
    tiny.draft(jfk, TranscribeOptions(language="en"))
    short = max(encoded)
    tiny.transcribe(np.concatenate([jfk, jfk]), TranscribeOptions(language="en"))
    assert short < 1500 < max(encoded) == 3000


def test_a_draft_has_the_words_so_far(tiny, jfk):
    text, language = tiny.draft(jfk[: 8 * SAMPLE_RATE], TranscribeOptions(language="en"))
    assert spoken_words(text)[:6] == spoken_words(JFK)[:6]
    assert language == "en"


@pytest.mark.parametrize("length_s", [0.5, 3.0])
def test_silence_has_no_text(tiny, length_s):
    silence = np.zeros(int(length_s * SAMPLE_RATE), dtype=np.float32)
    assert tiny.transcribe_utterance(silence, TranscribeOptions(language="en")).segments == ()


def test_a_long_prompt_leaves_room_for_the_text(tiny, jfk):
    """Else Whisper refuses the utterance. How many words it gets right with such a prompt is up to chance."""
    prompt = ", ".join(f"Name{n}" for n in range(400))
    wanted = TranscribeOptions(language="en", prompt=prompt)
    assert tiny.transcribe_utterance(np.concatenate([jfk, jfk]), wanted).segments
    half_a_context, signs = tiny._model.max_length // 2 - 1, 4
    assert half_a_context + signs + most_tokens(30 * SAMPLE_RATE) <= tiny._model.max_length


def test_a_recording_is_heard_while_it_is_spoken(tiny, recordings):
    """Fed as it arrives: interims on the way, and the finals together are what was said, each second once."""
    samples = decode_audio(str(recordings / "en_video_austen_28s.mp4"))
    listening = Listening(options=TranscribeOptions(language="en"))
    interims, finals = 0, []
    for first in range(0, len(samples), 1600):
        listening.feed(samples[first : first + 1600])
        while final := listening.hear_final(tiny):
            finals.append(final)
        if listening.wants_interim(3000):
            interims += listening.hear_interim(tiny) is not None
    listening.finish()
    while final := listening.hear_final(tiny):
        finals.append(final)
    whole = tiny.transcribe(samples, TranscribeOptions(language="en"))
    said = " ".join(segment.text for segment in whole.segments)
    assert interims > 3
    assert wer(said, " ".join(segment.text for final in finals for segment in final.segments)) <= 0.1
    starts = [final.start_ms for final in finals]
    assert all(final.cut_ms <= start for final, start in zip(finals, starts[1:], strict=False))
