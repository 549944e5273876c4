"""What is heard in a window, and how it is stored: bytes that begin with a version.

    version 1, chunks 2, pieces 2, samples of the window 4
    for each chunk: its first sample 4, runs 2, and for each run of frames its class and length in 2
    for each piece: its number 2, purity 1, local speaker 1, a vector of VECTOR signed bytes

Numbers are little-endian. A second of speech takes 250 to 264 bytes, nearly all of it vectors.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speech.errors import UnreadableVoices
from speech.types import SAMPLE_RATE

VERSION = 1
"""Other networks, or another form of these bytes, need another number."""
VECTOR = 192
PIECE = SAMPLE_RATE * 3 // 2
PIECE_HOP = SAMPLE_RATE * 3 // 4

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Classes = npt.NDArray[np.uint8]
"""One of 7 classes for each frame: nobody, local speaker 1, 2 or 3 alone, 1 and 2, 1 and 3, 2 and 3."""

_HEADER = struct.Struct("<BHHI")
_CHUNK = struct.Struct("<IH")
_LENGTH_BITS = 10


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch that the segmentation heard at once. Its local speakers are those of no other chunk."""

    start: int
    """Its first sample in the window."""
    classes: Classes


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of a window in which somebody speaks: `PIECE` samples every `PIECE_HOP`.

    A piece begins at `start(number)`. `purity` is the share of it, from 0 to 1, in which one local speaker of
    the chunk in which it lies deepest speaks alone, and `local` is that one: 1, 2, 3; 0 for none.
    """

    number: Integers
    purity: Floats
    local: Integers
    vectors: Floats
    """Unit vectors; shape (pieces, VECTOR)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in a window of `samples` samples."""

    samples: int
    chunks: list[Chunk]
    pieces: Pieces


def piece_start(number: Integers | int, samples: int) -> Integers:
    """Return the first sample of a piece. The last piece ends with the window."""
    return np.asarray(np.minimum(np.asarray(number) * PIECE_HOP, max(0, samples - PIECE)))


def pack(heard: Heard) -> bytes:
    parts = [_HEADER.pack(VERSION, len(heard.chunks), len(heard.pieces.number), heard.samples)]
    for chunk in heard.chunks:
        firsts = np.flatnonzero(np.diff(chunk.classes, prepend=255))
        lengths = np.diff(firsts, append=len(chunk.classes))
        runs = (chunk.classes[firsts].astype(np.int64) << _LENGTH_BITS) | lengths
        parts += [_CHUNK.pack(chunk.start, len(runs)), runs.astype("<u2").tobytes()]
    pieces = heard.pieces
    scale = 127 / np.abs(pieces.vectors).max(axis=1, keepdims=True, initial=1e-9)
    parts += [
        pieces.number.astype("<u2").tobytes(),
        np.rint(pieces.purity * 255).astype(np.uint8).tobytes(),
        pieces.local.astype(np.uint8).tobytes(),
        np.rint(pieces.vectors * scale).astype(np.int8).tobytes(),
    ]
    return b"".join(parts)


def unpack(packed: bytes) -> Heard:
    """Return what was packed.

    Raises:
        UnreadableVoices: it was packed by another version, or is damaged.
    """
    if packed[:1] != bytes([VERSION]):
        raise UnreadableVoices
    try:
        return _unpack(packed)
    except (struct.error, ValueError) as e:
        raise UnreadableVoices from e


def _unpack(packed: bytes) -> Heard:
    _, n_chunks, n_pieces, samples = _HEADER.unpack_from(packed)
    at = _HEADER.size
    chunks = []
    for _ in range(n_chunks):
        start, n_runs = _CHUNK.unpack_from(packed, at)
        at += _CHUNK.size
        runs = np.frombuffer(packed, "<u2", n_runs, at)
        at += runs.nbytes
        classes = np.repeat((runs >> _LENGTH_BITS).astype(np.uint8), runs & ((1 << _LENGTH_BITS) - 1))
        chunks.append(Chunk(start, classes))
    if len(packed) != at + n_pieces * (4 + VECTOR):
        raise ValueError("its length is wrong")
    number = np.frombuffer(packed, "<u2", n_pieces, at).astype(np.int64)
    purity, local = np.frombuffer(packed, np.uint8, 2 * n_pieces, at + 2 * n_pieces).reshape(2, n_pieces)
    vectors = np.frombuffer(packed, np.int8, n_pieces * VECTOR, at + 4 * n_pieces)
    return Heard(
        samples,
        chunks,
        Pieces(
            number, purity.astype(np.float32) / np.float32(255), local.astype(np.int64), _vectors(vectors)
        ),
    )


def _vectors(packed: npt.NDArray[np.int8]) -> Floats:
    vectors = packed.reshape(-1, VECTOR).astype(np.float32)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-9)))


def pack_vector(vector: Floats) -> bytes:
    """Pack a unit vector of shape (VECTOR,)."""
    return bytes([VERSION]) + vector.astype("<f2").tobytes()


def unpack_vector(packed: bytes) -> Floats | None:
    """Return the unit vector; None if it is empty or was packed by another version."""
    if len(packed) != 1 + 2 * VECTOR or packed[0] != VERSION:
        return None
    vector = np.frombuffer(packed, "<f2", offset=1).astype(np.float32)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), dtype=np.float32)
