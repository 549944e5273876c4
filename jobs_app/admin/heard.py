"""Format what an engine heard for the admin."""

from __future__ import annotations

from jobs_app.models import ChunkTranscription, TranscriptionJob, TranslationState
from jobs_app.models.transcripts import Transcript
from people_app.staff.badges import NOTHING, per_cent


def language(found: Transcript | ChunkTranscription) -> str:
    """Return the language that was heard, and how sure the engine was."""
    if not found.detected_language or found.language_confidence is None:
        return found.detected_language or NOTHING
    return f"{found.detected_language}, {per_cent(found.language_confidence)} sure"


def translation(job: TranscriptionJob) -> str:
    """Return into which language a job is translated, by what, and how that ended; empty if it is not."""
    options, transcript = job.short_options, job.transcript
    if not options.translate_to:
        return ""
    said = f"into {options.translate_to} by {options.translator or job.engine}"
    if transcript.translation_state:
        said += f": {TranslationState(transcript.translation_state).label.lower()}"
    return f"{said}, {transcript.n_untranslated} segments not" if transcript.n_untranslated else said
