from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from jobs_app.lifecycle.finishing import finish_window
from jobs_app.lifecycle.starting import note_start
from jobs_app.models import (
    ChunkTranscription,
    JobStatus,
    JobStep,
    SoundTrack,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.work import progress
from speech.types import Transcription
from tests.jobs.conftest import take


def percent(job) -> int:
    return progress.percents([job.pk])[job.pk]


def test_preparing_is_five_per_cent(alice, new_job):
    job = new_job(alice)
    SoundTrack.objects.update(duration_ms=100_000)
    JobStep.objects.update(progress_ms=50_000)
    assert percent(job) == 2


def test_windows_that_are_done_early_do_not_make_the_preparation_done(alice, planned_job):
    job = planned_job(alice, 2)
    SoundTrack.objects.update(duration_ms=10_000)
    TranscriptionJob.objects.update(planned=False)
    JobStep.objects.update(progress_ms=4_000)
    first = job.windows.order_by("number").first()
    finish_window(take(first), Transcription())
    assert percent(job) == int(5 * 0.4 + 93 * 0.1)


def test_a_header_that_says_too_little_does_not_make_a_job_nearly_done(alice, planned_job):
    job = planned_job(alice, 2)
    SoundTrack.objects.update(duration_ms=1_000)
    TranscriptionJob.objects.update(planned=False)
    JobStep.objects.update(progress_ms=100_000)
    for window in job.windows.all():
        finish_window(take(window), Transcription())
    assert percent(job) == int(5 + 93 * 0.02)


def test_nothing_is_known_of_a_job_that_was_not_started(alice, new_job):
    assert percent(new_job(alice)) == 0


def test_it_is_the_share_of_the_audio_that_is_done(alice, planned_job):
    job = planned_job(alice, 4)
    first, second, *_ = job.windows.order_by("number")
    finish_window(take(first), Transcription())
    ChunkTranscription.objects.filter(pk=take(second).pk).update(progress_ms=500)
    # One and a half of four seconds, of the 93 per cent that are the windows'.
    assert percent(job) == 5 + int(93 * 1.5 / 4)


def test_it_is_not_a_hundred_before_the_end(alice, planned_job):
    job = planned_job(alice, 1)
    finish_window(take(job.windows.get()), Transcription())
    assert percent(job) == 98


def test_speakers_are_a_part_of_it_where_they_are_asked_for(alice, planned_job):
    job = planned_job(alice, 2)
    TranscriptionJob.objects.update(stored_options={**job.stored_options, "diarize": True})
    for window in job.windows.all():
        finish_window(take(window), Transcription())
    # Nobody has heard the voices yet. That of a provider's text may take minutes.
    assert percent(job) == 88
    take(JobStep.objects.get(kind=StepKind.SPEAKERS))
    JobStep.objects.filter(kind=StepKind.SPEAKERS).update(progress_ms=1000)
    assert percent(job) == 93


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
    note_start(take(job.windows.first()))
    job.refresh_from_db()
    assert progress.queue_position(job) is None
    assert job.windows.filter(status=WorkStatus.RUNNING).count() == 1


def test_no_time_is_promised_after_a_retry(alice, planned_job):
    job = planned_job(alice)
    job.status, job.progress, job.attempt = JobStatus.PROCESSING, 60, 2
    job.started_at = timezone.now() - timedelta(seconds=2)
    assert progress.eta_seconds(job) is None


def test_jobs_are_told_apart(alice, planned_job, new_job):
    one, other, new = planned_job(alice, 1), planned_job(alice, 2), new_job(alice)
    finish_window(take(other.windows.first()), Transcription())
    assert progress.percents([one.pk, other.pk, new.pk]) == {one.pk: 5, other.pk: 5 + int(93 / 2), new.pk: 0}
    assert progress.percents([]) == {}
