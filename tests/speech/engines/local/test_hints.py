"""Hints of the local engine: never text that nobody said, and a help with what was said."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from faster_whisper.transcribe import Segment
from faster_whisper.transcribe import Word as HeardWord

from speech.engines import capabilities, load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.local.device import Device
from speech.engines.local.engine import LocalEngine
from speech.engines.models import model_path
from speech.samples import Samples
from speech.types import SAMPLE_RATE, Transcription
from tests.services import ROOT
from tests.speech.wordless import agreeing, coughing, groaning, laughter, singing

PEOPLE = (
    "The participants are Dr. Okonkwo-Whitfield, Siobhan Ng, and Xavier. Topics: tachycardia, amoxicillin."
)
ECHO = "The participants are Dr. Okonkwo-Whitfield."


@pytest.fixture(scope="module")
def hello() -> Samples:
    """Five seconds of real speech."""
    return soundfile.read(ROOT / "tests/audio/hello_5s.wav", dtype="float32")[0]


def part(text: str, start: float = 0.5, end: float = 4.5, *, sure: float = 0.9, **more: Any) -> Segment:
    """A segment of faster-whisper, its words evenly from `start` to `end`."""
    words = text.split()
    each = (end - start) / max(len(words), 1)
    timed = [HeardWord(start + n * each, start + (n + 1) * each, f" {w}", sure) for n, w in enumerate(words)]
    given = {"avg_logprob": -0.2, "no_speech_prob": 0.02, "compression_ratio": 1.0, "temperature": 0.0} | more
    return Segment(
        id=1, seek=0, start=start, end=end, text=f" {text}", tokens=[*range(len(words))], words=timed, **given
    )


class ScriptedModel:
    """Hears the same whatever the sound: `hinted` with hints, `plain` without."""

    def __init__(self, hinted: Iterable[Segment], plain: Iterable[Segment]) -> None:
        self.hinted, self.plain = list(hinted), list(plain)
        self.hints: list[str | None] = []
        self.model = SimpleNamespace(is_multilingual=False)
        self.runs_on = Device()
        self.first_time_token = 50_363

    def transcribe(
        self, samples: Samples, *, hotwords: str | None, **options: Any
    ) -> tuple[list[Segment], Any]:
        self.hints.append(hotwords)
        info = SimpleNamespace(language="en", language_probability=1.0)
        return (self.hinted if hotwords else self.plain), info


def hear(model: ScriptedModel, sound: Samples, prompt: str = PEOPLE) -> str:
    engine = LocalEngine.__new__(LocalEngine)
    engine.capabilities = capabilities("local", "tiny.en")
    engine._model = model
    return text(engine.transcribe(sound, TranscribeOptions(prompt=prompt)))


def text(heard: Transcription) -> str:
    return " ".join(segment.text for segment in heard.segments)


def test_hints_that_nobody_said_are_heard_again_without_and_that_counts(hello):
    model = ScriptedModel([part(ECHO, sure=0.1)], [part("Mm. Mm.")])
    assert hear(model, hello) == "Mm. Mm."
    assert model.hints == [PEOPLE, None]


def test_where_the_second_hearing_finds_nothing_nothing_was_said(hello):
    assert hear(ScriptedModel([part("Amoxicillin.", sure=0.1)], []), hello) == ""


def test_a_name_that_was_said_stays_as_the_hints_spell_it(hello):
    said = part("I met Siobhan Ng in the house.", sure=0.4)
    model = ScriptedModel([said], [part("I met Shavorn Eng in the house.")])
    assert hear(model, hello) == "I met Siobhan Ng in the house."


def test_other_text_is_heard_once(hello):
    model = ScriptedModel([part("This is a short test recording.")], [])
    assert hear(model, hello) == "This is a short test recording."
    assert model.hints == [PEOPLE]


def test_text_where_the_model_itself_hears_no_speech_is_heard_again(hello):
    guess = part("and a lot of things are going to happen", no_speech_prob=0.56, sure=0.3)
    assert hear(ScriptedModel([guess], [part("Mm.")]), hello) == "Mm."


def test_very_little_speech_gets_no_hints(hello):
    short = np.concatenate([hello[: int(0.9 * SAMPLE_RATE)], np.zeros(SAMPLE_RATE, dtype=np.float32)])
    model = ScriptedModel([part(ECHO, 0.4, 0.9)], [part("Hello.", 0.4, 0.9)])
    assert hear(model, short) == "Hello."
    assert model.hints == [None]


@pytest.mark.parametrize("prompt", ["", PEOPLE])
@pytest.mark.parametrize(
    "invented",
    [
        part("We are going to go ahead and see what comes.", 4.0, 4.2, sure=0.4),
        part("Thank you very much.", 4.0, 4.14, sure=0.5),
        part("Thank you.", no_speech_prob=0.8, avg_logprob=-0.8),
        part("So, so, so, so.", no_speech_prob=0.8, avg_logprob=-0.2, sure=0.3),
        part("man man man man man man", no_speech_prob=0.4, sure=0.3),
        part("..."),
    ],
    ids=["too fast", "a phrase too fast", "without speech", "repeated", "repeated in a hum", "no word"],
)
def test_what_nobody_can_have_said_is_left_out(hello, invented, prompt):
    said = part("This is a test with one voice.", 0.5, 4.0)
    assert (
        hear(ScriptedModel([said, invented], [said, invented]), hello, prompt)
        == "This is a test with one voice."
    )


@pytest.mark.parametrize("said", ["Yes.", "No, thanks.", "Thank you.", "No, no, no, no, no."])
def test_short_answers_stay(hello, said):
    short = hello[: int(0.9 * SAMPLE_RATE)]
    assert hear(ScriptedModel([], [part(said, 0.5, 0.8)]), short, "") == said


def test_half_minutes_that_are_heard_together_are_checked_as_well(hello, monkeypatch):
    minute = np.tile(hello, 9)
    model = ScriptedModel([part(ECHO, sure=0.1)], [part("Mm.")])

    class Together:
        def __init__(self, model: ScriptedModel) -> None:
            self.model = model

        def transcribe(
            self, samples: Samples, *, clip_timestamps: list[dict[str, float]], **options: Any
        ) -> Any:
            _, info = self.model.transcribe(samples, hotwords=options["hotwords"])
            return [part(ECHO, c["start"], c["end"], sure=0.1) for c in clip_timestamps], info

    monkeypatch.setattr("speech.engines.local.engine.BatchedInferencePipeline", Together)
    assert "Okonkwo" not in hear(model, minute)
    assert None in model.hints


# With the real models


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny.en", "base"])
def test_laughs_hums_and_coughs_say_nothing_of_the_hints(name, hello, tmp_path):
    engine = load_engine("local", EngineSettings(model=name, model_dir=model_path(name, tmp_path)))
    for sound in (laughter(), agreeing(), coughing(), groaning(), singing(seed=21)):
        for prompt in (PEOPLE, "tachycardia, pantoprazole, ramipril"):
            heard = text(engine.transcribe(sound, TranscribeOptions(prompt=prompt))).casefold()
            assert not {"participants", "okonkwo", "siobhan", "xavier", "tachycardia", "pantoprazole"} & set(
                heard.replace(".", " ").replace(",", " ").replace("-", " ").split()
            ), heard
    read = text(
        engine.transcribe(hello, TranscribeOptions(prompt="A clear sentence, a short test recording."))
    )
    assert "short test recording" in read
    assert "clear sentence" in read
