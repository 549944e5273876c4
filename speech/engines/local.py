"""Transcription on this machine with faster-whisper."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps

from speech.engines.base import EngineSettings, Samples, TranscribeOptions
from speech.errors import EngineFailed, ModelUnavailable
from speech.types import SAMPLE_RATE, SpeechSegment, Transcription, Word, ms_to_samples, samples_to_ms
from speech.voice_activity import speech_spans

logger = logging.getLogger(__name__)

BEAM_SIZE = 5
# Whisper invents sentences where nobody speaks. Speech had at most 0.1 and inventions at least 0.77 of
# the first, and inventions at most -0.67 of the second.
INVENTED_NO_SPEECH_PROB = 0.6
INVENTED_AVG_LOGPROB = -0.5
# More speech than this between two words has been skipped. Word times are wrong by up to a second.
SKIPPED_SPEECH_MS = 2_500
MAX_SKIPS = 3


class LocalEngine:
    name = "local"

    def __init__(self, settings: EngineSettings) -> None:
        from speech.engines import capabilities

        self.capabilities = capabilities(self.name, settings.model)
        self._model = _load(settings)

    def transcribe(
        self,
        samples: Samples,
        options: TranscribeOptions,
        on_segment: Callable[[SpeechSegment], None] | None = None,
    ) -> Transcription:
        segments: list[SpeechSegment] = []

        def take(segment: SpeechSegment) -> None:
            segments.append(segment)
            if on_segment is not None:
                on_segment(segment)

        found: Any = None
        start_ms: int | None = 0
        attempts = 0
        while start_ms is not None:
            rest = samples[ms_to_samples(start_ms) :]
            # Before the model, which is slow on noise and hears words in it. faster-whisper would do the
            # same, but detect the language of nothing first. Measured against this, the spoken parts put
            # together, were all of the window, and the spoken parts one by one: neither has a lower word
            # error rate, and one by one the encoder has a fifth more to do.
            spoken = get_speech_timestamps(rest, VadOptions())
            if not spoken:
                break
            heard, info = self._start(np.concatenate(collect_chunks(rest, spoken)[0]), options)
            found = found or info
            # What is heard again is in the language of what was heard before it.
            options = replace(options, language=info.language)
            parts = restore_speech_timestamps(_failing_typed(heard), spoken, SAMPLE_RATE)
            # The last attempt takes what it gets; and a translation's word times do not show what it skips.
            watch = attempts < MAX_SKIPS and not options.translate_to
            start_ms = _take(samples, start_ms, parts, take, until_skipped=watch)
            attempts += 1
        if not segments:
            return Transcription()
        return Transcription(tuple(segments), found.language, float(found.language_probability))

    def _start(self, samples: Samples, options: TranscribeOptions) -> tuple[Any, Any]:
        try:
            started: tuple[Any, Any] = self._model.transcribe(
                samples,
                language=options.language or None,
                task="translate" if options.translate_to else "transcribe",
                beam_size=BEAM_SIZE,
                condition_on_previous_text=False,
                word_timestamps=True,
                # Not as initial_prompt, which without conditioning reaches the first half minute alone.
                hotwords=options.prompt or None,
                **({} if options.temperature is None else {"temperature": options.temperature}),
            )
            return started
        except (RuntimeError, ValueError, MemoryError) as e:
            raise _failed(e) from e


class _RememberingModel(WhisperModel):  # type: ignore[misc]
    """Encodes the first half minute once, for finding its language and for its text."""

    _last: tuple[Any, Any] | None = None

    def detect_language(self, audio: Any = None, features: Any = None, **options: Any) -> Any:
        # Transcribing leaves out the last frame. Without it here, short windows are encoded once as well.
        return super().detect_language(audio, features[..., :-1], **options)

    def encode(self, features: Any) -> Any:
        if self._last is None or not np.array_equal(self._last[0], features):
            self._last = (features, super().encode(features))
        return self._last[1]


def _load(settings: EngineSettings) -> WhisperModel:
    path = settings.model_dir or settings.model
    # The hub is asked for nothing that is here: neither for a directory nor for what was fetched before.
    for local_only in (True,) if Path(path).is_dir() else (True, False):
        try:
            return _RememberingModel(
                path,
                device="cpu",
                compute_type="int8",
                cpu_threads=settings.threads,
                local_files_only=local_only,
            )
        except MemoryError as e:
            raise _failed(e) from e
        except Exception as e:  # noqa: BLE001  whatever the hub's client, the tokenizer or the runtime raise
            problem = e
    logger.warning("The model %s cannot be loaded", settings.model, exc_info=problem)
    raise ModelUnavailable(
        f"The speech model {settings.model!r} could not be loaded. Run `make setup`, or set LOCAL_MODEL to "
        "the name or directory of one that is on this machine."
    ) from problem


def _failing_typed(heard: Any) -> Any:
    """The same segments; what goes wrong while they are made is a SpeechError."""
    try:
        yield from heard
    except (RuntimeError, ValueError, MemoryError) as e:
        raise _failed(e) from e


def _failed(error: Exception) -> EngineFailed:
    logger.warning("faster-whisper failed", exc_info=error)
    if isinstance(error, MemoryError):
        return EngineFailed("The memory of the server was too small just now. It is tried again by itself.")
    return EngineFailed()


def _take(
    samples: Samples,
    start_ms: int,
    parts: Iterable[Any],
    take: Callable[[SpeechSegment], None],
    *,
    until_skipped: bool,
) -> int | None:
    """Hand each segment to `take`; with `until_skipped` up to where Whisper skips speech, and say where.

    Once in a while Whisper ends a half minute early, often in the middle of a sentence, and goes on after it.
    What it skipped it hears when it begins there. `parts` count their times from `start_ms`.
    """
    at_ms, latest_ms = start_ms, samples_to_ms(len(samples))
    for part in parts:
        if part.no_speech_prob > INVENTED_NO_SPEECH_PROB and part.avg_logprob < INVENTED_AVG_LOGPROB:
            continue
        part.words = [word for word in part.words or () if word.word.strip()]
        segment = _segment(part, offset_ms=start_ms, earliest_ms=at_ms, latest_ms=latest_ms)
        for number, word in enumerate(segment.words):
            # Without a word before it there is no better place to begin.
            if until_skipped and at_ms > start_ms and _somebody_speaks(samples, at_ms, word.start_ms):
                if number:
                    before = replace(part, words=part.words[:number])
                    before.text = "".join(word.word for word in before.words)
                    take(_segment(before, offset_ms=start_ms, earliest_ms=segment.start_ms, latest_ms=at_ms))
                return at_ms
            at_ms = word.end_ms
        if segment.text:
            at_ms = segment.end_ms
            take(segment)
    skipped_end = until_skipped and at_ms > start_ms and _somebody_speaks(samples, at_ms, latest_ms)
    return at_ms if skipped_end else None


def _somebody_speaks(samples: Samples, start_ms: int, end_ms: int) -> bool:
    """Whether between two words there is more speech than wrong word times explain."""
    if end_ms - start_ms <= SKIPPED_SPEECH_MS:
        return False
    spans = speech_spans([samples[ms_to_samples(start_ms) : ms_to_samples(end_ms)]])
    return sum(span.duration_ms for span in spans) > SKIPPED_SPEECH_MS


def _segment(part: Any, *, offset_ms: int, earliest_ms: int, latest_ms: int) -> SpeechSegment:
    """faster-whisper's segment in milliseconds of the window, inside it and in order."""

    def clamp(time_s: float, low_ms: int) -> int:
        return min(max(offset_ms + round(float(time_s) * 1000), low_ms), latest_ms)

    words = []
    at_ms = earliest_ms
    for word in part.words:
        start_ms = clamp(word.start, at_ms)
        at_ms = clamp(word.end, start_ms)
        words.append(Word(start_ms, at_ms, word.word.strip(), float(word.probability)))
    start_ms = words[0].start_ms if words else clamp(part.start, earliest_ms)
    end_ms = words[-1].end_ms if words else clamp(part.end, start_ms)
    confidence = float(np.mean([w.confidence for w in words])) if words else None
    return SpeechSegment(start_ms, end_ms, part.text.strip(), confidence, tuple(words))
