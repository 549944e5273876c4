"""What every engine is, and what each one can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from speech.engines.providers import Provider
from speech.languages.prior import LanguagePrior
from speech.types import SpeechSegment, Transcription

if TYPE_CHECKING:
    from speech.samples import Samples

CPU, CUDA, AUTO_DEVICE = "cpu", "cuda", "auto"

RECORDING_WINDOW_S = (18, 29)
"""Whisper hears half a minute at a time, and takes as long for less."""

# Whisper invents sentences where nobody speaks. Measured: the first value was at most 0.1 for speech and at
# least 0.77 for inventions; the second was at most -0.67 for inventions.
INVENTED_NO_SPEECH_PROB = 0.6
INVENTED_AVG_LOGPROB = -0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What an engine needs to know of its machine. The caller builds it once, from the settings.

    `device` is `cpu`, `cuda`, or `auto` for a GPU where there is one. An empty `compute_type` is the usual
    one of the device. With `gpu_lock`, a file, one process at a time computes on the GPU.
    """

    model: str
    model_dir: str = ""
    threads: int = 1
    device: str = CPU
    compute_type: str = ""
    gpu_lock: str = ""
    provider: Provider | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeOptions:
    """What a job asks of an engine for one window. An empty `language` means that the engine detects it.

    `prior` is what is known of the language then. Without `word_times`, an engine may leave out the times of
    words, if that saves work.
    """

    language: str = ""
    translate_to: str = ""
    prompt: str = ""
    temperature: float | None = None
    word_times: bool = True
    prior: LanguagePrior = field(default_factory=LanguagePrior)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one model can and cannot do. Windows are planned from it, and options are checked against it.

    If `languages` is empty, the model knows any language. `translates_to` has the languages that it can
    translate into. With `live`, its engine is also a `speech.live.listening.LiveEngine`. Without
    `needs_voice_activity`, all sound counts as speech. A window of a file should last from `min_window_s` to
    `max_window_s`. With `short_windows`, a window of a few seconds takes little time.
    """

    languages: frozenset[str] = frozenset()
    detects_language: bool = True
    translates_to: frozenset[str] = frozenset()
    word_times: bool = True
    prompt: bool = True
    live: bool = False
    needs_voice_activity: bool = True
    min_window_s: int = 40
    max_window_s: int = 60
    short_windows: bool = False

    def while_recording(self) -> Capabilities:
        """Return the same for a recording that goes on, with short windows, because somebody waits for the
        text.
        """
        return replace(
            self,
            min_window_s=min(RECORDING_WINDOW_S[0], self.min_window_s),
            max_window_s=min(RECORDING_WINDOW_S[1], self.max_window_s),
        )


class Engine(Protocol):
    """Turns the samples of one window into timed text.

    `speech.engines.load_engine` makes an engine once per process and model, in the process that uses it,
    because a model that was loaded before a fork hangs every child.
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
        """Transcribe one window. All work is done before it returns. Times count from the first sample.

        `on_segment` is called with each segment as soon as it is there; an exception from it ends the work
        and passes through. `on_wait` is called at least once a second while the engine waits for another
        machine; an exception from it gives up that request and passes through.

        Raises:
            SpeechError: for everything that is not a bug.
        """
        ...
