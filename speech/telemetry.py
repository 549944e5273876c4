"""Stop libraries from sending data to their makers.

onnxruntime asks a Microsoft host several times a minute, and huggingface_hub says who asks.
"""

from __future__ import annotations

import os


def turn_off() -> None:
    """Keep onnxruntime and huggingface_hub silent. They read these variables once, when they are imported."""
    for name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")
