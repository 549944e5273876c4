"""The one form that sound has in this package."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Mono samples at `speech.types.SAMPLE_RATE`, from -1 to 1; shape (n,)."""
