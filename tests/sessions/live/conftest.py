from __future__ import annotations

import pytest

from jobs_app.models import TranscriptionJob
from sessions_app.models import RecordingSession
from tests.sessions.live.client import Connection, by_token, loop
from tests.sessions.recording import begin


@pytest.fixture
def live_loop(transactional_db, storage):
    with loop() as running:
        yield running


@pytest.fixture
def recording(api) -> RecordingSession:
    """A recording of Alice's that has just begun."""
    return RecordingSession.objects.get(pk=begin(api)["id"])


@pytest.fixture
def job(recording) -> TranscriptionJob:
    return TranscriptionJob.objects.get(session=recording)


@pytest.fixture
def connect(live_loop, alice, recording):
    """Open a socket to the recording, as Alice with a token."""

    def opened(session_id=None, headers: dict[str, str] | None = None, **more) -> Connection:
        path = f"/ws/sessions/{session_id or recording.pk}/live/"
        return Connection(live_loop, path, by_token(alice) if headers is None else headers, **more)

    return opened
