"""Recorders that vanish."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from jobs_app.models import JobStep, StepKind
from sessions_app.models import AudioChunk, RecordingSession
from sessions_app.sweeping import abandoned
from tests.sessions.recording import PARTS, begin, finish, send_chunk, session_row, while_storing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def after_a_minute(settings):
    settings.ABANDONED_AFTER_S = 60


def begun(client, *, seconds_ago: int, chunk_seconds_ago: int | None = None) -> str:
    session_id = begin(client)["id"]
    ago = timedelta(seconds=seconds_ago)
    RecordingSession.objects.filter(pk=session_id).update(started_at=Now() - ago)
    if chunk_seconds_ago is not None:
        send_chunk(client, session_id, 0, PARTS[0])
        ago = timedelta(seconds=chunk_seconds_ago)
        AudioChunk.objects.filter(session=session_id).update(received_at=Now() - ago)
    return session_id


def test_a_recording_of_which_nothing_comes_is_finished_with_what_has_come(api):
    session_id = begun(api, seconds_ago=100, chunk_seconds_ago=61)
    abandoned.sweep()
    session = session_row(session_id)
    assert session.finished_at is not None
    assert session.state == "processing"
    assert JobStep.objects.get().kind == StepKind.PREPARE


def test_a_recording_that_never_had_a_chunk_is_finished_too(api):
    session_id = begun(api, seconds_ago=61)
    abandoned.sweep()
    assert session_row(session_id).finished_at is not None
    assert JobStep.objects.get().kind == StepKind.PREPARE


@pytest.mark.parametrize(("seconds_ago", "chunk_seconds_ago"), [(59, None), (100, 59), (100_000, 0)])
def test_a_recording_that_goes_on_goes_on(api, seconds_ago, chunk_seconds_ago):
    session_id = begun(api, seconds_ago=seconds_ago, chunk_seconds_ago=chunk_seconds_ago)
    abandoned.sweep()
    assert session_row(session_id).finished_at is None


def test_a_recorder_that_pauses_says_so_by_naming_the_recording(api):
    session_id = begun(api, seconds_ago=100, chunk_seconds_ago=61)
    assert api.patch(f"/api/sessions/{session_id}/", {"title": ""}, format="json").status_code == 200
    abandoned.sweep()
    assert session_row(session_id).finished_at is None
    RecordingSession.objects.filter(pk=session_id).update(seen_at=Now() - timedelta(seconds=61))
    abandoned.sweep()
    assert session_row(session_id).finished_at is not None


def test_the_newest_chunk_counts_and_not_the_last_one(api):
    session_id = begun(api, seconds_ago=100, chunk_seconds_ago=80)
    send_chunk(api, session_id, 7, PARTS[1])
    AudioChunk.objects.filter(number=7).update(received_at=F("received_at") - timedelta(seconds=90))
    AudioChunk.objects.filter(number=0).update(received_at=Now() - timedelta(seconds=10))
    abandoned.sweep()
    assert session_row(session_id).finished_at is None


def test_a_finished_recording_stays_as_it_is(api):
    session_id = begun(api, seconds_ago=100, chunk_seconds_ago=90)
    finish(api, session_id)
    before = session_row(session_id).finished_at
    abandoned.sweep()
    assert session_row(session_id).finished_at == before


def test_after_that_the_recorder_is_told(api):
    session_id = begun(api, seconds_ago=100, chunk_seconds_ago=90)
    abandoned.sweep()
    response = send_chunk(api, session_id, 1, PARTS[1])
    assert (response.status_code, response.data["code"]) == (409, "session_finished")
    assert send_chunk(api, session_id, 0, PARTS[0]).status_code == 200
    assert finish(api, session_id, chunks=2).status_code == 202


def test_job_runners_sweep_for_them(settings):
    assert abandoned.sweep in [import_string(dotted) for dotted in settings.SWEEPERS]


@pytest.mark.django_db(transaction=True)
def test_a_chunk_that_comes_at_the_last_moment_keeps_the_recording_going(api, monkeypatch):
    session_id = begun(api, seconds_ago=100, chunk_seconds_ago=90)
    answer, _ = while_storing(monkeypatch, lambda: send_chunk(api, session_id, 1, PARTS[1]), abandoned.sweep)
    assert answer.status_code == 201
    assert session_row(session_id).finished_at is None
