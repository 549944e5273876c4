"""What the models behind OpenAI's transcription API can and cannot do: one row per model.

Sources, read in November 2026:

- OpenAI's API reference, "Create transcription" and "Create translation", as in the docstrings of the client
  3.52.0: response formats, word times, prompt, `languages`, streaming, chunking, translation, containers.
- OpenAI's guide "Speech to text": 25 MB a request. It lists neither ogg nor flac; the reference lists both.
- 1,400 seconds: the API's own error, "audio duration ... is longer than 1400 seconds which is the maximum for
  this model", for gpt-4o-transcribe, -mini and -diarize. For gpt-transcribe none is published.
- OpenAI's cookbook, "Migrate from Whisper to GPT-Transcribe": JSON alone, `languages` and never `language`.
- Groq's page "Speech to Text": 25 MB, large-v3 translates and large-v3-turbo does not.
- vLLM's page "Speech to Text APIs": 25 MB, and FLAC, MP3, OGG and WAV among others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from speech.engines.base import Capabilities
from speech.engines.providers import Provider
from speech.text.languages import ENGLISH, languages_of
from speech.types import Container

Form = Literal["words", "segments", "diarized", "text"]
"""How an answer is asked for: `verbose_json` with or without word times, `diarized_json`, or `json`."""

SIMPLER: tuple[Form, ...] = ("words", "segments", "text")

# With times, a window may be long: Whisper hears half minutes anyway, and windows are sent side by side.
TIMED_WINDOW_S = (60, 120)
# Without times, the window is the finest time in the transcript.
UNTIMED_WINDOW_S = (30, 60)

# The most bytes that a second of speech takes, as `speech.sound.encoding` encodes it. Noise makes flac larger
# than wav.
BYTES_PER_S: dict[Container, int] = {"wav": 32_000, "flac": 34_000, "mp3": 8_200, "ogg": 6_000}
FORM_BYTES = 16_384
"""The size of the other fields of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A row of the table. The defaults are cautious, for unknown models."""

    forms: tuple[Form, ...] = SIMPLER
    """The best first. If a server refuses one, the next is tried."""
    containers: tuple[Container, ...] = ("wav",)
    """The smallest first. If a server cannot read one, the next is tried. Every server reads wav."""
    max_request_bytes: int = 25_000_000
    max_audio_s: int | None = None
    prompt: bool = True
    language_list: bool = False
    """Whether the language is sent as `languages`."""
    chunking: bool = False
    """Whether audio longer than half a minute needs `chunking_strategy`."""
    streams: bool = False
    """Whether text can arrive while it is made.

    Nothing here asks for it: a window is short, and its text is used whole.
    """
    translates: bool = False
    """Whether it translates into English. No server translates into another language."""
    whisper: bool = False
    """Whether it knows the languages that Whisper knows."""


_SMALL: tuple[Container, ...] = ("ogg", "mp3", "wav")
_WHISPER = ModelFacts(containers=_SMALL, whisper=True)
_GPT = ModelFacts(forms=("text",), containers=_SMALL, max_audio_s=1_400, streams=True)

# The first row that matches counts. Of a name such as owner/name, only the part after the last slash is
# compared.
_TABLE: tuple[tuple[str, ModelFacts], ...] = (
    (
        "gpt-4o-transcribe-diarize*",
        # It names speakers A, B, ... anew in every request, so those of different windows cannot be
        # matched.
        replace(_GPT, forms=("diarized", "text"), prompt=False, chunking=True),
    ),
    ("gpt-4o-*transcribe*", _GPT),
    ("gpt-transcribe*", replace(_GPT, language_list=True)),
    ("whisper-1", replace(_WHISPER, translates=True)),
    ("*whisper*turbo*", _WHISPER),
    ("*distil*whisper*", _WHISPER),
    ("*whisper*.en", _WHISPER),
    ("*whisper*-en", _WHISPER),
    ("*whisper*", replace(_WHISPER, translates=True)),
)
_UNKNOWN = ModelFacts()


def facts_of(model: str, provider: Provider | None = None) -> ModelFacts:
    """Return the row of a model, changed by the settings of its provider."""
    name = _short(model)
    facts = next((facts for pattern, facts in _TABLE if fnmatchcase(name, pattern)), _UNKNOWN)
    if provider is None:
        return facts
    if provider.word_times is not None:
        wanted = SIMPLER if provider.word_times else tuple(form for form in facts.forms if form != "words")
        facts = replace(facts, forms=wanted)
    return replace(
        facts,
        containers=(provider.container,) if provider.container else facts.containers,
        max_request_bytes=provider.max_request_bytes or facts.max_request_bytes,
        max_audio_s=provider.max_audio_s or facts.max_audio_s,
    )


def capabilities(model: str, provider: Provider | None = None) -> Capabilities:
    """Return what jobs may ask of a model, and how long its windows are."""
    facts = facts_of(model, provider)
    name = _short(model)
    english = facts.whisper and name.endswith((".en", "-en"))
    languages = ENGLISH if english else languages_of(name) if facts.whisper else frozenset[str]()
    shortest, longest = _window_s(facts, provider)
    return Capabilities(
        languages=languages,
        detects_language=not english,
        translates_to=ENGLISH if facts.translates else frozenset(),
        word_times="words" in facts.forms,
        prompt=facts.prompt,
        min_window_s=shortest,
        max_window_s=longest,
    )


def _window_s(facts: ModelFacts, provider: Provider | None) -> tuple[int, int]:
    shortest, longest = UNTIMED_WINDOW_S if facts.forms == ("text",) else TIMED_WINDOW_S
    if provider is not None and provider.window_s is not None:
        shortest, longest = provider.window_s
    possible = (facts.max_request_bytes - FORM_BYTES) // BYTES_PER_S[facts.containers[0]]
    if facts.max_audio_s is not None:
        # A codec adds some milliseconds.
        possible = min(possible, facts.max_audio_s - 1)
    if possible < longest:
        longest = max(possible, 2)
        shortest = min(shortest, longest // 2)
    return shortest, longest


def _short(model: str) -> str:
    return model.rpartition("/")[2].lower()
