"""How the model is asked: on a short context or half a minute, with hints or without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from speech.engines.base import Capabilities, TranscribeOptions
from speech.engines.hints import choose_hearing
from speech.engines.local.languages import SHORT_SAMPLES
from speech.engines.local.model import typed_failure, typed_failures
from speech.engines.local.segments import doubtful_words, plain_segment
from speech.engines.local.short_context import heard_well, most_tokens, short_context, without_echo
from speech.engines.local.speech_parts import restored_segments
from speech.engines.local.turns import OnDevice
from speech.samples import Samples
from speech.types import Span

BEAM_SIZE = 5


class Decoder(OnDevice):
    """Asks the model for the text of up to some half minutes. The segments are faster-whisper's."""

    capabilities: Capabilities

    def _hear_english(self, sound: Samples, options: TranscribeOptions, **more: Any) -> Iterable[Any] | None:
        """Decode a short sound on a short context, if it is English and comes out well."""
        able = self.capabilities.short_windows and len(sound) < SHORT_SAMPLES
        if not able or options.temperature or options.translate_to or options.language != "en":
            return None
        heard, _ = self._hear_briefly(sound, options, **more)
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
