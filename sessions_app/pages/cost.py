"""Say on a page what a job cost."""

from __future__ import annotations

from jobs_app.models import TranscriptionJob
from sessions_app.templatetags.display import length_of


def usage_note(job: TranscriptionJob) -> str:
    """Return how many requests the job sent to other servers, what they were for, and the cost.

    The text is empty if the job sent no request.
    """
    if not job.provider_requests:
        return ""
    requests = f"{job.provider_requests} request{'s' if job.provider_requests > 1 else ''}"
    audio = f"{length_of(job.provider_audio_ms)} of audio" if job.provider_audio_ms else ""
    tokens = f"{job.translator_tokens:,} tokens" if job.translator_tokens else ""
    said = ", ".join(filter(None, [requests, audio, tokens]))
    return f"{said}, cost {job.provider_cost.normalize():f}" if job.provider_cost else said
