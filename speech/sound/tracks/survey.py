"""Listen to the beginning of several audio tracks, to find out which are worth hearing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from speech.sound.tracks.choice import Choice
from speech.sound.tracks.mixing import Blocks, Floats, close_sound, side_by_side
from speech.types import SAMPLE_RATE
from speech.voice.activity import SpeechDetector
from speech.voice.band import FRAME

_BLOCK = SAMPLE_RATE
# The first window must not wait longer: what is unknown after so much of the file stays unknown.
_LONGEST_SURVEY = 300 * SAMPLE_RATE
_TALK_MS = 250  # less does not count as speech
_ENOUGH_TALK_MS = 3000
_AUDIBLE = 64 / 32768  # -54 dBFS: above the noise of a muted track, below the peaks of the quietest speech
_LOUDEST_GAIN = 100.0  # only for listening, not for what is heard
# Two tracks are alike in a second if one is a shifted copy of the other at about the same level.
_ALIKE, _SHIFT, _LEVELS_APART = 0.7, SAMPLE_RATE // 10, 10.0  # the last is 10 dB
_COPY, _NO_COPY = 0.9, 0.6  # how much of the energy lies in such seconds
_SECONDS_FOR_A_COPY, _SECONDS_FOR_NONE = 120, 10
# The softest speaker is raised to half the amplitude of the loudest. Noise does not allow more.
_SOFTEST, _MOST_GAIN = 0.5, 16.0
_BENEATH = 0.25


class _TrackListener:
    """What has been heard of one track."""

    def __init__(self) -> None:
        self._detector = SpeechDetector()
        self._recent = 0.0
        self._seen = 0
        self._energy = 0.0
        self._frames = 0
        self.peak = 0.0

    def hear(self, block: Floats) -> None:
        peak = float(np.abs(block).max(initial=0.0))
        self.peak = max(self.peak, peak)
        self._recent = max(peak, 0.9 * self._recent)
        gain = min(0.5 / self._recent, _LOUDEST_GAIN) if self._recent > _AUDIBLE else 0.0
        self._detector.feed(block * np.float32(gain))
        spoken = self._detector.probabilities()[self._seen :] > 0.5
        self._seen += len(spoken)
        frames = block[: len(block) // FRAME * FRAME].reshape(-1, FRAME)
        spoken = spoken[-len(frames) :] if len(frames) else spoken[:0]
        self._energy += float(np.sum(np.mean(np.square(frames[: len(spoken)]), axis=1)[spoken]))
        self._frames += int(spoken.sum())

    @property
    def speech_ms(self) -> int:
        return sum(span.duration_ms for span in self._detector.so_far())

    @property
    def level(self) -> float:
        """The amplitude of the speech; 0 if there is none."""
        return float(np.sqrt(self._energy / self._frames)) if self._frames else 0.0


class _PairComparison:
    """How alike two tracks are."""

    def __init__(self) -> None:
        self.seconds = 0
        self._alike = self._all = 0.0

    def compare(self, one: Floats, other: Floats) -> None:
        powers = float(np.mean(np.square(one))), float(np.mean(np.square(other)))
        if max(np.abs(one).max(initial=0.0), np.abs(other).max(initial=0.0)) < _AUDIBLE:
            return
        self.seconds += 1
        self._all += sum(powers)
        if min(powers) * _LEVELS_APART >= max(powers) and _correlation(one, other) >= _ALIKE:
            self._alike += sum(powers)

    @property
    def share(self) -> float:
        return self._alike / self._all if self._all else 0.0

    @property
    def decided(self) -> bool:
        enough = _SECONDS_FOR_A_COPY if self.share >= _NO_COPY else _SECONDS_FOR_NONE
        return self.seconds >= enough


def _correlation(one: Floats, other: Floats) -> float:
    """Return the highest correlation over all shifts of up to a tenth of a second, whatever its sign."""
    length = 2 * len(one)
    product = np.fft.irfft(np.fft.rfft(one, length) * np.conj(np.fft.rfft(other, length)), length)
    near = np.concatenate([product[: _SHIFT + 1], product[-_SHIFT:]])
    scale = float(np.sqrt(np.sum(np.square(one)) * np.sum(np.square(other))))
    return float(np.abs(near).max()) / scale if scale else 0.0


class TrackSurvey:
    """Listens to the beginning of several tracks until it is clear what they are."""

    def __init__(self, tracks: list[int], languages: list[str], *, compare: bool) -> None:
        self._listeners = {track: _TrackListener() for track in tracks}
        self._pairs = {
            pair: _PairComparison()
            for pair in combinations(tracks, 2)
            if compare and len({languages[track] for track in pair} - {""}) < 2
        }
        self.whole = False

    def listen(self, sounds: Sequence[Blocks]) -> None:
        """Listen to the tracks side by side, then close them. `whole` says afterwards whether they were heard
        to the end.
        """
        try:
            for at, blocks in enumerate(side_by_side(sounds)):
                block_of = dict(zip(self._listeners, blocks, strict=True))
                for track, listener in self._listeners.items():
                    listener.hear(block_of[track])
                for (one, other), pair in self._pairs.items():
                    if not pair.decided:
                        pair.compare(block_of[one], block_of[other])
                if (at + 1) * _BLOCK >= _LONGEST_SURVEY or self._settled:
                    return
            self.whole = True
        finally:
            for sound in sounds:
                close_sound(sound)

    @property
    def _settled(self) -> bool:
        return all(pair.decided for pair in self._pairs.values()) and all(
            listener.speech_ms >= _ENOUGH_TALK_MS for listener in self._listeners.values()
        )

    def worth_hearing(self, choice: Choice) -> list[int]:
        """Return the tracks to hear, and note in `choice` why the others are left out."""
        talk = [track for track, listener in self._listeners.items() if listener.speech_ms >= _TALK_MS]
        kept = list(self._listeners)
        if self.whole:
            sounding = [track for track, listener in self._listeners.items() if listener.peak > _AUDIBLE]
            kept = talk or sounding or kept[:1]
            for track in self._listeners.keys() - set(kept):
                choice.leave_out([track], "no_speech" if track in sounding else "silent")
        known = [choice.languages[track] for track in talk or kept if choice.languages[track]]
        if known:
            foreign = [track for track in kept if choice.languages[track] not in ("", known[0])]
            choice.leave_out(foreign, "language")
            kept = [track for track in kept if track not in foreign]
        heard: list[int] = []
        for track in kept:
            pairs = [self._pairs.get((one, track)) for one in heard]
            if any(pair is not None and pair.share >= _COPY for pair in pairs):
                choice.leave_out([track], "copy" if self.whole else "copy_so_far")
            else:
                heard.append(track)
        return sorted(heard)

    def gains(self, heard: list[int]) -> list[float]:
        """Return a gain for each of these tracks, so that none is lost beside the loudest."""
        loudest = max(self._listeners[track].level for track in heard)
        return [self._gain(self._listeners[track], loudest) for track in heard] if len(heard) > 1 else [1.0]

    def _gain(self, listener: _TrackListener, loudest: float) -> float:
        if listener.level:
            return min(max(1.0, _SOFTEST * loudest / listener.level), _MOST_GAIN)
        # As far as is known, this track is music. What is said must be heard above it.
        return min(1.0, _BENEATH * loudest / listener.peak) if loudest and listener.peak > _AUDIBLE else 1.0
