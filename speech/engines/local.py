"""Transcription on this machine with faster-whisper."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import restore_speech_timestamps

from speech.cues import ends_sentence
from speech.engines.base import (
    INVENTED_AVG_LOGPROB,
    INVENTED_NO_SPEECH_PROB,
    EngineSettings,
    Samples,
    TranscribeOptions,
)
from speech.errors import AGAIN, EngineFailed, ModelUnavailable
from speech.types import SAMPLE_RATE, Span, SpeechSegment, Transcription, Word, ms_to_samples, samples_to_ms
from speech.voice_activity import SpeechDetector
from speech.windows import plan_windows

logger = logging.getLogger(__name__)

BEAM_SIZE = 5
# More speech than this between two words has been skipped. Word times are wrong by up to a second.
SKIPPED_SPEECH_MS = 2_500
MAX_SKIPS = 3

PIECE_S = (20, 29)
"""Whisper hears half a minute at a time."""
MOST_AT_ONCE = 4
LONGEST_PAUSE_MS = 2_000
MARGIN_MS = 400
"""A longer pause than LONGEST_PAUSE_MS is left out but for so much on either side."""
EARLY_MS = 100
"""A word that begins so much before somebody speaks begins there."""
SENTENCE_WORDS = 4
"""After fewer words a full stop may be that of "Mr."."""


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
        on_wait: Callable[[], None] | None = None,
    ) -> Transcription:
        segments: list[SpeechSegment] = []

        def take(segment: SpeechSegment) -> None:
            segments.append(segment)
            if on_segment is not None:
                on_segment(segment)

        # Before the model, which is slow on noise and hears words in it.
        detector = SpeechDetector()
        detector.feed(samples)
        speech = detector.finish()
        if not speech:
            return Transcription()
        pieces = plan_windows(
            speech,
            samples_to_ms(len(samples)),
            min_window_s=PIECE_S[0],
            max_window_s=PIECE_S[1],
            quietest=detector.quietest,
        )
        spoken = [Span(piece.start_ms, piece.end_ms) for piece in pieces if piece.speech_ms]
        if len(spoken) == 1:
            language, confidence = self._hear(samples, spoken[0], speech, options, take)
        else:
            language, confidence = self._hear_together(samples, spoken, speech, options, take)
        if not segments:
            return Transcription()
        return Transcription(tuple(segments), language, confidence)

    def _hear_together(
        self,
        samples: Samples,
        pieces: Sequence[Span],
        speech: Sequence[Span],
        options: TranscribeOptions,
        take: Callable[[SpeechSegment], None],
    ) -> tuple[str, float]:
        """Decode the half minutes of a window at once, a fifth faster than one by one; their language.

        What comes out badly is heard again with more care.
        """
        parts = [_spoken_parts(speech, piece) for piece in pieces]
        sounds = [_put_together(samples, some) for some in parts]
        ends = list(accumulate(len(sound) / SAMPLE_RATE for sound in sounds))
        found = None
        if not options.language and self._model.model.is_multilingual:
            found = self._language_of(sounds[0])
            options = replace(options, language=found[0])
        heard, info = self._start(
            BatchedInferencePipeline(self._model).transcribe,
            np.concatenate(sounds),
            options,
            # Without its own time stamps, Whisper does not end a half minute early.
            without_timestamps=True,
            clip_timestamps=[{"start": a, "end": b} for a, b in pairwise([0.0, *ends])],
            batch_size=MOST_AT_ONCE,
        )
        restored = _restored(heard, [part for some in parts for part in some])
        for piece, half_minute in zip(pieces, restored, strict=True):
            if _came_out_badly(half_minute, piece, speech):
                self._hear(samples, piece, speech, replace(options, language=info.language), take)
            else:
                for part in _sentences(half_minute):
                    _take([part], piece, speech, take, until_skipped=False)
        return found or (info.language, float(info.language_probability))

    def _language_of(self, sound: Samples) -> tuple[str, float]:
        try:
            found = self._model.detect_language(features=self._model.feature_extractor(sound))
        except (RuntimeError, ValueError, MemoryError) as e:
            raise _failed(e) from e
        return found[0], float(found[1])

    def _hear(
        self,
        samples: Samples,
        span: Span,
        speech: Sequence[Span],
        options: TranscribeOptions,
        take: Callable[[SpeechSegment], None],
    ) -> tuple[str, float]:
        """Decode a stretch one half minute after the other, and again what Whisper skips; its language."""
        found = ("", 0.0)
        rest: Span | None = span
        attempts = 0
        while rest is not None and (parts := _spoken_parts(speech, rest)):
            heard, info = self._start(self._model.transcribe, _put_together(samples, parts), options)
            if attempts == 0:
                found = (info.language, float(info.language_probability))
            # What is heard again is in the language of what was heard before it.
            options = replace(options, language=info.language)
            # The last attempt takes what it gets; and a translation's word times do not show what it skips.
            watch = attempts < MAX_SKIPS and not options.translate_to
            rest = _take(_restored(heard, parts), rest, speech, take, until_skipped=watch)
            attempts += 1
        return found

    def _start(
        self,
        transcribe: Callable[..., tuple[Any, Any]],
        samples: Samples,
        options: TranscribeOptions,
        **more: Any,
    ) -> tuple[Any, Any]:
        try:
            return transcribe(
                samples,
                language=options.language or None,
                task="translate" if options.translate_to else "transcribe",
                beam_size=BEAM_SIZE,
                condition_on_previous_text=False,
                word_timestamps=True,
                # Not as initial_prompt, which without conditioning reaches the first half minute alone.
                hotwords=options.prompt or None,
                **({} if options.temperature is None else {"temperature": options.temperature}),
                **more,
            )
        except (RuntimeError, ValueError, MemoryError) as e:
            raise _failed(e) from e


class _RememberingModel(WhisperModel):  # type: ignore[misc]
    """Encodes the first half minute once, for finding its language and for its text."""

    _last: tuple[Any, Any] | None = None

    def detect_language(self, audio: Any = None, features: Any = None, **options: Any) -> Any:
        # Transcribing leaves out the last frame. Without it here, short windows are encoded once as well.
        return super().detect_language(audio, features[..., :-1], **options)

    def encode(self, features: Any) -> Any:
        """`features`: of shape (bands, frames), or several of them."""
        if self._last is None or not np.array_equal(
            self._last[0], features.reshape(-1, *features.shape[-2:])[0]
        ):
            encoded = super().encode(features)
            if features.ndim == 2:
                self._last = (features, encoded)
            return encoded
        if features.ndim == 2:
            return self._last[1]
        rest = super().encode(features[1:])
        return StorageView.from_array(np.concatenate([np.asarray(self._last[1]), np.asarray(rest)]))


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
        return EngineFailed(f"The memory of the server was too small just now.{AGAIN}")
    return EngineFailed()


def _take(
    parts: Iterable[Any],
    span: Span,
    speech: Sequence[Span],
    take: Callable[[SpeechSegment], None],
    *,
    until_skipped: bool,
) -> Span | None:
    """Hand each segment to `take`; with `until_skipped` up to where Whisper skips speech, and give the rest.

    Once in a while Whisper ends a half minute early, often in the middle of a sentence, and goes on after it.
    What it skipped it hears when it begins there.
    """
    at_ms = span.start_ms
    for part in parts:
        if part.no_speech_prob > INVENTED_NO_SPEECH_PROB and part.avg_logprob < INVENTED_AVG_LOGPROB:
            continue
        part.words = [word for word in part.words or () if word.word.strip()]
        segment = _segment(part, speech, earliest_ms=at_ms, latest_ms=span.end_ms)
        for number, word in enumerate(segment.words):
            # Without a word before it there is no better place to begin.
            if until_skipped and at_ms > span.start_ms and _somebody_speaks(speech, at_ms, word.start_ms):
                if number:
                    before = replace(part, words=part.words[:number])
                    before.text = "".join(word.word for word in before.words)
                    take(_segment(before, speech, earliest_ms=segment.start_ms, latest_ms=at_ms))
                return Span(at_ms, span.end_ms)
            at_ms = word.end_ms
        if segment.text:
            at_ms = segment.end_ms
            take(segment)
    skipped_end = until_skipped and at_ms > span.start_ms and _somebody_speaks(speech, at_ms, span.end_ms)
    return Span(at_ms, span.end_ms) if skipped_end else None


def _came_out_badly(part: Any, span: Span, speech: Sequence[Span]) -> bool:
    """Whether Whisper repeats itself, guesses, or leaves out what somebody says. Its own limits."""
    if part.compression_ratio > 2.4 or part.avg_logprob < -1:
        return True
    edges = [
        span.start_ms,
        *(round(s * 1000) for word in part.words for s in (word.start, word.end)),
        span.end_ms,
    ]
    return any(_somebody_speaks(speech, edges[n], edges[n + 1]) for n in range(0, len(edges), 2))


def _sentences(part: Any) -> Iterator[Any]:
    """A half minute as its sentences, which is how long a segment should be."""
    first = 0
    for number, word in enumerate(part.words, start=1):
        whole = number - first >= SENTENCE_WORDS and ends_sentence(word.word.strip())
        if whole or number == len(part.words):
            words = part.words[first:number]
            yield replace(part, words=words, text="".join(word.word for word in words))
            first = number


def _somebody_speaks(speech: Sequence[Span], start_ms: int, end_ms: int) -> bool:
    """Whether between two words there is more speech than wrong word times explain."""
    overlaps = (min(span.end_ms, end_ms) - max(span.start_ms, start_ms) for span in speech)
    return sum(overlap for overlap in overlaps if overlap > 0) > SKIPPED_SPEECH_MS


def _spoken_parts(speech: Sequence[Span], span: Span) -> list[Span]:
    """The speech in `span` with a margin, without the long pauses between."""
    parts: list[Span] = []
    for part in speech:
        start_ms = max(part.start_ms - MARGIN_MS, span.start_ms)
        end_ms = min(part.end_ms + MARGIN_MS, span.end_ms)
        if part.end_ms <= span.start_ms or part.start_ms >= span.end_ms:
            continue
        if parts and start_ms - parts[-1].end_ms < LONGEST_PAUSE_MS - 2 * MARGIN_MS:
            parts[-1] = Span(parts[-1].start_ms, end_ms)
        else:
            parts.append(Span(start_ms, end_ms))
    return parts


def _put_together(samples: Samples, parts: Sequence[Span]) -> Samples:
    return np.concatenate([samples[ms_to_samples(p.start_ms) : ms_to_samples(p.end_ms)] for p in parts])


def _restored(heard: Iterable[Any], parts: Sequence[Span]) -> Iterator[Any]:
    """faster-whisper's segments of parts put together, with the times at which they were said."""
    chunks = [{"start": ms_to_samples(p.start_ms), "end": ms_to_samples(p.end_ms)} for p in parts]
    return iter(_failing_typed(restore_speech_timestamps(heard, chunks, SAMPLE_RATE)))


def _onset(speech: Sequence[Span], start_ms: int, end_ms: int) -> int:
    """Where a word begins, of which Whisper often says that it begins in the pause before it."""
    following = bisect_right(speech, start_ms, key=lambda span: span.end_ms)
    onset_ms = speech[following].start_ms if following < len(speech) else start_ms
    return onset_ms if start_ms + EARLY_MS < onset_ms < end_ms else start_ms


def _segment(part: Any, speech: Sequence[Span], *, earliest_ms: int, latest_ms: int) -> SpeechSegment:
    """faster-whisper's segment in milliseconds of the window, inside it and in order."""

    def clamp(time_s: float, low_ms: int) -> int:
        return min(max(round(float(time_s) * 1000), low_ms), latest_ms)

    words = []
    at_ms = earliest_ms
    for word in part.words:
        start_ms = clamp(word.start, at_ms)
        at_ms = clamp(word.end, start_ms)
        start_ms = _onset(speech, start_ms, at_ms)
        words.append(Word(start_ms, at_ms, word.word.strip(), float(word.probability)))
    start_ms = words[0].start_ms if words else clamp(part.start, earliest_ms)
    end_ms = words[-1].end_ms if words else clamp(part.end, start_ms)
    confidence = float(np.mean([w.confidence for w in words])) if words else None
    return SpeechSegment(start_ms, end_ms, part.text.strip(), confidence, tuple(words))
