"""Several audio tracks as one sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from speech.types import SAMPLE_RATE

Floats: TypeAlias = npt.NDArray[np.float32]
Blocks: TypeAlias = "Iterator[Floats]"
"""Mono blocks of one track from its file's zero, of any length, float32 from -1 to 1."""

_BLOCK = SAMPLE_RATE
_KNEE = 0.7  # of full scale; what is louder is compressed, not clipped


def side_by_side(tracks: Sequence[Blocks]) -> Iterator[list[Floats]]:
    """Yield the tracks second by second, each padded with silence to the length of the longest."""
    held: list[Floats] = [np.zeros(0, dtype=np.float32) for _ in tracks]
    open_tracks = set(range(len(tracks)))
    while True:
        for at in sorted(open_tracks):
            parts, length = [held[at]], len(held[at])
            while length < _BLOCK:
                block = next(tracks[at], None)
                if block is None:
                    open_tracks.discard(at)
                    break
                parts.append(block)
                length += len(block)
            held[at] = np.concatenate(parts)
        length = min(_BLOCK, max(len(samples) for samples in held))
        if not length:
            return
        yield [np.pad(samples[:length], (0, max(0, length - len(samples)))) for samples in held]
        held = [samples[length:] for samples in held]


def mix_tracks(
    tracks: Sequence[Blocks],
    gains: Sequence[float],
    on_channels: Callable[[Floats], None] | None = None,
) -> Iterator[Floats]:
    """Yield the tracks as one, each multiplied by its gain.

    If they are too loud together, the peaks are compressed. `on_channels` is given the tracks side by side,
    of shape (tracks, n).
    """
    for blocks in side_by_side(tracks):
        if on_channels is not None:
            on_channels(np.stack(blocks))
        total = np.zeros(len(blocks[0]), dtype=np.float32)
        for block, gain in zip(blocks, gains, strict=True):
            total += block * np.float32(gain)
        loud = np.abs(total) > _KNEE
        over = (np.abs(total[loud]) - _KNEE) / (1 - _KNEE)
        total[loud] = np.sign(total[loud]) * (_KNEE + (1 - _KNEE) * np.tanh(over))
        yield total


def close_sound(sound: Blocks) -> None:
    """Close the sound of a track, if it is a generator, and with it the file that it reads."""
    close = getattr(sound, "close", None)
    if close is not None:
        close()
