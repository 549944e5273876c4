from __future__ import annotations

import pytest

from jobs_app.models import JobStatus, TranscriptionJob
from tests.jobs.voices import do_all_work, fake_voices


@pytest.fixture
def voices(monkeypatch):
    return fake_voices(monkeypatch)


@pytest.fixture
def told(new_job, voices):
    """A completed job of eight seconds, in which two speak in turn for three seconds each."""

    def make(owner, **options) -> TranscriptionJob:
        job = new_job(owner, seconds=8, **{"diarize": True, **options})
        do_all_work()
        job.refresh_from_db()
        assert job.status == JobStatus.COMPLETED
        return job

    return make
