"""Staff repair jobs with a few actions, and superusers delete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.files.storage import default_storage
from django.urls import reverse

from jobs_app.lifecycle import planning
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import (
    ChunkTranscription,
    JobStatus,
    TranscriptionJob,
)
from jobs_app.models.options import JobOptions
from jobs_app.models.transcripts import Segment
from sessions_app.models import AudioChunk, RecordingSession
from speech.types import DecodeReport
from tests.site.watching.admin.steps import (
    JOBS,
    act,
    allow,
    by_label,
    claim,
    complete,
    fail,
    preparation,
    prepare,
    registered,
    url,
)


def test_retry_runs_failed_jobs_and_says_what_it_skipped(as_staff, new_job, alice, bob):
    failed, completed, waiting = fail(new_job(alice)), complete(new_job(bob)), new_job(bob)
    blocked = fail(new_job(alice))
    start_job(blocked.session, JobOptions(engine="fake", model="fake"))
    assert act(as_staff, "retry", failed, completed, waiting, blocked) == [
        "1 job tried again.",
        "2 jobs skipped: has not failed.",
        "1 job skipped: belongs to a recording with another job that has not ended.",
    ]
    failed.refresh_from_db()
    blocked.refresh_from_db()
    assert (failed.status, failed.attempt) == (JobStatus.PENDING, 2)
    assert (blocked.status, blocked.attempt) == (JobStatus.FAILED, 1)


def test_cancel_ends_active_jobs_and_says_what_it_skipped(as_staff, new_job, alice):
    waiting, running, completed = new_job(alice), new_job(alice), complete(new_job(alice))
    prepare(running)
    assert act(as_staff, "cancel", waiting, running, completed) == [
        "2 jobs cancelled.",
        "1 job skipped: had ended.",
    ]
    assert set(TranscriptionJob.objects.values_list("status", flat=True)) == {"cancelled", "completed"}
    assert not ChunkTranscription.objects.filter(job=running, status="waiting").exists()


@pytest.mark.parametrize(("priority", "rank"), [("high", 6), ("normal", 4), ("low", 7)])
def test_priority_changes_where_active_jobs_stand_among_all(as_staff, new_job, alice, priority, rank):
    waiting, failed = new_job(alice, priority="low" if priority != "low" else "high"), fail(new_job(alice))
    assert act(as_staff, f"priority_{priority}", waiting, failed) == [
        f"1 job given {priority} priority.",
        "1 job skipped: had ended.",
    ]
    waiting.refresh_from_db()
    assert waiting.priority == priority
    assert waiting.steps.get().rank == rank


def test_a_repair_is_on_record(as_staff, staff, new_job, alice):
    job = new_job(alice)
    act(as_staff, "cancel", job)
    (entry,) = LogEntry.objects.all()
    assert (entry.user, entry.object_id, entry.change_message) == (staff, str(job.pk), "Cancelled")


def test_only_staff_who_may_change_jobs_repair_them(client, watcher, new_job, alice):
    job = new_job(alice)
    client.force_login(watcher)
    allow(watcher, "view_transcriptionjob")
    assert client.get(reverse(JOBS)).status_code == 200
    act(client, "cancel", job)
    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "Cancel" not in client.get(url(TranscriptionJob, "change", job.pk)).content.decode()
    allow(watcher, "change_transcriptionjob")
    assert act(client, "cancel", job) == ["1 job cancelled."]


def test_the_page_of_a_job_offers_the_repairs_that_fit(as_staff, new_job, alice):
    def offered(job) -> list[str]:
        page = as_staff.get(url(TranscriptionJob, "change", job.pk)).content.decode()
        return re.findall(r'name="action" value="(\w+)"', page)

    assert offered(new_job(alice)) == ["cancel", "priority_high", "priority_low"]
    assert offered(fail(new_job(alice))) == ["retry"]
    assert offered(complete(new_job(alice))) == []


# --- Deleting ----------------------------------------------------------------------------------------


def test_only_superusers_delete(client, watcher, rows):
    client.force_login(watcher)
    watcher.user_permissions.set(Permission.objects.all())
    for model in registered():
        if by_label(model) != "auth.group":
            row = admin.site._registry[model].model._default_manager.first()
            assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403, model


@pytest.mark.parametrize("at_once", [False, True])
def test_a_deleted_job_is_cancelled_first_and_its_recording_stays(as_staff, new_job, alice, at_once):
    job, session_id = new_job(alice), RecordingSession.objects.get().pk
    step = claim(job.steps.get())
    if at_once:
        data = {"action": "delete_selected", "index": 0, "_selected_action": [str(job.pk)], "post": "yes"}
        response = as_staff.post(reverse(JOBS), data)
    else:
        confirmation = as_staff.get(url(TranscriptionJob, "delete", job.pk)).content.decode()
        assert "Segments: 0" in confirmation
        response = as_staff.post(url(TranscriptionJob, "delete", job.pk), {"post": "yes"})
    assert response.status_code == 302
    assert not TranscriptionJob.objects.exists()
    assert RecordingSession.objects.get().pk == session_id
    # The worker in the middle of it stores nothing.
    assert not planning.finish_preparation(step, preparation([], DecodeReport()))


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("what", ["recording", "owner"])
def test_a_deleted_recording_takes_its_audio_with_it(
    as_staff, new_job, alice, what, at_once, django_capture_on_commit_callbacks
):
    complete(new_job(alice))
    chunk = AudioChunk.objects.get()
    assert default_storage.exists(chunk.file.name)
    row = alice if what == "owner" else chunk.session
    delete = url(type(row), "delete", row.pk)
    with django_capture_on_commit_callbacks(execute=True):
        if at_once:
            data = {"action": "delete_selected", "index": 0, "_selected_action": [str(row.pk)], "post": "yes"}
            response = as_staff.post(url(type(row)), data)
        else:
            assert "1" in as_staff.get(delete).content.decode()
            response = as_staff.post(delete, {"post": "yes"})
    assert response.status_code == 302
    assert not RecordingSession.objects.exists()
    assert not Segment.objects.exists()
    assert not Path(default_storage.path(chunk.file.name)).exists()
