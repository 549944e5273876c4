"""A recording that was heard live is heard once more: when, behind what, and what becomes of its text."""

from __future__ import annotations

import time
from datetime import timedelta
from threading import Event

import pytest
from django.db import transaction
from django.db.models.functions import Now

from jobs_app.engines.resolving import resolve_options
from jobs_app.leases import claims
from jobs_app.leases.ranks import RANKS, Precedence
from jobs_app.lifecycle import failing, finishing
from jobs_app.lifecycle.choices import cancel_job, change_priority, delete_job, retry_job
from jobs_app.lifecycle.ending import end_job
from jobs_app.lifecycle.finishing import finish_job, finish_window
from jobs_app.lifecycle.live import UNHEARD_AFTER, hand_over_unheard
from jobs_app.lifecycle.starting import AlreadyTranscribing, start_job
from jobs_app.models import (
    ChunkTranscription,
    JobKind,
    JobPriority,
    JobStatus,
    JobStep,
    Runner,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.watching.overview import overview
from jobs_app.work import timeline
from rest.refusals import WrongState
from sessions_app.arrival.intake import delete_session
from sessions_app.models import Edit, RecordingSession
from speech.errors import EngineFailed, NoAudio
from speech.types import SpeechSegment, Transcription
from tests.jobs.conftest import prepare, take, windows_of
from tests.jobs.speaking import words

pytestmark = pytest.mark.django_db


def heard_live(job: TranscriptionJob) -> None:
    """Let the text of a job be as if live hosts had stored it."""
    job.windows.update(started_at=None, worker="")
    JobStep.objects.create(
        job=job,
        kind=StepKind.LIVE,
        owner=job.owner,
        rank=0,
        queued_at=job.created_at,
        status=WorkStatus.DONE,
    )


def transcribe(job: TranscriptionJob, text: str) -> JobStep:
    """Do all of a job but its last step, which is returned as it was claimed."""
    assert prepare(take(job.steps.get(kind=StepKind.PREPARE)), windows_of(1))
    segments = (SpeechSegment(0, 1000, text, confidence=0.9),) if text else ()
    assert finish_window(take(job.windows.get()), Transcription(segments, language="en"))
    return take(job.steps.get(kind=StepKind.FINISH))


def complete(job: TranscriptionJob, text: str) -> TranscriptionJob:
    assert finish_job(transcribe(job, text))
    job.refresh_from_db()
    return job


@pytest.fixture
def refined(new_job):
    """A completed job that was heard live, and its refinement."""

    def make(owner, text: str = "in short", **options) -> tuple[TranscriptionJob, TranscriptionJob]:
        job = new_job(owner, **options)
        step = transcribe(job, text)
        heard_live(job)
        assert finish_job(step)
        job.refresh_from_db()
        return job, refinement_of(job)

    return make


def refinement_of(job: TranscriptionJob) -> TranscriptionJob:
    return TranscriptionJob.objects.refinements().get(session=job.session_id)


def session_of(job: TranscriptionJob) -> RecordingSession:
    return RecordingSession.objects.get(pk=job.session_id)


def status_of(job: TranscriptionJob) -> str:
    return TranscriptionJob.objects.get(pk=job.pk).status


def run_again(job: TranscriptionJob) -> TranscriptionJob:
    return start_job(session_of(job), resolve_options(engine="fake"))


# --- When ----------------------------------------------------------------------------------------


def test_what_was_heard_live_is_heard_once_more_with_its_options(alice, refined):
    job, refinement = refined(alice, language="en", prompt="Ngozi", priority="high")
    assert (refinement.kind, refinement.status) == (JobKind.REFINE, JobStatus.PENDING)
    assert (refinement.sound_id, refinement.filename) == (job.sound_id, job.filename)
    asked, before = refinement.options, job.options
    assert (asked.language, asked.prompt, asked.model) == ("en", "Ngozi", before.model)
    assert asked.priority == JobPriority.LOW
    assert session_of(job).current_job == job
    assert session_of(job).state == "completed"


def test_a_fallback_is_not_asked_for_a_second_time(alice, refined, settings):
    settings.ENGINES, settings.LOCAL_MODELS = ["fake", "local"], ["base"]
    job, refinement = refined(alice, fallback_engine="local")
    assert job.options.fallback_engine == "local"
    assert refinement.options.fallback_engine == ""


def test_what_was_not_heard_live_is_not_heard_again(alice, new_job):
    complete(new_job(alice), "in full")
    assert not TranscriptionJob.objects.refinements().exists()


@pytest.mark.parametrize("why", ["option", "site", "silence"])
def test_nothing_is_heard_again_where_nobody_wants_it_or_nobody_spoke(alice, new_job, settings, why):
    settings.LIVE_REFINE = why != "site"
    job = new_job(alice, refine=why != "option")
    step = transcribe(job, "" if why == "silence" else "in short")
    heard_live(job)
    if why == "silence":
        job.windows.update(speech_ms=0)
    assert finish_job(step)
    assert not TranscriptionJob.objects.refinements().exists()
    assert status_of(job) == JobStatus.COMPLETED


def test_a_refinement_is_not_heard_a_third_time(alice, refined):
    _, refinement = refined(alice)
    step = transcribe(refinement, "in full")
    heard_live(refinement)
    assert finish_job(step)
    assert TranscriptionJob.objects.count() == 2


def test_a_kill_before_the_commit_leaves_the_last_step_to_do(alice, new_job, monkeypatch):
    job = new_job(alice)
    step = transcribe(job, "in short")
    heard_live(job)

    class Killed(BaseException):
        pass

    def die(*args: object) -> None:
        raise Killed

    monkeypatch.setattr(finishing, "start_refinement", die)
    with pytest.raises(Killed):
        finish_job(step)
    assert status_of(job) != JobStatus.COMPLETED
    monkeypatch.undo()
    assert finish_job(step)
    assert refinement_of(job).status == JobStatus.PENDING


def test_what_was_spoken_is_heard_once_more_and_decoded_once(
    new_speaker, host, alice, work_until, monkeypatch
):
    decoded = []
    decode = timeline.prepare_chunk

    def note(piece, *args, **options):
        decoded.append(piece)
        return decode(piece, *args, **options)

    monkeypatch.setattr(timeline, "prepare_chunk", note)
    speaker = new_speaker(alice).open()
    speaker.say(7)
    host.run()
    speaker.cut_chunk()
    speaker.say(5)
    speaker.stop()
    host.run()
    ended = TranscriptionJob.objects.refinements().filter(status=JobStatus.COMPLETED)
    work_until(ended.exists)
    refinement = refinement_of(speaker.job)
    assert session_of(speaker.job).current_job == refinement
    refinement.refresh_from_db()
    assert refinement.transcript.text == speaker.now().transcript.text == words(0, 12)
    assert speaker.stored() == [(0, words(0, 5)), (1, words(5, 10)), (2, words(10, 12))]
    assert len(decoded) == 2


def test_what_no_live_host_took_is_not_heard_again(new_speaker, alice, work_until):
    speaker = new_speaker(alice).open()
    speaker.say(12)
    speaker.stop()
    JobStep.objects.filter(kind=StepKind.LIVE).update(not_before=Now() - UNHEARD_AFTER - timedelta(seconds=1))
    assert hand_over_unheard() == 1
    work_until(lambda: speaker.now().status == JobStatus.COMPLETED)
    assert not TranscriptionJob.objects.refinements().exists()


# --- Behind what ---------------------------------------------------------------------------------


def test_it_comes_after_the_work_of_all_people(alice, bob, refined, new_job):
    _, refinement = refined(alice)
    assert RANKS[refinement.steps.get().rank] == Precedence.REFINEMENT
    others = [new_job(bob, priority="low"), new_job(alice, priority="low")]
    claimed = [claims.claim() for _ in range(3)]
    assert {work.job_id for work in claimed[:2]} == {job.pk for job in others}
    assert claimed[2].job_id == refinement.pk


@pytest.mark.parametrize(("workers", "taken"), [(1, 0), (2, 1), (3, 2)])
def test_it_leaves_a_worker_free_while_somebody_is_heard_live(
    alice, bob, refined, new_speaker, host, workers, taken
):
    Runner.objects.create(name="here:1", workers=workers, beat_at=Now(), proven_at=Now())
    _, refinement = refined(alice)
    assert prepare(take(refinement.steps.get()), windows_of(4))
    speaker = new_speaker(bob).open()
    host.run(1)
    assert speaker.step.status == WorkStatus.RUNNING
    claimed = [work for _ in range(4) if (work := claims.claim())]
    assert [work.job_id for work in claimed] == [refinement.pk] * taken
    assert not claims.anything_claimable()
    cancel_job(speaker.job.pk)
    assert claims.claim() is not None


def test_staff_may_give_it_another_place(alice, refined, staff):
    _, refinement = refined(alice)
    change_priority(refinement.pk, JobPriority.NORMAL, by=staff)
    assert RANKS[refinement.steps.get().rank] == Precedence.BATCH


def test_the_numbers_of_the_queue_leave_it_out(alice, refined):
    job, refinement = refined(alice)
    seen = overview()
    assert (seen.waiting, seen.processing, seen.oldest_waiting_at, seen.refinements) == (0, 0, None, 1)
    complete(refinement, "in full")
    seen = overview()
    assert (seen.completed, seen.completed_ms, seen.refinements) == (1, job.sound.duration_ms, 0)


# --- Its text ------------------------------------------------------------------------------------


def test_its_text_becomes_the_transcript_and_the_first_one_stays(alice, refined):
    job, refinement = refined(alice)
    complete(refinement, "in full")
    assert session_of(job).current_job == refinement
    assert job.transcript.text == "in short"
    assert refinement.transcript.text == "in full"


def test_a_text_that_somebody_edits_keeps_its_place(alice, refined):
    job, refinement = refined(alice)
    Edit.objects.create(job=job, segment_number=0, kind="text", value="In short.")
    complete(refinement, "in full")
    assert session_of(job).current_job == job


def test_a_second_hearing_that_finds_nothing_takes_no_place(alice, refined):
    job, refinement = refined(alice)
    complete(refinement, "")
    assert status_of(refinement) == JobStatus.COMPLETED
    assert session_of(job).current_job == job


def test_somebody_may_choose_either_text(alice, refined):
    job, refinement = refined(alice)
    complete(refinement, "in full")
    assert session_of(job).use_job(job)
    assert session_of(job).current_job == job
    assert session_of(job).use_job(refinement)
    assert session_of(job).current_job == refinement


def test_only_a_completed_text_of_the_same_recording_can_be_chosen(alice, refined, new_job):
    job, refinement = refined(alice)
    other = complete(new_job(alice), "of another recording")
    assert not session_of(job).use_job(refinement)
    assert not session_of(job).use_job(other)
    assert session_of(job).current_job == job


def test_a_failure_changes_nothing_for_the_recording(alice, refined):
    job, refinement = refined(alice)
    assert failing.settle_failure(take(refinement.steps.get()), NoAudio())
    assert status_of(refinement) == JobStatus.FAILED
    assert (session_of(job).current_job, session_of(job).state) == (job, "completed")


def test_a_failed_one_is_tried_again_and_takes_the_place_of_no_newer_run(alice, refined):
    job, refinement = refined(alice)
    failing.settle_failure(take(refinement.steps.get()), NoAudio())
    newer = complete(run_again(job), "as asked for")
    assert retry_job(refinement.pk)
    complete(refinement, "in full")
    assert session_of(job).current_job == newer


def test_one_that_fails_for_a_while_is_tried_again_by_itself(alice, refined, settings):
    _, refinement = refined(alice)
    settings.RETRY_BACKOFF_S = 0
    prepare(take(refinement.steps.get()), windows_of(1))
    assert failing.settle_failure(take(refinement.windows.get()), EngineFailed())
    window = refinement.windows.get()
    assert (window.status, status_of(refinement)) == (WorkStatus.WAITING, JobStatus.PENDING)


# --- Other runs ----------------------------------------------------------------------------------


def test_a_run_that_somebody_asks_for_cancels_it(alice, refined):
    job, refinement = refined(alice)
    window_step = take(refinement.steps.get())
    run = run_again(job)
    assert (status_of(refinement), run.kind) == (JobStatus.CANCELLED, JobKind.RUN)
    assert not prepare(window_step, windows_of(1))
    complete(run, "as asked for")
    assert session_of(job).current_job == run


def test_a_run_that_is_tried_again_cancels_it(alice, refined, new_job):
    job, refinement = refined(alice)
    failed = run_again(job)
    failing.settle_failure(take(failed.steps.get(kind=StepKind.PREPARE)), NoAudio())
    # As if the recording had been heard live only now.
    TranscriptionJob.objects.filter(pk=refinement.pk).update(status=JobStatus.PENDING, ended_at=None)
    assert retry_job(failed.pk)
    assert status_of(refinement) == JobStatus.CANCELLED


def test_one_run_at_a_time_remains_the_rule_of_runs(alice, refined):
    job, refinement = refined(alice)
    failing.settle_failure(take(refinement.steps.get()), NoAudio())
    run_again(job)
    with pytest.raises(AlreadyTranscribing):
        run_again(job)
    with pytest.raises(WrongState):
        retry_job(refinement.pk)
    assert status_of(refinement) == JobStatus.FAILED


def test_it_can_be_cancelled_and_deleted(alice, refined):
    job, refinement = refined(alice)
    assert cancel_job(refinement.pk)
    assert session_of(job).state == "completed"
    delete_job(refinement.pk)
    assert session_of(job).current_job == job


def test_the_first_text_comes_back_when_the_second_is_deleted(alice, refined):
    job, refinement = refined(alice)
    complete(refinement, "in full")
    delete_job(refinement.pk)
    assert session_of(job).current_job == job


def test_where_the_first_is_deleted_it_stands_for_the_recording(alice, refined):
    job, refinement = refined(alice)
    delete_job(job.pk)
    complete(refinement, "in full")
    assert session_of(refinement).current_job == refinement


def test_a_recording_is_deleted_with_it(alice, refined):
    job, refinement = refined(alice)
    step = transcribe(refinement, "in full")
    delete_session(session_of(job))
    assert not finish_job(step)
    assert not TranscriptionJob.objects.exists()


# --- At the same moment --------------------------------------------------------------------------


def test_an_edit_that_is_being_written_is_waited_for(alice, refined, threads):
    job, refinement = refined(alice)
    step = transcribe(refinement, "in full")
    begun = Event()

    def edit() -> None:
        with transaction.atomic():
            TranscriptionJob.objects.select_for_update().get(pk=job.pk)
            begun.set()
            time.sleep(0.3)
            Edit.objects.create(job=job, segment_number=0, kind="text", value="In short.")

    def finish() -> bool:
        return begun.wait(10) and finish_job(step)

    assert threads(edit, finish) == [None, True]
    assert session_of(job).current_job == job


@pytest.mark.parametrize("turn", range(5))
def test_a_run_and_the_end_of_a_refinement_at_once_leave_one_run(alice, refined, threads, turn):
    job, refinement = refined(alice)
    step = transcribe(refinement, "in full")
    _, run = threads(lambda: finish_job(step), lambda: run_again(job))
    assert status_of(run) == JobStatus.PENDING
    assert status_of(refinement) in (JobStatus.COMPLETED, JobStatus.CANCELLED)
    expected = refinement if status_of(refinement) == JobStatus.COMPLETED else job
    assert session_of(job).current_job == expected
    complete(run, "as asked for")
    assert session_of(job).current_job == run


def test_two_runs_at_once_cancel_it_once_and_only_one_starts(alice, refined, threads):
    job, refinement = refined(alice)

    def run() -> bool:
        try:
            return bool(run_again(job))
        except AlreadyTranscribing:
            return False

    assert sorted(threads(run, run)) == [False, True]
    assert status_of(refinement) == JobStatus.CANCELLED
    assert TranscriptionJob.objects.runs().active().count() == 1


def test_a_recording_that_is_deleted_while_its_refinement_ends_is_gone(alice, refined, threads):
    job, refinement = refined(alice)
    step = transcribe(refinement, "in full")
    threads(lambda: finish_job(step), lambda: delete_session(session_of(job)))
    assert not RecordingSession.objects.exists()
    assert not ChunkTranscription.objects.exists()


def test_the_work_of_one_that_was_cancelled_is_closed(alice, refined):
    _, refinement = refined(alice)
    prepare(take(refinement.steps.get()), windows_of(2))
    with transaction.atomic():
        end_job(refinement, JobStatus.CANCELLED)
    assert set(refinement.windows.values_list("status", flat=True)) == {WorkStatus.CANCELLED}
