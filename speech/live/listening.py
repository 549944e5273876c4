"""One recording that is transcribed while it is spoken: what has ended, what is still being said.

It knows neither clock nor process: `feed` takes the audio, and whoever serves several recordings asks which
of them has something to hear, and calls `hear_final` and `hear_interim` when there is time for it.

A final is heard once, after its utterance has ended, and never changes. An interim hears what has been said
since the last soft cut and is replaced by the next one: at a short pause, the text before the pause is kept,
so that an interim costs no more at the end of a long sentence than at its beginning. The last word is held
back while somebody speaks, because it is often half a word.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from speech.engines.base import TranscribeOptions
from speech.live.draft import Draft
from speech.live.utterances import Cutter, SoundUtterances, Utterance, Utterances
from speech.samples import Samples
from speech.types import SAMPLE_RATE, SpeechSegment, Transcription, ms_to_samples

LANGUAGE_SPEECH_MS = 3_000
"""From so much speech on, the language of an utterance is right: 12 of 12 recordings in 10 languages."""
SOFT_CUT_AFTER_MS = 4_000
SOFT_CUT_PAUSE_MS = 200
LEAST_SPEECH_MS = 600
"""With less there is hardly a word to show."""


class LiveEngine(Protocol):
    """What an engine has to be able to do besides `transcribe` to be heard live."""

    def transcribe_utterance(self, samples: Samples, options: TranscribeOptions) -> Transcription:
        """The final text of one utterance, with word times from its first sample."""
        ...

    def draft(
        self, samples: Samples, options: TranscribeOptions, *, carefully: bool = False
    ) -> tuple[str, str]:
        """Text and language of an utterance that goes on, as fast as can be.

        What is heard `carefully` stays until the final.
        """
        ...


@dataclass(frozen=True, slots=True)
class Interim:
    """What is being said, so far. `firm`: how many characters of `text` two hearings agreed on."""

    start_ms: int
    end_ms: int
    text: str
    firm: int


@dataclass(frozen=True, slots=True)
class Final:
    """An utterance as it stays. Without text: somebody made a sound that is no speech.

    Everything before `cut_ms` is decided with it.
    """

    start_ms: int
    cut_ms: int
    segments: tuple[SpeechSegment, ...]
    language: str
    language_confidence: float | None


class Listening:
    """The live transcription of one recording from `start_ms` on.

    Without `voice_activity`, all sound counts as speech.
    """

    def __init__(
        self, start_ms: int = 0, options: TranscribeOptions | None = None, *, voice_activity: bool = True
    ) -> None:
        self.options = options or TranscribeOptions()
        self._utterances: Cutter = Utterances(start_ms) if voice_activity else SoundUtterances(start_ms)
        self._ended: deque[Utterance] = deque()
        self._blocks: list[Samples] = []
        self._kept_from_ms = start_ms
        self._final_ms = start_ms
        self._draft = Draft()
        self._drafted_ms = start_ms

    @property
    def received_ms(self) -> int:
        return self._utterances.received_ms

    @property
    def final_ms(self) -> int:
        """The position before which everything is decided."""
        return self._final_ms

    @property
    def heard_ms(self) -> int:
        """The position up to which all that was said is heard, as interim or final."""
        heard_ms = max(self._final_ms, self._draft.heard_ms)
        if self._ended:
            return heard_ms
        utterance = self._utterances.open()
        if utterance is None or utterance.speech_end_ms <= heard_ms:
            return self.received_ms
        return max(heard_ms, utterance.start_ms)

    @property
    def oldest(self) -> Utterance | None:
        """The oldest utterance that has ended and was not heard yet."""
        return self._ended[0] if self._ended else None

    @property
    def ended_ms(self) -> int | None:
        """Where the oldest utterance ended that was not heard yet."""
        return self._ended[0].end_ms if self._ended else None

    @property
    def n_ended(self) -> int:
        """How many utterances have ended and were not heard yet."""
        return len(self._ended)

    @property
    def undrafted_ms(self) -> int:
        """How much audio has come since the last interim."""
        return self.received_ms - self._drafted_ms

    def feed(self, samples: Samples) -> None:
        """Take the next samples, float32 at 16 kHz, in any number."""
        self._blocks.append(samples)
        self._add(self._utterances.feed(samples))

    def finish(self) -> None:
        """The recording has ended: what was being said is an utterance now."""
        self._add(self._utterances.finish())

    def hear_final(self, engine: LiveEngine) -> Final | None:
        """Hear the oldest utterance that has ended; None without one."""
        if not self._ended:
            return None
        utterance = self._ended[0]
        heard = engine.transcribe_utterance(self._sound(utterance.start_ms, utterance.end_ms), self.options)
        if not self.options.language and _decides_language(utterance, heard):
            self.options = replace(self.options, language=heard.language)
        self.skip_final()
        return Final(
            utterance.start_ms,
            utterance.end_ms,
            tuple(segment.shifted(utterance.start_ms) for segment in heard.segments),
            heard.language,
            heard.language_confidence,
        )

    def skip_final(self) -> Utterance:
        """Give up the oldest utterance that has ended: somebody else hears it."""
        utterance = self._ended.popleft()
        self._final_ms = utterance.end_ms
        self._draft = Draft()
        # What was said behind it was shown by its interims, and is to be shown again at once.
        self._drafted_ms = min(self._drafted_ms, utterance.end_ms)
        self._forget_before(utterance.end_ms)
        return utterance

    def wants_interim(self, least_new_ms: int) -> bool:
        """Whether somebody speaks and `least_new_ms` were said since the last interim."""
        utterance = None if self._ended else self._utterances.open()
        if utterance is None:
            return False
        if utterance.speech_end_ms <= self._draft.heard_ms:
            return self._draft.holds_back and not self._speaks_now(utterance)
        return (
            utterance.speech_end_ms - utterance.speech_start_ms >= LEAST_SPEECH_MS
            and self.undrafted_ms >= least_new_ms
        )

    def hear_interim(self, engine: LiveEngine) -> Interim | None:
        """Hear what is being said; None where nobody speaks, or nothing is to be shown yet."""
        utterance = self._utterances.open()
        if utterance is None:
            return None
        draft = self._draft
        if utterance.speech_end_ms <= draft.heard_ms:
            shown = draft.release()
        else:
            self._drafted_ms = self.received_ms
            self._cut_softly(engine, utterance)
            from_ms = max(draft.cut_ms, utterance.start_ms)
            text = ""
            if utterance.speech_end_ms - max(from_ms, utterance.speech_start_ms) >= LEAST_SPEECH_MS:
                text, _ = engine.draft(self._sound(from_ms, self.received_ms), self.options)
            shown = draft.hear(text, self.received_ms, speaks=self._speaks_now(utterance))
        if not shown:
            return None
        return Interim(utterance.start_ms, self.received_ms, shown, draft.firm)

    def _cut_softly(self, engine: LiveEngine, utterance: Utterance) -> None:
        """Keep the text before the last short pause, so that the next interims hear only what follows."""
        draft = self._draft
        from_ms = max(draft.cut_ms, utterance.start_ms)
        pauses = self._utterances.pauses(from_ms + SOFT_CUT_AFTER_MS, SOFT_CUT_PAUSE_MS)
        # Where it came out badly once, it would again.
        if pauses and pauses[-1].start_ms > draft.tried_ms:
            draft.tried_ms = pauses[-1].start_ms
            cut_ms = (pauses[-1].start_ms + pauses[-1].end_ms) // 2
            text, _ = engine.draft(self._sound(from_ms, cut_ms), self.options, carefully=True)
            draft.keep(text, cut_ms)

    def _speaks_now(self, utterance: Utterance) -> bool:
        return self.received_ms - utterance.speech_end_ms < SOFT_CUT_PAUSE_MS

    def _add(self, ended: Sequence[Utterance]) -> None:
        self._ended.extend(ended)
        if not self._ended:
            # In a pause nothing is left to decide, however long it lasts.
            self._final_ms = max(self._final_ms, self._utterances.silent_until_ms())
            self._forget_before(self._final_ms)

    def _sound(self, start_ms: int, end_ms: int) -> Samples:
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        first, last = (ms_to_samples(ms - self._kept_from_ms) for ms in (start_ms, end_ms))
        return self._blocks[0][first:last] if self._blocks else np.zeros(0, dtype=np.float32)

    def _forget_before(self, position_ms: int) -> None:
        """Give up the sound that nobody will hear again, a second at a time."""
        seconds = (position_ms - self._kept_from_ms) // 1000
        if seconds >= 1 and self._blocks:
            self._sound(self._kept_from_ms, self._kept_from_ms)
            self._blocks = [self._blocks[0][seconds * SAMPLE_RATE :].copy()]
            self._kept_from_ms += seconds * 1000


def _decides_language(utterance: Utterance, heard: Transcription) -> bool:
    spoken_ms = utterance.speech_end_ms - utterance.speech_start_ms
    return bool(heard.segments) and spoken_ms >= LANGUAGE_SPEECH_MS
