"""Windows of a long recording are transcribed while the rest of it is still decoded and searched."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError
from django.utils import timezone

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.choices import cancel_job, retry_job
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import ChunkTranscription, JobStatus, JobStep, SoundTrack, StepKind, WorkStatus
from jobs_app.storage import working_copies
from jobs_app.work import guard, progress, timeline, unit
from jobs_app.workers import lost_work
from speech.sound import working_copy
from speech.types import SAMPLE_RATE
from tests.jobs.work.test_work import numbers, run_to_end

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 400


class Killed(BaseException):
    """As when the process dies: nobody gets to handle it."""


@pytest.fixture(autouse=True)
def fast(monkeypatch, settings):
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    monkeypatch.setattr(working_copy, "PART", 30 * SAMPLE_RATE)
    settings.RETRY_BACKOFF_S = 0


@pytest.fixture
def when_published(monkeypatch):
    """Do something each time after windows were published."""

    def install(then):
        publish = unit.publish_windows

        def published(step, windows, starts):
            stored = publish(step, windows, starts)
            then(step, windows)
            return stored

        monkeypatch.setattr(unit, "publish_windows", published)

    return install


def assert_covered(job, duration_ms: int) -> None:
    spans = list(job.windows.order_by("start_ms").values_list("start_ms", "end_ms"))
    assert spans[0][0] == 0
    assert spans[-1][1] == duration_ms
    assert all(a[1] == b[0] for a, b in pairwise(spans))


def test_a_window_is_done_before_the_recording_is_prepared(alice, new_job, when_published):
    ends = []

    def transcribe(step, windows):
        ends.append(windows[-1].end_ms)
        assert unit.do_next()
        done = ChunkTranscription.objects.filter(status=WorkStatus.DONE).order_by("start_ms")
        assert done.first().corrected_text.startswith(numbers(0, 40))
        assert JobStep.objects.get(kind=StepKind.PREPARE).status == WorkStatus.RUNNING

    when_published(transcribe)
    job = new_job(alice, seconds=SECONDS)
    assert unit.do_next()
    assert len(ends) >= 3
    assert ends == sorted(ends)
    assert ends[0] < 200_000
    job = run_to_end(job)
    assert (job.status, job.transcript.text) == (JobStatus.COMPLETED, numbers(0, SECONDS))
    assert_covered(job, SECONDS * 1000)


def test_its_audio_is_decoded_once(alice, new_job, when_published, monkeypatch):
    decoded = []
    write = timeline.write_working_copy
    monkeypatch.setattr(
        timeline, "write_working_copy", lambda *args, **options: decoded.append(1) or write(*args, **options)
    )
    when_published(lambda step, windows: unit.do_next())
    assert run_to_end(new_job(alice, seconds=SECONDS)).transcript.text == numbers(0, SECONDS)
    assert decoded == [1]


def test_a_killed_preparation_goes_on_behind_what_it_has_published(alice, new_job, when_published):
    deaths = []

    def die_once(step, windows):
        if not deaths and windows[-1].end_ms > 100_000:
            deaths.append(windows[-1].end_ms)
            raise Killed

    when_published(die_once)
    job = new_job(alice, seconds=SECONDS)
    with pytest.raises(Killed):
        unit.do_next()
    published = set(job.windows.values_list("pk", flat=True))
    assert published
    JobStep.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert lost_work.expire_leases() == 1
    job = run_to_end(job)
    assert (job.status, job.transcript.text) == (JobStatus.COMPLETED, numbers(0, SECONDS))
    assert_covered(job, SECONDS * 1000)
    assert published <= set(job.windows.values_list("pk", flat=True))


def test_windows_are_stored_once_though_the_databases_answer_was_lost(alice, new_job, when_published):
    lost = []

    def lose_the_answer(step, windows):
        if not lost:
            lost.append(windows)
            raise OperationalError("the connection is gone")

    when_published(lose_the_answer)
    job = run_to_end(new_job(alice, seconds=SECONDS))
    assert job.transcript.text == numbers(0, SECONDS)
    assert lost
    assert_covered(job, SECONDS * 1000)


def test_a_cancelled_preparation_publishes_nothing_more(alice, new_job, when_published, caplog):
    job = new_job(alice, seconds=SECONDS)
    when_published(lambda step, windows: cancel_job(job.pk))
    run_to_end(job)
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert set(job.windows.values_list("status", flat=True)) == {WorkStatus.CANCELLED}
    assert job.windows.count() < 8
    assert not working_copies.working_copy_path(job.session.chunks.get().pk).exists()
    assert "Traceback" not in caplog.text


def test_when_the_rest_turns_out_to_be_too_long_the_job_fails_with_its_windows(alice, new_job, settings):
    settings.MAX_AUDIO_S = 300
    job = run_to_end(new_job(alice, seconds=SECONDS))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "audio_too_long")
    assert set(job.windows.values_list("status", flat=True)) == {WorkStatus.CANCELLED}


def test_a_failed_preparation_that_is_retried_keeps_what_was_done(
    alice, new_job, when_published, settings, monkeypatch
):
    settings.MAX_ATTEMPTS = 1
    failures = []

    def fail_once(step, windows):
        unit.do_next()
        if not failures and windows[-1].end_ms > 200_000:
            failures.append(1)
            raise RuntimeError("a bug")

    when_published(fail_once)
    job = run_to_end(new_job(alice, seconds=SECONDS))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "internal_error")
    done = set(job.windows.filter(status=WorkStatus.DONE).values_list("pk", "finished_at"))
    assert done
    assert retry_job(job.pk)
    job = run_to_end(job)
    assert (job.status, job.transcript.text) == (JobStatus.COMPLETED, numbers(0, SECONDS))
    assert done <= set(job.windows.values_list("pk", "finished_at"))


def test_another_job_of_the_recording_publishes_early_too(alice, new_job, when_published):
    first = run_to_end(new_job(alice, seconds=SECONDS))
    early = []
    when_published(lambda step, windows: early.append(unit.do_next()))
    second = run_to_end(start_job(first.session, resolve_options(engine="fake")))
    assert second.transcript.text == first.transcript.text
    assert early
    columns = ("start_ms", "end_ms", "speech_ms")
    assert list(second.windows.values_list(*columns)) == list(first.windows.values_list(*columns))


def test_of_several_files_nothing_is_published_before_all_have_their_place(
    alice, new_job, new_session, when_published
):
    early = []
    when_published(lambda step, windows: early.append(windows))
    job = new_job(alice, seconds=150)
    second = new_session(alice, seconds=150, first=150).chunks.get()
    job.session.chunks.create(
        number=1, file=ContentFile(second.file.read(), name="b.wav"), size_bytes=1, sha256="1" * 64
    )
    assert run_to_end(job).transcript.text == numbers(0, 300)
    assert early == []


def test_progress_is_of_the_whole_recording_though_not_all_is_planned(alice, new_job, when_published):
    seen = []

    def look(step, windows):
        unit.do_next()
        seen.append(progress.percents([job.pk])[job.pk])

    when_published(look)
    job = new_job(alice, seconds=SECONDS)
    SoundTrack.objects.update(duration_ms=SECONDS * 1000)
    unit.do_next()
    assert len(seen) >= 3
    assert seen == sorted(seen)
    done = job.windows.filter(status=WorkStatus.DONE)
    share = sum(window.duration_ms for window in done) / (SECONDS * 1000)
    assert int(share * 93) <= seen[-1] <= progress.PREPARE_WEIGHT + int(share * 93)
    SoundTrack.objects.update(duration_ms=None)
    type(job).objects.update(planned=False)
    assert progress.percents([job.pk])[job.pk] == 0
