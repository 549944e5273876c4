"""Hear the voices in a window, with two small networks.

The segmentation hears who of a few people speaks, in chunks of 10 s. CAM++ makes a vector of each piece of
1.5 s; the vectors of one voice are alike.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from speech import telemetry
from speech.samples import Samples
from speech.speakers.hearing.features import FRAME_MS, log_mel
from speech.speakers.hearing.local import TICK, number_speaking, ticks_of
from speech.speakers.hearing.packing import (
    PIECE,
    PIECE_HOP,
    VECTOR,
    Chunk,
    Floats,
    Heard,
    Integers,
    Pieces,
    pack,
    piece_start,
)
from speech.speakers.types import Hearing
from speech.types import SAMPLE_RATE

_NETWORKS = Path(__file__).parent.parent / "networks"
_CHUNK, _CHUNK_HOP = 10 * SAMPLE_RATE, 5 * SAMPLE_RATE
_SHORTEST = SAMPLE_RATE // 4
_LEAST_SPEECH_TICKS = 45
"""Speech in a piece of which a vector is made."""
_AT_ONCE = 4
"""Pieces that go through the network together. More at once takes more memory and is not faster."""


@cache
def load_hearing() -> Hearing:
    """Return what hears voices. Its networks are loaded at the first window, after all forks."""
    return _Networks()


class _Networks:
    """Hears with the networks that lie in `networks/`."""

    def hear(self, samples: Samples) -> bytes:
        if len(samples) < _SHORTEST:
            return b""
        chunks = [_segmented(samples, start) for start in _chunk_starts(len(samples))]
        speaking = number_speaking(chunks, len(samples)) > 0
        if not speaking.any():
            return b""
        numbers = _spoken_pieces(speaking, len(samples))
        starts = piece_start(numbers, len(samples))
        purity, local = _purities(chunks, starts, min(PIECE, len(samples)))
        return pack(Heard(len(samples), chunks, Pieces(numbers, purity, local, _vectors(samples, starts))))


def _chunk_starts(length: int) -> list[int]:
    """Return the first samples of chunks that overlap by half. The last one ends with the window."""
    last = max(0, length - _CHUNK)
    return [*range(0, last, _CHUNK_HOP), last]


def _segmented(samples: Samples, start: int) -> Chunk:
    given = samples[start : start + _CHUNK].astype(np.float32, copy=False)
    (scores,) = _session("segmentation").run(None, {"waveform": given[None, None]})
    return Chunk(start, scores[0].argmax(axis=1).astype(np.uint8))


def _spoken_pieces(speaking: Any, length: int) -> Integers:
    numbers = np.arange(1 + max(0, -(-(length - PIECE) // PIECE_HOP)))
    before = np.concatenate([[0], np.cumsum(speaking)])
    first = piece_start(numbers, length) // TICK
    last = np.minimum(first + PIECE // TICK, len(speaking))
    least = min(_LEAST_SPEECH_TICKS, len(speaking) // 2)
    return np.asarray(numbers[before[last] - before[first] >= least])


def _purities(chunks: list[Chunk], starts: Integers, length: int) -> tuple[Floats, Integers]:
    """Return for each piece the share in which one local speaker speaks alone, and which one."""
    begins = np.array([chunk.start for chunk in chunks])
    deep = np.minimum(starts[:, None] - begins, begins + _CHUNK - starts[:, None] - length).argmax(axis=1)
    classes = [ticks_of(chunk) for chunk in chunks]
    shares = np.zeros((len(starts), 4), dtype=np.float32)
    for piece, (start, chunk) in enumerate(zip(starts // TICK, deep, strict=True)):
        first, ticks = classes[chunk]
        counts = np.bincount(ticks[start - first : start - first + length // TICK], minlength=7)
        shares[piece, 1:] = counts[1:4] / max(1, length // TICK)
    return shares.max(axis=1), np.where(shares.max(axis=1) > 0, shares.argmax(axis=1), 0)


def _vectors(samples: Samples, starts: Integers) -> Floats:
    """Return unit vectors of shape (pieces, VECTOR)."""
    features = log_mel(samples.astype(np.float32, copy=False))
    hop = SAMPLE_RATE * FRAME_MS // 1000
    # The last frame of a piece has to end with it.
    length = min(PIECE // hop - 2, len(features))
    made = [np.zeros((0, VECTOR), dtype=np.float32)]
    for first in range(0, len(starts), _AT_ONCE):
        frames = starts[first : first + _AT_ONCE] // hop
        given = np.stack(
            [features[frame : frame + length] for frame in np.minimum(frames, len(features) - length)]
        )
        given -= given.mean(axis=1, keepdims=True)
        made += _session("voices").run(None, {"features": given})
    vectors = np.concatenate(made)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@cache
def _session(name: str) -> Any:
    # No inference library may be loaded before a worker is forked.
    telemetry.turn_off()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(
        _NETWORKS / f"{name}.onnx", sess_options=options, providers=["CPUExecutionProvider"]
    )
