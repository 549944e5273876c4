"""Mix many channels to one, so that a voice is heard whichever channel it is in.

Neither the names nor the levels of channels say where the speech is. The channels of a recorder are
microphones with the names of loudspeakers, one of them may be inverted or broken, and all have noise from
coding, hum and an offset. But only speech comes and goes within a second in the band from 200 to 4000 Hz. So
each channel is judged in that band, by what exceeds its quietest moments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import isfinite

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame

from speech.types import SAMPLE_RATE
from speech.voice.band import Float, band_spectra, quiet_frames

Channels = npt.NDArray[np.float32]
"""Samples of several channels at `SAMPLE_RATE`, from -1 to 1; shape (channels, n)."""

_BLOCK = SAMPLE_RATE
_BLOCKS_BEFORE = 6
_FADE = SAMPLE_RATE // 100

# Each pair has one value at which something begins and another at which it ends, so that the choice does not
# change to and fro.
_SPEAKS, _STILL_SPEAKS = 1.5, 0.75  # what comes and goes, relative to what is there all the time
_OPPOSITE, _STILL_OPPOSITE = (
    2.0,
    1.2,
)  # power of the difference of two channels, relative to that of their sum
_UNLIKE, _STILL_UNLIKE = -0.35, -0.1  # correlation
_DISTURBS, _STILL_DISTURBS = 0.03, 0.015  # noise of one of two channels, relative to speech in the other
_FLAT = 0.15  # geometric mean by arithmetic mean of the spectrum; noise has 0.4 and more
_INAUDIBLE = 1e-4  # relative to the loudest channel
_RUMBLE = 1e-2  # of a subwoofer, relative to the loudest channel
_FLICKER = 0.5  # even steady noise comes and goes by this much
_NOTHING = 1e-12

# The usual weights for mixing loudspeakers down. A microphone with such a name gets 3 dB louder or softer.
_WEIGHTS = {"FC": 2**0.5, "BL": 0.5**0.5, "BR": 0.5**0.5, "BC": 0.5**0.5, "SL": 0.5**0.5, "SR": 0.5**0.5}


def channel_names(frame: AudioFrame) -> tuple[str, ...]:
    """Return the names of a frame's channels from its header: "FL", "LFE", "AMBI0", "NONE"."""
    return tuple(channel.name for channel in frame.layout.channels)


class Mixer:
    """Mixes channels to one. `names` are the names of the channels, whose samples are fed block by block.

    The mix of each second depends on what is in it, in the second after it and in the six before it. What the
    channels have in common is added in phase, and a channel with only noise is left out beside one with
    speech. While nobody speaks, the mix does not change. Two channels are averaged, even if one is silent; of
    more channels, those with any sound are. `peak` is the peak of all channels so far.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._few = len(names) <= 2
        weights = [1.0 if self._few else _WEIGHTS.get(name, 1.0) for name in names]
        self._weights = np.array(weights, dtype=np.float32)
        low = [_RUMBLE if name.startswith("LFE") and not self._few else _INAUDIBLE for name in names]
        self._least = np.array(low, dtype=np.float32)
        self.peak = 0.0
        self._waiting: list[Channels] = []
        self._length = 0
        self._next: Channels | None = None
        self._heard: deque[tuple[Float, Float]] = deque(maxlen=_BLOCKS_BEFORE + 2)
        self._somebody_spoke = False
        # Of two channels, half of their sum and half of their difference count as two more.
        self._speaks = np.zeros(4 if self._few else len(names), dtype=bool)
        self._used = np.ones(len(names), dtype=bool)
        self._turned = np.zeros(len(names), dtype=bool)
        self._mix: Float | None = None

    def feed(self, samples: Channels) -> list[Float]:
        """Take the next samples, and return the mono blocks that are complete now.

        They come up to two seconds late.
        """
        self._waiting.append(samples)
        self._length += samples.shape[1]
        return self._take() if self._length >= _BLOCK else []

    def finish(self) -> list[Float]:
        """Return the blocks that were held back."""
        blocks = self._take() if self._waiting else []
        if self._next is not None:
            self._choose()
            blocks.append(self._mixed(self._next))
            self._next = None
        return blocks

    def _take(self) -> list[Float]:
        block = np.concatenate(self._waiting, axis=1)
        self._waiting, self._length = [], 0
        peak = max(float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
        self.peak = max(self.peak, peak) if isfinite(peak) else self.peak
        if len(block) == 1:
            return [block[0]]
        band = band_spectra(block, every=2)
        self._heard.append((band @ band.transpose(0, 2, 1), np.square(band).sum(axis=0)))
        before, self._next = self._next, block
        if before is None:
            return []
        self._choose()
        return [self._mixed(before)]

    def _choose(self) -> None:
        powers = np.concatenate([powers for powers, _ in self._heard])
        if self._few:
            self._judge_two(powers)
        else:
            self._judge_many(powers)

    def _judge_two(self, powers: Float) -> None:
        """Choose the mix of two channels, from each channel, half of their sum and half of their
        difference.
        """
        left, right, shared = powers[:, 0, 0], powers[:, 1, 1], powers[:, 0, 1]
        each = np.stack([left, right, (left + right) / 4 + shared / 2, (left + right) / 4 - shared / 2])
        speech, noise = _speech_and_noise(each)
        speaks = self._who_speaks(speech, noise)
        if not speaks.any():
            if self._somebody_spoke:
                return
            # There is no speech to go by yet, so the power decides.
            speech, noise, speaks = each.mean(axis=1), 0 * noise, ~speaks
        of_sum, of_difference = np.maximum(speech - _FLICKER * noise, 0)[2:]
        opposite = of_difference > (_STILL_OPPOSITE if self._turned[1] else _OPPOSITE) * of_sum
        both = 3 if opposite else 2
        clear = speech / (noise + _NOTHING) > 2 * speech[both] / (noise[both] + _NOTHING)
        limit = np.where(self._used, _DISTURBS, _STILL_DISTURBS)
        disturbs = noise[:2] > limit * speech[1::-1]
        self._used = ~(disturbs & ~speaks[:2] & self._hisses() & clear[1::-1])
        self._turned = np.array([False, bool(opposite) and bool(self._used.all())])

    def _judge_many(self, powers: Float) -> None:
        mean = powers.mean(axis=0)
        each = np.einsum("tcc->ct", powers)
        own, noise = _speech_and_noise(each)
        speaks = self._who_speaks(own, noise)
        if speaks.any():
            loudness = (each / (each.mean(axis=1, keepdims=True) + _NOTHING)).sum(axis=0)
            together = mean - powers[quiet_frames(loudness)].mean(axis=0)
        elif self._somebody_spoke:
            return
        else:
            own, together, speaks = np.diagonal(mean), mean, np.diagonal(mean) > 0
        self._used = speaks & (own >= self._least * own[speaks].max(initial=0.0))
        if not self._used.any():
            self._used = np.ones(len(own), dtype=bool)
        first = int(np.where(self._used, own, -1.0).argmax())
        alike = together[first] / np.sqrt(np.maximum(own * own[first], _NOTHING**2))
        turned = alike < np.where(self._turned != self._turned[first], _STILL_UNLIKE, _UNLIKE)
        turned[first] = False
        # Nobody hears the sign of all channels together. The sign is chosen so that the fewest channels
        # change theirs.
        self._turned = (
            turned if (turned != self._turned).sum() <= (~turned != self._turned).sum() else ~turned
        )

    def _who_speaks(self, speech: Float, noise: Float) -> npt.NDArray[np.bool_]:
        self._speaks = speech > np.where(self._speaks, _STILL_SPEAKS, _SPEAKS) * noise + _NOTHING
        self._somebody_spoke |= bool(self._speaks.any())
        return self._speaks

    def _hisses(self) -> npt.NDArray[np.bool_]:
        """Return which channels have noise all over the band. A tone or a hum hides no speech."""
        spectrum = np.sum([spectrum for _, spectrum in self._heard], axis=0) + _NOTHING
        flat = np.exp(np.log(spectrum).mean(axis=1)) / spectrum.mean(axis=1)
        return np.asarray(flat > _FLAT)

    def _mixed(self, block: Channels) -> Float:
        weights = np.where(self._used, self._weights, np.float32(0))
        mix = np.where(self._turned, -weights, weights) / weights.sum()
        mono: Float = mix @ block
        if self._mix is not None and not np.array_equal(self._mix, mix):
            before = block[:, :_FADE]
            fade = np.linspace(1, 0, before.shape[1], dtype=np.float32)
            mono[: len(fade)] = fade * (self._mix @ before) + (1 - fade) * mono[: len(fade)]
        self._mix = mix
        return mono


def _speech_and_noise(powers: Float) -> tuple[Float, Float]:
    """Split powers of shape (sounds, frames) into what comes and goes, and what is there all the time."""
    noise = np.array([one[quiet_frames(one)].mean() for one in powers], dtype=np.float32)
    return powers.mean(axis=1) - noise, noise
