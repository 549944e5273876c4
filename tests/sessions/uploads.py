"""Uploads, as tests send them, and what is answered."""

from __future__ import annotations

from io import BytesIO

from jobs_app.models import TranscriptionJob
from sessions_app.models import AudioChunk, IdempotencyKey, RecordingSession

UPLOADS = "/api/uploads/"
SESSIONS = "/api/sessions/"


def send(client, content: bytes, name: str = "talk.wav", *, key: str = "", **options):
    file = BytesIO(content)
    file.name = name
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(UPLOADS, {"file": file, **options}, format="multipart", headers=headers)


def refused(response, status: int, code: str) -> bool:
    """Whether it is the documented error, with a sentence."""
    assert (response.status_code, response.data["code"]) == (status, code), response.data
    return response.data["detail"].endswith((".", "`"))


def nothing_is_left(left_behind) -> bool:
    rows = any(m.objects.exists() for m in (RecordingSession, AudioChunk, TranscriptionJob, IdempotencyKey))
    return not rows and left_behind() == []
