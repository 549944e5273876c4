"""The engine that transcribes on this machine with faster-whisper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline

from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.hints import LEAST_SPEECH_MS
from speech.engines.local.decoder import BEAM_SIZE, Decoder
from speech.engines.local.languages import Found, find_languages, likeliest
from speech.engines.local.model import typed_failures
from speech.engines.local.segments import (
    came_out_badly,
    split_at_sentences,
    take_segments,
)
from speech.engines.local.speech_parts import (
    MOST_HALF_MINUTE_S,
    joined_samples,
    least_half_minute_s,
    restored_segments,
    speech_ms_in,
    spoken_parts,
)
from speech.engines.local.turns import in_turn
from speech.engines.local.without_words import needs_words
from speech.samples import Samples
from speech.types import SAMPLE_RATE, Span, SpeechSegment, Transcription, samples_to_ms
from speech.voice.activity import SpeechDetector
from speech.windows.cuts import cut_windows

MAX_SKIPS = 3


class LocalEngine(Decoder):
    """Whisper on this machine. Without speech in the window the model is not asked."""

    name = "local"

    def __init__(self, settings: EngineSettings) -> None:
        from speech.engines import capabilities

        self.capabilities = capabilities(self.name, settings.model, directory=settings.model_dir)
        super().__init__(settings)

    @in_turn
    def transcribe(
        self,
        samples: Samples,
        options: TranscribeOptions,
        on_segment: Callable[[SpeechSegment], None] | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Transcription:
        segments: list[SpeechSegment] = []
        language = ""

        def take(segment: SpeechSegment) -> None:
            segment = replace(segment, language="" if options.translate_to else language)
            segments.append(segment)
            if on_segment is not None:
                on_segment(segment)

        # This comes before the model, which is slow on noise and hears words in it.
        detector = SpeechDetector()
        detector.feed(samples)
        speech = detector.finish()
        if not speech:
            return Transcription()
        half_minutes = cut_windows(
            speech,
            samples_to_ms(len(samples)),
            min_window_s=least_half_minute_s(len(samples)),
            max_window_s=MOST_HALF_MINUTE_S,
            quietest=detector.quietest,
        )
        spoken = [Span(window.start_ms, window.end_ms) for window in half_minutes if window.speech_ms]
        found = self._languages(samples, spoken, speech, options)
        language = found.language
        options = replace(options, language=language)
        if found.pieces:
            for span, language in found.pieces:
                self._transcribe_span(samples, span, speech, replace(options, language=language), take)
        elif len(spoken) == 1:
            self._transcribe_span(samples, spoken[0], speech, options, take, briefly=found.certain)
        else:
            self._transcribe_at_once(samples, spoken, speech, options, take)
        if not segments:
            return Transcription()
        return Transcription(
            tuple(segments),
            found.language,
            found.confidence,
            "words" if all(segment.words for segment in segments) else "segments",
            language_probabilities=found.probabilities,
        )

    def _languages(
        self, samples: Samples, spoken: Sequence[Span], speech: Sequence[Span], options: TranscribeOptions
    ) -> Found:
        if not self.capabilities.detects_language:
            return Found(language="en")
        if language := options.language or options.prior.only:
            return Found(language=language)
        briefly = self.capabilities.short_windows
        return find_languages(self._model, samples, spoken, speech, options.prior, briefly=briefly)

    @in_turn
    def transcribe_utterance(self, samples: Samples, options: TranscribeOptions) -> Transcription:
        """Transcribe one utterance of up to half a minute, on a short context: for a third of the time.

        Raises:
            SpeechError: for everything that is not a bug.
        """
        span = Span(0, samples_to_ms(len(samples)))
        detector = SpeechDetector()
        detector.feed(samples)
        speech = detector.finish() or [span]
        if speech_ms_in(speech, span) < LEAST_SPEECH_MS:
            options = replace(options, prompt="")
        is_english = options.language == "en" or not self.capabilities.detects_language
        heard, info = self._hear_briefly(samples, options, longer=not is_english)
        options = replace(options, language=info.language)
        segments: list[SpeechSegment] = []
        if heard is not None:
            if options.prompt:
                heard = self._checked_hints(heard, samples, [span], options)
            sentences = [one for part in heard for one in split_at_sentences(part, info.language)]
            take_segments(sentences, span, speech, segments.append, until_skipped=False)
        if not segments:
            self._transcribe_span(samples, span, speech, options, segments.append)
        if not segments:
            return Transcription()
        language = "" if options.translate_to else info.language
        return Transcription(
            tuple(replace(segment, language=language) for segment in segments),
            info.language,
            float(info.language_probability),
            language_probabilities=likeliest(dict(info.all_language_probs or ())),
        )

    @in_turn
    def draft(
        self, samples: Samples, options: TranscribeOptions, *, carefully: bool = False
    ) -> tuple[str, str]:
        """Return text and language of an utterance that goes on, as fast as can be.

        `carefully` takes the time to compare BEAM_SIZE texts. The text is empty where Whisper repeats itself,
        guesses or breaks off.

        Raises:
            SpeechError: for everything that is not a bug.
        """
        plain = replace(options, prompt="")
        beam_size = BEAM_SIZE if carefully else 1
        heard, info = self._hear_briefly(samples, plain, beam_size=beam_size, word_timestamps=False)
        return "".join(part.text for part in heard or ()).strip(), info.language

    def _transcribe_at_once(
        self,
        samples: Samples,
        half_minutes: Sequence[Span],
        speech: Sequence[Span],
        options: TranscribeOptions,
        take: Callable[[SpeechSegment], None],
    ) -> None:
        """Decode all half minutes of a window at once.

        This is a fifth faster than one by one. A half minute with a bad result is decoded again with more
        care.
        """
        parts = [spoken_parts(speech, span) for span in half_minutes]
        sounds = [joined_samples(samples, some) for some in parts]
        ends = list(accumulate(len(sound) / SAMPLE_RATE for sound in sounds))
        heard, _ = self._start(
            BatchedInferencePipeline(self._model).transcribe,
            np.concatenate(sounds),
            options,
            # Without its own time stamps, Whisper does not end a half minute early.
            without_timestamps=True,
            clip_timestamps=[{"start": a, "end": b} for a, b in pairwise([0.0, *ends])],
            batch_size=self._model.runs_on.at_once,
        )
        restored = restored_segments(heard, [part for some in parts for part in some])
        for span, segment, some, sound in zip(half_minutes, restored, parts, sounds, strict=True):
            if came_out_badly(segment, span, speech):
                self._transcribe_span(samples, span, speech, options, take)
            elif self._checked_hints([segment], sound, some, options)[:1] != [segment]:
                self._transcribe_span(samples, span, speech, replace(options, prompt=""), take)
            else:
                for part in split_at_sentences(segment, options.language):
                    take_segments([part], span, speech, take, until_skipped=False)

    def _transcribe_span(
        self,
        samples: Samples,
        span: Span,
        speech: Sequence[Span],
        options: TranscribeOptions,
        take: Callable[[SpeechSegment], None],
        *,
        briefly: bool = False,
    ) -> None:
        """Decode up to half a minute, and again what Whisper skips.

        With `briefly`, the first attempt is on a short context where that is as good.
        """
        # Hints are compared with what is heard without them, word by word.
        plain = not (options.word_times or options.prompt)
        if plain and self._transcribe_without_words(samples, span, speech, options, take, briefly=briefly):
            return
        rest: Span | None = span
        attempts = 0
        while rest is not None and (parts := spoken_parts(speech, rest)):
            sound = joined_samples(samples, parts)
            if speech_ms_in(speech, rest) < LEAST_SPEECH_MS:
                options = replace(options, prompt="")
            heard: Iterable[Any] | None = None
            if briefly and attempts == 0:
                heard = self._hear_english(sound, options)
            if heard is None:
                heard, _ = self._start(self._model.transcribe, sound, options)
            # The last attempt is accepted as it is. The word times of a translation do not show what it
            # skips.
            watch = attempts < MAX_SKIPS and not options.translate_to
            restored: Iterable[Any] = restored_segments(heard, parts)
            if options.prompt:
                restored = self._checked_hints(list(restored), sound, parts, options)
            rest = take_segments(restored, rest, speech, take, until_skipped=watch)
            attempts += 1

    def _transcribe_without_words(
        self,
        samples: Samples,
        span: Span,
        speech: Sequence[Span],
        options: TranscribeOptions,
        take: Callable[[SpeechSegment], None],
        *,
        briefly: bool,
    ) -> bool:
        """Decode up to half a minute without the times of its words.

        Return False, and take nothing, if these must show whether it came out well.
        """
        parts = spoken_parts(speech, span)
        sound = joined_samples(samples, parts)
        self._model.leaves_out = False
        heard = self._hear_english(sound, options, word_timestamps=False) if briefly else None
        if heard is None:
            started, _ = self._start(self._model.transcribe, sound, options, word_timestamps=False)
            heard = list(typed_failures(started))
        restored = list(restored_segments(heard, parts))
        if self._model.leaves_out or needs_words(restored, span, speech):
            return False
        take_segments(restored, span, speech, take, until_skipped=False)
        return True
