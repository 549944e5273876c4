from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from jobs_app import lifecycle, progress
from jobs_app.models import ChunkTranscription, JobStatus, JobStep, TranscriptionJob, WorkStatus
from speech.types import Transcription
from tests.jobs.conftest import take


def test_preparing_is_five_per_cent(alice, new_job):
    job = new_job(alice)
    TranscriptionJob.objects.update(duration_ms=100_000)
    JobStep.objects.update(progress_ms=50_000)
    assert progress.percent(job.pk) == 2


def test_windows_that_are_done_early_do_not_make_the_preparation_done(alice, planned_job):
    job = planned_job(alice, 2)
    TranscriptionJob.objects.update(duration_ms=10_000, planned=False)
    JobStep.objects.update(progress_ms=4_000)
    first = job.chunktranscriptions.order_by("number").first()
    lifecycle.finish_window(take(first), Transcription())
    assert progress.percent(job.pk) == int(5 * 0.4 + 93 * 0.1)


def test_a_header_that_says_too_little_does_not_make_a_job_nearly_done(alice, planned_job):
    job = planned_job(alice, 2)
    TranscriptionJob.objects.update(duration_ms=1_000, planned=False)
    JobStep.objects.update(progress_ms=100_000)
    for window in job.chunktranscriptions.all():
        lifecycle.finish_window(take(window), Transcription())
    assert progress.percent(job.pk) == int(5 + 93 * 0.02)


def test_nothing_is_known_of_a_job_that_was_not_started(alice, new_job):
    assert progress.percent(new_job(alice).pk) == 0


def test_it_is_the_share_of_the_audio_that_is_done(alice, planned_job):
    job = planned_job(alice, 4)
    first, second, *_ = job.chunktranscriptions.order_by("number")
    lifecycle.finish_window(take(first), Transcription())
    ChunkTranscription.objects.filter(pk=take(second).pk).update(progress_ms=500)
    # One and a half of four seconds, of the 93 per cent that are the windows'.
    assert progress.percent(job.pk) == 5 + int(93 * 1.5 / 4)


def test_it_is_not_a_hundred_before_the_end(alice, planned_job):
    job = planned_job(alice, 1)
    lifecycle.finish_window(take(job.chunktranscriptions.get()), Transcription())
    assert progress.percent(job.pk) == 98


def test_the_rest_takes_as_long_as_the_pace_says(alice, planned_job):
    job = planned_job(alice)
    job.status, job.progress, job.started_at = (
        JobStatus.PROCESSING,
        25,
        timezone.now() - timedelta(seconds=10),
    )
    assert progress.eta_seconds(job) == 30


def test_no_time_is_promised_before_it_can_be_known(alice, planned_job):
    job = planned_job(alice)
    assert progress.eta_seconds(job) is None
    job.status, job.progress, job.started_at = JobStatus.PROCESSING, 5, timezone.now()
    assert progress.eta_seconds(job) is None


def test_the_place_in_the_queue_goes_by_priority_and_age(alice, new_job):
    first, second, urgent = new_job(alice), new_job(alice), new_job(alice, priority="high")
    assert [progress.queue_position(job) for job in (urgent, first, second)] == [1, 2, 3]


def test_a_started_job_has_no_place_in_the_queue(alice, planned_job):
    job = planned_job(alice)
    lifecycle.note_start(take(job.chunktranscriptions.first()))
    job.refresh_from_db()
    assert progress.queue_position(job) is None
    assert job.chunktranscriptions.filter(status=WorkStatus.RUNNING).count() == 1


def test_no_time_is_promised_after_a_retry(alice, planned_job):
    job = planned_job(alice)
    job.status, job.progress, job.attempt = JobStatus.PROCESSING, 60, 2
    job.started_at = timezone.now() - timedelta(seconds=2)
    assert progress.eta_seconds(job) is None
