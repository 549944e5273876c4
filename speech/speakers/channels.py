"""Calls with one person on each channel: who speaks is the channel that is loud."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speech.speakers.types import Speakers

Channels = npt.NDArray[np.float32]
"""Samples of several channels at `SAMPLE_RATE`, from -1 to 1; shape (channels, n)."""


class ChannelListener:
    """Finds out whether each channel, or each track, of a recording has a person of its own, and when each
    speaks. The channels are fed block by block; one minute of sound is kept at most.
    """

    def feed(self, channels: Channels) -> None:
        """Take the next samples, of blocks of any length and always as many channels."""

    def finish(self) -> Speakers | None:
        """Return who speaks when, without vectors; None if the channels are not people, as in music.

        Nothing can be fed afterwards.
        """
        return None
