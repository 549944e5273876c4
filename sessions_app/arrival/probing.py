"""Read the header of an uploaded file in a process of its own."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from speech.probing.child import probe_safely
from speech.types import MediaInfo


def probe(path: Path) -> MediaInfo:
    """Read the header of a file within the limits of the settings. It raises what `probe_safely` raises."""
    return probe_safely(path, seconds=settings.PROBE_SECONDS, memory_mib=settings.PROBE_MEMORY_MB)
