"""The engine that transcribes on this machine with faster-whisper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline

from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.hints import LEAST_SPEECH_MS, choose_hearing
from speech.engines.local.half_minutes import MOST_HALF_MINUTE_S, least_half_minute_s
from speech.engines.local.languages import SHORT_SAMPLES, Found, find_languages, likeliest
from speech.engines.local.model import typed_failure, typed_failures
from speech.engines.local.segments import (
    came_out_badly,
    doubtful_words,
    plain_segment,
    split_at_sentences,
    take_segments,
)
from speech.engines.local.short_context import heard_well, most_tokens, short_context, without_echo
from speech.engines.local.speech_parts import joined_samples, restored_segments, speech_ms_in, spoken_parts
from speech.engines.local.turns import OnDevice, in_turn
from speech.samples import Samples
from speech.types import SAMPLE_RATE, Span, SpeechSegment, Transcription, samples_to_ms
from speech.voice.activity import SpeechDetector
from speech.windows.cuts import cut_windows

BEAM_SIZE = 5
MAX_SKIPS = 3


class LocalEngine(OnDevice):
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

    def _hear_english(self, sound: Samples, options: TranscribeOptions) -> Iterable[Any] | None:
        """Decode a short sound on a short context, if it is English and comes out well."""
        able = self.capabilities.short_windows and len(sound) < SHORT_SAMPLES
        if not able or options.temperature or options.translate_to or options.language != "en":
            return None
        heard, _ = self._hear_briefly(sound, options)
        return heard

    def _hear_briefly(
        self, sound: Samples, options: TranscribeOptions, *, longer: bool = False, **more: Any
    ) -> tuple[list[Any] | None, Any]:
        """Decode up to half a minute once, on a short context if the model can.

        There are no segments if they cannot be believed.
        """
        limit = most_tokens(len(sound))
        once = replace(options, temperature=0.0)
        able = self.capabilities.short_windows
        with short_context(self._model, longer=longer) if able else nullcontext():
            parts, info = self._start(self._model.transcribe, sound, once, max_new_tokens=limit, **more)
            heard = list(typed_failures(parts))
        heard = without_echo(heard, len(sound), self._model.first_time_token)
        return (heard if heard_well(heard, limit) else None), info

    def _checked_hints(
        self, heard: list[Any], sound: Samples, parts: Sequence[Span], options: TranscribeOptions
    ) -> list[Any]:
        """Return what was heard with the hints of `options`, or without them if nobody spoke the doubtful
        words.

        `sound` is made of the `parts` of a window, and the times of `heard` lie in those parts.
        """
        doubtful = (
            [run for part in heard for run in doubtful_words(part, options.prompt)] if options.prompt else []
        )
        if not doubtful:
            return heard
        again, _ = self._start(self._model.transcribe, sound, replace(options, prompt=""))
        plain = list(restored_segments(again, parts))
        first = [plain_segment(part) for part in heard]
        chosen = choose_hearing(first, doubtful, [plain_segment(part) for part in plain])
        return heard if chosen is first else plain

    def _start(
        self,
        transcribe: Callable[..., tuple[Any, Any]],
        samples: Samples,
        options: TranscribeOptions,
        **more: Any,
    ) -> tuple[Any, Any]:
        self._model.prior = options.prior
        with typed_failure():
            return transcribe(
                samples,
                language=options.language or None,
                task="translate" if options.translate_to else "transcribe",
                condition_on_previous_text=False,
                # The prompt is not sent as initial_prompt, which without conditioning reaches only the first
                # half minute.
                hotwords=options.prompt or None,
                **({} if options.temperature is None else {"temperature": options.temperature}),
                **{"beam_size": BEAM_SIZE, "word_timestamps": True, **more},
            )
