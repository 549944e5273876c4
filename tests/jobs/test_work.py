"""Units of work on real files, done in this process with the fake engine."""

from __future__ import annotations

import errno
import io

import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError

from jobs_app import guard, lifecycle, timeline, work
from jobs_app.models import JobStatus, StepKind, TranscriptionJob
from tests.jobs.conftest import statuses

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast(monkeypatch, settings):
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    settings.RETRY_BACKOFF_S = 0


def run_to_end(job: TranscriptionJob, *, most: int = 200) -> TranscriptionJob:
    for _ in range(most):
        if not work.run_one():
            break
    job.refresh_from_db()
    return job


def numbers(first: int, count: int) -> str:
    return " ".join(f"w{n:04d}" for n in range(first, first + count))


def test_a_file_becomes_a_transcript(alice, new_job):
    job = run_to_end(new_job(alice, seconds=150))
    assert (job.status, job.error) == (JobStatus.COMPLETED, "")
    assert job.transcript == numbers(0, 150)
    assert job.duration_ms == 150_000
    assert job.chunktranscriptions.count() > 1
    assert job.session.chunks.get().duration_ms == 150_000
    times = list(job.segments.values_list("start_ms", "end_ms"))
    assert times == sorted(times)
    assert times[-1][1] <= 150_000


def test_the_working_copy_is_deleted_at_the_end(alice, new_job):
    job = new_job(alice, seconds=5)
    work.run_one()
    copy = timeline.working_copy_path(job.session.chunks.get().pk)
    assert copy.exists()
    run_to_end(job)
    assert not copy.exists()


def test_a_lost_working_copy_is_made_again(alice, new_job):
    job = new_job(alice, seconds=70)
    work.run_one()
    timeline.forget([job.session.chunks.get().pk])
    assert run_to_end(job).transcript == numbers(0, 70)


def test_chunks_are_one_timeline(alice, new_job, new_session):
    job = new_job(alice, seconds=20)
    second = new_session(alice, seconds=15, first=20).chunks.get()
    job.session.chunks.create(
        number=1, file=ContentFile(second.file.read(), name="b.wav"), size_bytes=1, sha256="1" * 64
    )
    assert run_to_end(job).transcript == numbers(0, 35)


def test_a_file_that_cannot_be_read_fails_with_the_remedy(alice, new_job):
    job = run_to_end(new_job(alice))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "unsupported_media")
    assert job.jobsteps.get().attempt == 1


def test_a_recording_over_the_limit_fails(alice, new_job, settings):
    settings.MAX_AUDIO_S = 10
    job = run_to_end(new_job(alice, seconds=12))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "audio_too_long")


def test_a_bug_counts_as_an_attempt_and_does_not_go_round_for_ever(
    alice, new_job, settings, monkeypatch, caplog
):
    settings.MAX_ATTEMPTS = 3
    tried = []

    def broken(*args, **kwargs):
        tried.append(1)
        raise KeyError("a bug")

    monkeypatch.setattr(work, "prepare", broken)
    job = run_to_end(new_job(alice, seconds=2))
    assert (job.status, len(tried)) == (JobStatus.FAILED, 3)
    assert "KeyError" in caplog.text
    assert "a bug" not in job.error


def test_a_result_is_kept_while_the_database_is_away(alice, new_job, monkeypatch):
    job = new_job(alice, seconds=5)
    finish, failures = lifecycle.finish_window, [OperationalError("away"), OperationalError("still away")]

    def at_last(*args):
        if failures:
            raise failures.pop()
        return finish(*args)

    monkeypatch.setattr(lifecycle, "finish_window", at_last)
    job = run_to_end(job)
    assert (job.status, job.transcript) == (JobStatus.COMPLETED, numbers(0, 5))
    assert job.chunktranscriptions.get().attempt == 1


def test_a_window_cancelled_in_the_middle_stores_nothing(alice, new_job, monkeypatch):
    job = new_job(alice, seconds=60)
    work.run_one()
    step = job.jobsteps.get(kind=StepKind.PREPARE)
    assert step.status == "done"

    def cancel_first(window, watching):
        lifecycle.cancel_job(job.pk)
        while True:
            watching.advance(0)

    monkeypatch.setattr(work, "_transcribe", cancel_first)
    assert work.run_one()
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert set(statuses(job)) == {"cancelled"}
    assert not job.segments.exists()


def test_a_failed_window_is_tried_again_and_the_others_are_kept(alice, new_job, monkeypatch):
    job = new_job(alice, seconds=130)
    work.run_one()
    transcribe, failures = work._transcribe, [ValueError("once")]

    def stumble(window, watching):
        if window.number == 0 and failures:
            raise failures.pop()
        return transcribe(window, watching)

    monkeypatch.setattr(work, "_transcribe", stumble)
    job = run_to_end(job)
    assert job.transcript == numbers(0, 130)
    assert sorted(job.chunktranscriptions.values_list("attempt", flat=True), reverse=True)[0] == 2


def test_what_decoding_skipped_is_on_the_job(alice, new_job):
    job = run_to_end(new_job(alice, seconds=3))
    assert job.decode_report["container"].startswith("wav")
    assert job.decode_report["bad_packets"] == 0


def test_a_storage_without_paths_is_read_through_a_copy(alice, new_job, monkeypatch):
    from django.db.models.fields.files import FieldFile

    def no_path(self):
        raise NotImplementedError

    job = new_job(alice, seconds=3)
    content = io.BytesIO(job.session.chunks.get().file.read()).getvalue()
    monkeypatch.setattr(FieldFile, "path", property(no_path))
    monkeypatch.setattr(FieldFile, "open", lambda self, mode="rb": io.BytesIO(content))
    assert run_to_end(job).transcript == numbers(0, 3)


@pytest.mark.parametrize("damage", [b"", b"not flac at all"])
def test_a_damaged_working_copy_is_made_again(alice, new_job, damage):
    job = new_job(alice, seconds=70)
    work.run_one()
    part = next(timeline.working_copy_path(job.session.chunks.get().pk).glob("*.flac"))
    part.write_bytes(damage)
    job = run_to_end(job)
    assert (job.status, job.transcript) == (JobStatus.COMPLETED, numbers(0, 70))


def test_lost_audio_is_said_so_at_once(alice, new_job):
    job = new_job(alice, seconds=2)
    job.session.chunks.get().file.storage.delete(job.session.chunks.get().file.name)
    job = run_to_end(job)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "audio_missing")
    assert job.jobsteps.get().attempt == 1


def test_a_full_disk_is_said_so(alice, new_job, monkeypatch, settings):
    settings.MAX_ATTEMPTS = 2

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(timeline, "write_working_copy", full)
    job = run_to_end(new_job(alice, seconds=2))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "storage_full")
    assert "disk is full" in job.error


def test_a_recording_deleted_while_it_is_prepared_leaves_no_trace(alice, new_job, monkeypatch, caplog):
    job = new_job(alice, seconds=2)
    prepare_chunk = timeline.prepare_chunk

    def delete_meanwhile(*args, **options):
        job.session.delete()
        return prepare_chunk(*args, **options)

    monkeypatch.setattr(timeline, "prepare_chunk", delete_meanwhile)
    assert work.run_one()
    assert not TranscriptionJob.objects.exists()
    assert "Traceback" not in caplog.text
