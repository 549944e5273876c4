"""How the voices of a window are stored: bytes that begin with a version."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

VERSION = 1
"""Another network, or another form of these bytes, needs another number."""
VECTOR = 192

Vector = npt.NDArray[np.float32]


def pack_vector(vector: Vector) -> bytes:
    """Pack a unit vector of shape (VECTOR,)."""
    return bytes([VERSION]) + vector.astype("<f2").tobytes()


def unpack_vector(packed: bytes) -> Vector | None:
    """Return the unit vector; None if it is empty or was packed by another version."""
    if len(packed) != 1 + 2 * VECTOR or packed[0] != VERSION:
        return None
    vector = np.frombuffer(packed, "<f2", offset=1).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
