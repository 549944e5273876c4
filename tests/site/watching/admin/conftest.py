"""Rows for every table of the admin, and people who look at them."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.utils import timezone

from jobs_app.engines.local_models import note_all
from jobs_app.lifecycle.choices import cancel_job
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import (
    KnownVoice,
    LiveHost,
    ProviderState,
    Runner,
)
from jobs_app.models.options import JobOptions
from people_app.models import ApiToken
from sessions_app.models import AudioChunk, RecordingSession, ResumableUpload
from tests.site.watching.admin.steps import (
    complete,
    fail,
    prepare,
)


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def new_job(db):
    """Start a job: pending, with nothing done."""

    def make(owner, *, title: str = "A talk", source: str = "upload", duration_ms=60_000, **options):
        session = RecordingSession.objects.create(
            owner=owner, title=title, source=source, finished_at=timezone.now()
        )
        AudioChunk.objects.create(
            session=session,
            number=0,
            file=ContentFile(b"sound", name=f"{session.pk}.wav"),
            filename="talk.wav",
            container="wav",
            codec="pcm_s16le",
            duration_ms=duration_ms,
            size_bytes=5,
            sha256="0" * 64,
        )
        options = {"engine": "fake", "model": "fake"} | options
        return start_job(session, JobOptions(**options), filename="talk.wav", duration_ms=duration_ms)

    return make


@pytest.fixture
def rows(alice, bob, new_job):
    """At least one row in every table that the admin shows."""
    complete(new_job(alice, title="Completed"))
    fail(new_job(bob, title="Failed", source="api", priority="high"))
    prepare(new_job(alice, title="In the middle", duration_ms=None, language="de"))
    new_job(bob, title="Waiting", source="recorder", prompt="Names: Ada, Grace")
    cancel_job(new_job(alice, title="Cancelled").pk)
    ApiToken.objects.issue(alice)
    KnownVoice.objects.create(owner=alice, name="Ben Okafor")
    Group.objects.create(name="Helpers")
    Runner.objects.create(name="host:1", workers=2, beat_at=timezone.now(), proven_at=timezone.now())
    Runner.objects.create(name="host:2", workers=1, beat_at=timezone.now(), proven_at=None, restarts=3)
    LiveHost.objects.create(name="host:3", beat_at=timezone.now(), sessions=1, finals_share=7)
    note_all()
    at = timezone.now()
    done = RecordingSession.objects.first()
    ResumableUpload.objects.create(owner=alice, length=5, session=done, metadata="filename dGFsay53YXY=")
    ResumableUpload.objects.create(owner=bob, length=2**33)
    ProviderState.objects.create(name="groq", failures=3, down_since=at, paused_until=at, last_error="Away.")
    for name, success in (("taken", True), ("broken", False)):
        apps.get_model("django_q", "Task").objects.create(
            id=name, name=name, func="jobs_app.tasks.work_once", started=at, stopped=at, success=success,
            result=None if success else "Traceback of a bug",
        )  # fmt: skip
    apps.get_model("django_q", "Schedule").objects.create(func="os.getcwd")
    apps.get_model("django_q", "OrmQ").objects.create(key="transcribe", payload="not signed", lock=at)


@pytest.fixture
def as_staff(client, staff):
    client.force_login(staff)
    return client


@pytest.fixture
def watcher(django_user_model):
    """Staff, but nobody has said of what."""
    return django_user_model.objects.create_user("watcher", password="watchers password", is_staff=True)
