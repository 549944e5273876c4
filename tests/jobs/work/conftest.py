"""Work at the pace of tests."""

from __future__ import annotations

import pytest

from jobs_app.work import guard


@pytest.fixture
def fast(monkeypatch, settings):
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    settings.RETRY_BACKOFF_S = 0
    settings.CHUNK_WAIT_S = 60
