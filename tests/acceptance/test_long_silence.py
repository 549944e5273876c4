"""Ten hours in which nobody speaks, through the real engine's path."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from django.core.files.base import File
from django.utils import timezone

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import JobStatus
from jobs_app.work import unit
from sessions_app.models import AudioChunk, RecordingSession
from speech.types import SAMPLE_RATE

HOURS = 10


@pytest.mark.slow
@pytest.mark.any_database
@pytest.mark.django_db(transaction=True)
def test_ten_hours_of_silence_are_an_empty_transcript(alice, settings, tmp_path):
    settings.MEDIA_ROOT, settings.WORK_DIR, settings.RUN_DIR = (tmp_path / n for n in ("m", "w", "r"))
    for folder in (settings.MEDIA_ROOT, settings.WORK_DIR, settings.RUN_DIR):
        folder.mkdir()
    recording = tmp_path / "night.flac"
    with soundfile.SoundFile(recording, "w", SAMPLE_RATE, 1) as file:
        for _ in range(HOURS * 60):
            file.write(np.zeros(60 * SAMPLE_RATE, dtype=np.int16))
    session = RecordingSession.objects.create(owner=alice, source="upload", finished_at=timezone.now())
    with recording.open("rb") as content:
        AudioChunk.objects.create(
            session=session,
            number=0,
            file=File(content, name="night.flac"),
            size_bytes=recording.stat().st_size,
            sha256="0" * 64,
        )
    job = start_job(session, resolve_options(engine="local", model="tiny.en"))
    while unit.do_next():
        pass
    job.refresh_from_db()
    assert (job.status, job.error) == (JobStatus.COMPLETED, "")
    assert (job.transcript.text, job.transcript.total_segments) == ("", 0)
    assert job.duration_ms == HOURS * 3600 * 1000
    assert job.windows.count() == 1
