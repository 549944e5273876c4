"""Somebody who is logged in and looks at the pages of transcripts."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from jobs_app.models import TranscriptionJob
from tests.jobs.api.conftest import add_segments, new_job  # noqa: F401


@pytest.fixture(autouse=True)
def storage(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def page(client, alice) -> Client:
    client.force_login(alice)
    return client


def show(client: Client, job: TranscriptionJob) -> HttpResponse:
    return client.get(reverse("job", args=[job.pk]))


@pytest.fixture
def wakes(monkeypatch):
    """How often the queue was asked to wake workers, instead of a queue."""
    asked: list[int] = []
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: asked.append(n))
    return asked
