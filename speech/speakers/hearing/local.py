"""What the segmentation says of a window: who of a few people speaks, chunk by chunk.

The people of a chunk are numbered anew in the next one, so they are called local speakers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speech.speakers.hearing.packing import Chunk, Floats, Integers
from speech.types import SAMPLE_RATE

TICK = SAMPLE_RATE // 100
"""Samples of a tick: 10 ms, the unit of time in which the speakers of a window are counted."""
FRAME = 270
"""Samples from one frame of the segmentation to the next."""
_FIRST = 495
"""The middle of its first frame, in samples."""
_EDGE_TICKS, _AT_EDGE = 150, 0.1

LOCALS = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.float32
)
"""Which local speakers speak in each class; shape (7, 3)."""
_AT_ONCE = LOCALS.sum(axis=1)


def ticks_of(chunk: Chunk) -> tuple[int, npt.NDArray[np.uint8]]:
    """Return the first tick of a chunk, and its class in each tick from there."""
    first = chunk.start // TICK
    count = (len(chunk.classes) * FRAME + 2 * _FIRST) // TICK
    frames = (np.arange(count) * TICK + TICK // 2 - _FIRST + FRAME // 2) // FRAME
    return first, chunk.classes[np.clip(frames, 0, len(chunk.classes) - 1)]


def weights_of(length: int) -> Floats:
    """Return how much each tick of a chunk counts: less at its edges, where it lacks the other side."""
    from_edge = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.clip(from_edge / _EDGE_TICKS, _AT_EDGE, 1).astype(np.float32)


def number_speaking(chunks: list[Chunk], samples: int) -> Integers:
    """Return how many people speak in each tick of a window: the mean of its chunks, rounded."""
    total = np.zeros(-(-samples // TICK), dtype=np.float32)
    weight = np.full_like(total, 1e-9)
    for chunk in chunks:
        first, classes = ticks_of(chunk)
        classes = classes[: len(total) - first]
        weights = weights_of(len(classes))
        total[first : first + len(classes)] += weights * _AT_ONCE[classes]
        weight[first : first + len(classes)] += weights
    return np.asarray(np.rint(total / weight), dtype=np.int64)
