"""How long a stretch of a window is decoded at once. Whisper hears half a minute at a time."""

from __future__ import annotations

import math

from speech.types import SAMPLE_RATE

MOST_HALF_MINUTE_S = 29
_LEAST_S = 22
_LEAST_ROOM_S = 1


def least_half_minute_s(n_samples: int) -> int:
    """Return the shortest stretch at whose end a window of so many samples may be cut.

    Whisper takes as long to encode less than half a minute, so a window of two is not cut into three: the
    first stretch is so long that the rest is half a minute at most.
    """
    rest_s = math.ceil(n_samples / SAMPLE_RATE) - MOST_HALF_MINUTE_S
    most_s = MOST_HALF_MINUTE_S - _LEAST_ROOM_S
    return rest_s if _LEAST_S < rest_s <= most_s else _LEAST_S
