from __future__ import annotations

import pytest
from django.db import transaction

from jobs_app.engines.resolving import resolve_options
from jobs_app.leases import claims
from jobs_app.leases.held import held
from jobs_app.lifecycle import failing
from jobs_app.lifecycle.choices import cancel_job, change_priority, delete_job, retry_job
from jobs_app.lifecycle.finishing import finish_job, finish_window
from jobs_app.lifecycle.repairs import close_job, unclosed_jobs
from jobs_app.lifecycle.starting import AlreadyTranscribing, note_start, start_job
from jobs_app.models import JobStage, JobStatus, JobStep, StepKind, TranscriptionJob, WorkStatus
from jobs_app.models.transcripts import Segment
from jobs_app.work.progress import raise_progress
from rest.refusals import WrongState
from speech.errors import EngineFailed, NoAudio, SpeechError
from speech.types import SpeechSegment, Transcription, Word
from speech.windows.cuts import Window
from tests.job_rows import create_job
from tests.jobs.conftest import expire, prepare, statuses, take, take_all, windows_of


def heard(*texts: str, language: str = "en", at_ms: int = 0) -> Transcription:
    return Transcription(
        segments=tuple(
            SpeechSegment(
                at_ms + i * 100,
                at_ms + i * 100 + 100,
                text,
                confidence=0.5,
                words=(Word(at_ms + i * 100, at_ms + i * 100 + 50, text, 0.5),),
            )
            for i, text in enumerate(texts)
        ),
        language=language,
        language_confidence=0.8,
    )


def windows(job):
    return list(job.windows.order_by("number"))


def finish_all(job) -> None:
    for window in windows(job):
        assert finish_window(take(window), heard(f"part {window.number}", at_ms=window.start_ms))
    assert finish_job(take(job.steps.get(kind=StepKind.FINISH)))
    job.refresh_from_db()


def test_a_job_is_completed_when_all_its_windows_are_joined(alice, planned_job):
    job = planned_job(alice, 3)
    finish_all(job)
    assert (job.status, job.stage, job.progress) == (JobStatus.COMPLETED, JobStage.ENDED, 100)
    found = job.transcript
    assert found.text == "part 0 part 1 part 2"
    assert found.texts.word_counts == {"part": 3, "0": 1, "1": 1, "2": 1}
    assert (found.total_words, found.total_segments, found.average_confidence) == (6, 3, 0.5)
    assert (found.detected_language, found.language_confidence) == ("en", pytest.approx(0.8))
    assert job.ended_at is not None


def test_the_language_is_the_one_that_most_is_spoken_in(alice, new_job):
    job = new_job(alice)
    plan = [
        Window(0, 1000, speech_ms=100),
        Window(1000, 2000, speech_ms=150),
        Window(2000, 9000, speech_ms=900),
    ]
    step = take(job.steps.get())
    prepare(step, plan)
    for window, language in zip(windows(job), ("en", "en", "de"), strict=True):
        finish_window(take(window), heard("x", language=language))
    finish_job(take(job.steps.get(kind=StepKind.FINISH)))
    job.refresh_from_db()
    assert job.transcript.detected_language == "de"


def test_a_recording_without_speech_is_completed_empty(alice, new_job):
    job = new_job(alice)
    step = take(job.steps.get())
    silence = [Window(0, 36_000_000, speech_ms=0)]
    prepare(step, silence)
    assert take_all() == [f"finish of job {job.pk}"]
    finish_job(job.steps.get(kind=StepKind.FINISH))
    job.refresh_from_db()
    assert job.status == JobStatus.COMPLETED
    assert (job.transcript.text, job.transcript.detected_language) == ("", "")


def test_a_session_has_one_active_job(alice, new_job):
    job = new_job(alice)
    with pytest.raises(AlreadyTranscribing):
        start_job(job.session, resolve_options(engine="fake"))
    cancel_job(job.pk)
    again = start_job(job.session, resolve_options(engine="fake"))
    assert again.session.current_job == again


def test_workers_are_woken_on_commit_and_not_on_rollback(
    alice, new_session, wakes, django_capture_on_commit_callbacks
):
    session = new_session(alice)
    with (
        pytest.raises(ZeroDivisionError),
        django_capture_on_commit_callbacks(execute=True),
        transaction.atomic(),
    ):
        start_job(session, resolve_options(engine="fake"))
        raise ZeroDivisionError
    assert wakes == []
    with django_capture_on_commit_callbacks(execute=True):
        start_job(session, resolve_options(engine="fake"))
    assert wakes == [1]


def test_a_window_finished_twice_is_stored_once(alice, planned_job):
    window = take(windows(planned_job(alice))[0])
    assert finish_window(window, heard("one", "two"))
    assert not finish_window(window, heard("one", "two"))
    assert window.segments.count() == 2


def test_the_number_of_a_segment_is_never_used_again(alice, planned_job, settings):
    settings.RETRY_BACKOFF_S = 0
    job = planned_job(alice, 2)
    first, second = windows(job)
    # Not in the order of time: the second one is done first.
    assert finish_window(take(second), heard("three", at_ms=second.start_ms))
    assert finish_window(take(first), heard("one", "two"))
    assert [s.public_id for s in job.segments.all()] == [f"{job.pk}-{n}" for n in (1, 2, 0)]
    # Once more, with what was heard replaced.
    type(first).objects.filter(pk=first.pk).update(status=WorkStatus.WAITING)
    assert finish_window(take(first), heard("one", "and", "two"))
    assert [(s.number, s.text) for s in job.segments.all()] == [
        (3, "one"),
        (4, "and"),
        (5, "two"),
        (0, "three"),
    ]


def test_it_drops_the_result_of_a_worker_given_up_for_dead(alice, planned_job, settings):
    settings.RETRY_BACKOFF_S = 0
    first = take(windows(planned_job(alice))[0])
    expire(first)
    assert failing.expire_lease(first)
    second = take(first)
    assert second.attempt == 2
    assert not finish_window(first, heard("late"))
    assert finish_window(second, heard("in time"))
    assert [s.text for s in Segment.objects.all()] == ["in time"]


def test_a_lease_that_was_renewed_meanwhile_is_not_taken(alice, planned_job):
    window = take(windows(planned_job(alice))[0])
    assert not failing.expire_lease(window)
    assert finish_window(window, heard("mine"))


def test_a_passing_failure_is_tried_again_later(alice, planned_job, settings):
    settings.RETRY_BACKOFF_S = 60
    job = planned_job(alice, 1)
    assert failing.settle_failure(take(windows(job)[0]), EngineFailed("The engine stumbled."))
    window = windows(job)[0]
    assert (window.status, window.attempt, window.error_code) == (WorkStatus.WAITING, 1, "engine_failed")
    assert (window.not_before - window.started_at).total_seconds() >= 30
    assert claims.claim() is None


def test_it_waits_at_least_as_long_as_the_other_side_asked(alice, planned_job, settings):
    settings.RETRY_BACKOFF_S = 0
    job = planned_job(alice, 1)
    failing.settle_failure(take(windows(job)[0]), EngineFailed("Too many requests.", retry_after_s=120))
    window = windows(job)[0]
    assert (window.not_before - window.started_at).total_seconds() >= 119


def test_waits_grow_and_have_a_limit(settings):
    settings.RETRY_BACKOFF_S, settings.RETRY_BACKOFF_MAX_S = 2, 20
    for attempt, longest in ((1, 3), (2, 6), (3, 12), (9, 30)):
        assert longest / 3 <= failing.backoff(attempt).total_seconds() <= longest


def test_work_that_kills_its_workers_fails_with_a_reason(alice, planned_job, settings):
    settings.RETRY_BACKOFF_S, settings.MAX_ATTEMPTS = 0, 2
    job = planned_job(alice, 2)
    for _ in range(2):
        window = take(windows(job)[0])
        expire(window)
        failing.expire_lease(window)
    assert statuses(job) == ["failed", "waiting"]
    finish_window(take(windows(job)[1]), heard("the rest"))
    job.refresh_from_db()
    assert (job.status, job.error_code) == (JobStatus.FAILED, "crashed")
    assert "smaller model" in job.error


def test_a_permanent_failure_fails_the_job_at_once(alice, planned_job):
    job = planned_job(alice, 3)
    failing.settle_failure(take(windows(job)[0]), NoAudio())
    job.refresh_from_db()
    assert (job.status, job.error_code) == (JobStatus.FAILED, "no_audio")
    assert statuses(job) == ["failed", "cancelled", "cancelled"]


def test_a_retried_job_redoes_only_what_is_missing(alice, planned_job):
    job = planned_job(alice, 3, language="en", prompt="names")
    finish_window(take(windows(job)[0]), heard("kept"))
    failing.settle_failure(take(windows(job)[1]), NoAudio())
    assert retry_job(job.pk)
    job.refresh_from_db()
    assert (job.status, job.attempt, job.error, job.ended_at) == (JobStatus.PENDING, 2, "", None)
    assert (job.language, job.options.prompt) == ("en", "names")
    assert take_all() == [f"window {n} of job {job.pk}" for n in (1, 2)]
    assert windows(job)[0].raw_text == "kept"


@pytest.mark.parametrize("status", [s for s in JobStatus.values if s != JobStatus.FAILED])
def test_only_a_failed_job_is_retried(alice, planned_job, status):
    job = planned_job(alice)
    ended = status not in (JobStatus.PENDING, JobStatus.PROCESSING)
    TranscriptionJob.objects.update(status=status, ended_at=job.created_at if ended else None)
    assert not retry_job(job.pk)


def test_a_retry_gives_way_to_another_job_of_the_session(alice, planned_job):
    job = planned_job(alice, 1)
    failing.settle_failure(take(windows(job)[0]), NoAudio())
    start_job(job.session, resolve_options(engine="fake"))
    with pytest.raises(WrongState):
        retry_job(job.pk)


def test_a_cancelled_job_drops_the_result_of_its_worker(alice, planned_job):
    job = planned_job(alice, 2)
    window = take(windows(job)[0])
    assert cancel_job(job.pk)
    assert not finish_window(window, heard("too late"))
    assert statuses(job) == ["cancelled", "cancelled"]
    assert not Segment.objects.exists()


@pytest.mark.parametrize("change", [cancel_job, lambda pk: change_priority(pk, "high")])
def test_an_ended_job_stays_as_it_is(alice, planned_job, change):
    job = planned_job(alice, 1)
    finish_all(job)
    assert not change(job.pk)
    job.refresh_from_db()
    assert (job.status, job.priority) == (JobStatus.COMPLETED, "normal")


def test_the_work_of_a_deleted_job_ends_quietly(alice, planned_job):
    job = planned_job(alice, 1)
    window = take(windows(job)[0])
    job.session.delete()
    assert not finish_window(window, heard("nobody asks"))
    assert not failing.settle_failure(window, EngineFailed())
    assert not Segment.objects.exists()


def test_an_unclosed_job_is_found_and_closed(alice, planned_job):
    job = planned_job(alice, 1)
    window = take(windows(job)[0])
    held(window).update(status=WorkStatus.DONE, lease_token="", lease_until=None)
    assert unclosed_jobs() == [job.pk]
    close_job(job.pk)
    assert JobStep.objects.filter(job=job, kind=StepKind.FINISH, status=WorkStatus.WAITING).exists()
    assert unclosed_jobs() == []


def test_progress_never_falls(alice, planned_job):
    job = planned_job(alice, 1)
    window = take(windows(job)[0])
    note_start(window)
    raise_progress({job.pk: 60})
    raise_progress({job.pk: 40})
    job.refresh_from_db()
    assert (job.status, job.stage, job.progress) == (JobStatus.PROCESSING, JobStage.TRANSCRIBING, 60)


def test_two_workers_that_finish_the_last_windows_close_the_job_once(alice, planned_job, threads):
    for _ in range(20):
        job = planned_job(alice, 2)
        first, second = (take(window) for window in windows(job))
        assert threads(
            lambda w=first: finish_window(w, heard("a")),
            lambda w=second: finish_window(w, heard("b")),
        ) == [True, True]
        assert job.steps.filter(kind=StepKind.FINISH, status=WorkStatus.WAITING).count() == 1
        job.session.delete()


def test_a_cancel_that_races_with_a_finish_leaves_one_of_the_two(alice, planned_job, threads):
    for _ in range(20):
        job = planned_job(alice, 1)
        window = take(windows(job)[0])
        finished, cancelled = threads(
            lambda w=window: finish_window(w, heard("a")),
            lambda pk=job.pk: cancel_job(pk),
        )
        assert cancelled
        assert statuses(job) == ["done" if finished else "cancelled"]
        assert not job.steps.filter(status=WorkStatus.WAITING).exists()
        job.session.delete()


def test_a_speech_error_has_a_code_and_a_sentence():
    for kind in SpeechError.__subclasses__():
        assert kind.code != SpeechError.code
        assert str(kind()).endswith(".")


def test_windows_are_planned_once(alice, new_job):
    job = new_job(alice)
    step = take(job.steps.get())
    assert prepare(step, windows_of(2))
    assert not prepare(step, windows_of(2))
    assert statuses(job) == ["waiting", "waiting"]


def test_a_job_without_preparation_is_prepared_rather_than_completed_empty(alice, new_session):
    job = create_job(session=new_session(alice), engine="fake", model="fake")
    close_job(job.pk)
    assert job.steps.get().kind == StepKind.PREPARE


def test_work_of_workers_that_were_stopped_is_given_back_at_no_cost(alice, planned_job):
    job = planned_job(alice, 2)
    window = take(windows(job)[0])
    assert failing.give_back(["elsewhere:1"]) == 0
    assert failing.give_back([claims.worker_name()]) == 1
    assert (windows(job)[0].status, windows(job)[0].attempt) == (WorkStatus.WAITING, 0)
    assert not finish_window(window, heard("too late"))


def test_a_stale_worker_does_not_start_a_job_that_was_retried(alice, planned_job):
    job = planned_job(alice, 1)
    stale = take(windows(job)[0])
    failing.settle_failure(stale, NoAudio())
    retry_job(job.pk)
    note_start(stale)
    job.refresh_from_db()
    assert (job.status, job.stage) == (JobStatus.PENDING, JobStage.WAITING)


def test_a_deleted_job_is_gone_in_any_state(alice, planned_job):
    job = planned_job(alice, 2)
    take(windows(job)[0])
    delete_job(job.pk)
    delete_job(job.pk)
    assert not TranscriptionJob.objects.exists()


def test_deleting_and_retrying_at_once_is_no_deadlock(alice, planned_job, threads):
    from sessions_app.arrival.intake import delete_session

    for _ in range(15):
        job = planned_job(alice, 30)
        failing.settle_failure(take(windows(job)[0]), NoAudio())
        threads(
            lambda session=job.session: delete_session(session),
            lambda pk=job.pk: retry_job(pk),
            lambda pk=job.pk: change_priority(pk, "high"),
        )
        assert not TranscriptionJob.objects.exists()
