"""What every engine is, and what each one can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from speech.engines.providers import Provider
from speech.types import SpeechSegment, Transcription

RECORDING_WINDOW_S = (18, 29)
"""Whisper hears half a minute at a time, and needs as long for less."""

# Whisper invents sentences where nobody speaks. Speech had at most 0.1 and inventions at least 0.77 of
# the first, and inventions at most -0.67 of the second.
INVENTED_NO_SPEECH_PROB = 0.6
INVENTED_AVG_LOGPROB = -0.5

Samples = npt.NDArray[np.float32]
"""Mono samples at `speech.types.SAMPLE_RATE`, from -1 to 1; shape (n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What an engine needs to know of the machine it runs on. Built once, from settings, by the caller."""

    model: str
    model_dir: str = ""
    threads: int = 1
    provider: Provider | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeOptions:
    """What a job asks of an engine for one window. `language` '' means: find out."""

    language: str = ""
    translate_to: str = ""
    prompt: str = ""
    temperature: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one model can and cannot do; windows are planned from it, and options are checked against it.

    `languages` empty: any. `translates_to`: the languages it can translate into. Where
    `needs_voice_activity` is off, everything counts as speech.
    `min_window_s`..`max_window_s`: where a window of a file should end.
    """

    languages: frozenset[str] = frozenset()
    detects_language: bool = True
    translates_to: frozenset[str] = frozenset()
    word_times: bool = True
    prompt: bool = True
    diarizes: bool = False
    needs_voice_activity: bool = True
    min_window_s: int = 40
    max_window_s: int = 60

    def while_recording(self) -> Capabilities:
        """The same for a recording that goes on: somebody waits for its text, and for its end."""
        return replace(
            self,
            min_window_s=min(RECORDING_WINDOW_S[0], self.min_window_s),
            max_window_s=min(RECORDING_WINDOW_S[1], self.max_window_s),
        )


class Engine(Protocol):
    """Turns the samples of one window into timed text.

    An engine is made once per process and model, by `speech.engines.load_engine`, in the process that
    uses it: a model loaded before a fork hangs every child.
    """

    name: str
    capabilities: Capabilities

    def __init__(self, settings: EngineSettings) -> None: ...

    def transcribe(
        self,
        samples: Samples,
        options: TranscribeOptions,
        on_segment: Callable[[SpeechSegment], None] | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Transcription:
        """Transcribe one window; all the work is done before it returns. Times count from its first sample.

        `on_segment` is called after each segment with it; what it raises ends the work and passes through.
        `on_wait` is called at least once a second while the engine waits for another machine; what it raises
        gives that request up and passes through.

        Raises:
            SpeechError: for everything that is not a bug.
        """
        ...
