"""Format what an engine heard for the admin."""

from __future__ import annotations

from jobs_app.models import ChunkTranscription
from jobs_app.models.transcripts import Transcript
from people_app.staff.badges import NOTHING, per_cent


def language(found: Transcript | ChunkTranscription) -> str:
    """Return the language that was heard, and how sure the engine was."""
    if not found.detected_language or found.language_confidence is None:
        return found.detected_language or NOTHING
    return f"{found.detected_language}, {per_cent(found.language_confidence)} sure"
