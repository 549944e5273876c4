"""Corrections and target words applied anew to transcripts that are completed."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from jobs_app.lifecycle.choices import delete_job
from jobs_app.models import (
    ChunkTranscription,
    JobStatus,
    JobStep,
    SoundTrack,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.models.stored_words import decode_words
from jobs_app.models.transcripts import Segment, Transcript, TranscriptText
from jobs_app.models.vocabulary import Correction
from jobs_app.vocabulary.vocabulary import Vocabulary
from jobs_app.work import correcting, unit
from jobs_app.work.correcting import Outcome, apply_again
from jobs_app.work.guard import LeaseLost
from jobs_app.workers import lost_work
from tests.job_rows import create_segment
from tests.jobs.conftest import expire, take
from tests.jobs.vocabulary.test_vocabulary import correct, count
from tests.samples import completed_job, make_job

pytestmark = pytest.mark.django_db


def stored(job: TranscriptionJob) -> list:
    """All that correcting may change."""
    return [
        *Transcript.objects.filter(job=job).values(),
        *TranscriptText.objects.filter(transcript=job.pk).values(),
        *ChunkTranscription.objects.filter(job=job).values(),
        *Segment.objects.filter(job=job).order_by("number").values(),
    ]


def test_an_old_transcript_is_corrected_and_counted(alice):
    job = completed_job(alice, sentences=("An open ai radio.", "The radio hums."))
    correct(alice, "open ai", "OpenAI")
    count(alice, "radio", "openai", "hums an")

    assert apply_again(job.pk) == Outcome.DONE

    job.refresh_from_db()
    window = job.windows.get()
    first, second = job.segments.order_by("number")
    assert job.transcript.text == window.corrected_text == "An OpenAI radio. The radio hums."
    assert job.transcript.texts.raw_text == window.raw_text == "An open ai radio. The radio hums."
    assert job.transcript.texts.word_counts == window.word_counts == {"radio": 2, "openai": 1, "hums an": 0}
    assert (job.transcript.total_words, job.transcript.total_segments) == (6, 2)
    assert (first.raw_text, first.corrected_text) == ("An open ai radio.", "An OpenAI radio.")
    assert [word.text for word in first.words] == ["An", "OpenAI", "radio."]
    said = decode_words(first.raw_words, first.raw_text)
    assert [word.text for word in said] == ["An", "open", "ai", "radio."]
    assert (first.words[0], first.words[-1]) == (said[0], said[-1])
    assert (second.text, second.corrected_text, second.corrected_words) == ("The radio hums.", None, None)


def test_applying_twice_changes_nothing(alice):
    job = completed_job(alice)
    correct(alice, "radio", "radio radio")
    correct(alice, "old", "")
    assert apply_again(job.pk) == Outcome.DONE
    once = stored(job)
    assert apply_again(job.pk) == Outcome.DONE
    assert stored(job) == once


def test_without_the_corrections_the_raw_text_and_words_come_back(alice):
    job = completed_job(alice)
    assert apply_again(job.pk) == Outcome.DONE
    before = stored(job)
    for sentence in ("Today we repair an old radio.", "Good morning", "the capacitors"):
        correct(alice, sentence, "")
    assert apply_again(job.pk) == Outcome.DONE
    job.refresh_from_db()
    assert job.transcript.text == "And welcome to the workshop. Are the first thing to look at."
    assert job.segments.filter(corrected_text="").count() == 1
    Correction.objects.all().delete()
    assert apply_again(job.pk) == Outcome.DONE
    assert stored(job) == before


def test_a_phrase_over_a_seam_counts_in_the_job(alice):
    job = completed_job(alice, sentences=("We flew to New",))
    window = job.windows.get()
    late = ChunkTranscription.objects.get(pk=window.pk)
    late.pk, late.number, late.raw_text = None, 1, "York today"
    late.start_ms, late.end_ms = window.end_ms, window.end_ms + 1000
    late.save()
    create_segment(job, window=late, start_ms=late.start_ms, end_ms=late.end_ms, text="York today")
    count(alice, "New York")
    assert apply_again(job.pk) == Outcome.DONE
    job.refresh_from_db()
    assert job.transcript.texts.word_counts == {"New York": 1}
    assert [w.word_counts for w in job.windows.order_by("number")] == [{"New York": 0}] * 2
    assert job.transcript.text == "We flew to New York today"


def test_only_the_owners_lists_are_applied(alice, bob):
    job = completed_job(alice)
    correct(bob, "radio", "television")
    apply_again(job.pk)
    job.refresh_from_db()
    assert "radio" in job.transcript.text


@pytest.mark.parametrize("status", [s for s in JobStatus if s != JobStatus.COMPLETED])
def test_a_job_without_a_transcript_is_left_alone(alice, status):
    job = make_job(alice, status=status, transcript="radio")
    correct(alice, "radio", "television")
    before = stored(job)
    assert apply_again(job.pk) == Outcome.NO_TRANSCRIPT
    assert stored(job) == before


def test_segments_are_stored_many_at_once(alice):
    def queries(n: int) -> int:
        job = completed_job(alice, sentences=("An old radio.",) * n)
        with CaptureQueriesContext(connection) as seen:
            apply_again(job.pk)
        return len(seen)

    correct(alice, "radio", "wireless")
    assert queries(400) < queries(4) + 10


# --- While others work ---


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_a_long_transcript_to_be_corrected(alice, monkeypatch):
    """What takes time is done outside of a transaction, and what is written in short ones."""
    job = completed_job(alice, sentences=("Open AI here.", "Open AI there.", "And open AI."))
    correct(alice, "open ai", "OpenAI")
    monkeypatch.setattr("jobs_app.work.correcting.ROWS_AT_ONCE", 1)
    work, held = Vocabulary.correct, []

    def corrected(self, raw):
        held.append(connection.in_atomic_block)
        return work(self, raw)

    monkeypatch.setattr(Vocabulary, "correct", corrected)
    with CaptureQueriesContext(connection) as asked:
        assert apply_again(job.pk) == Outcome.DONE
    assert held == [False] * 3
    assert sum(query["sql"].startswith("BEGIN") for query in asked) >= 4 or connection.vendor != "sqlite"
    job.refresh_from_db()
    assert job.transcript.text.count("OpenAI") == 3


# --- Long ones, by a worker ----------------------------------------------------------------------


@pytest.fixture
def long_job(alice, settings, wakes, tmp_path):
    settings.CORRECT_AT_ONCE_S = 0
    settings.RUN_DIR = tmp_path
    correct(alice, "radio", "wireless")
    return completed_job(alice)


@pytest.fixture
def meanwhile(monkeypatch):
    """Have something done while the first sentence is corrected, once."""
    work_out = Vocabulary.correct

    def do(action) -> None:
        pending = [action]

        def corrected(self, raw):
            if pending:
                pending.pop()()
            return work_out(self, raw)

        monkeypatch.setattr(Vocabulary, "correct", corrected)

    return do


def text_of(job: TranscriptionJob) -> str:
    job.refresh_from_db()
    return job.transcript.text


def test_a_long_transcript_is_left_to_a_worker(long_job, wakes, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        assert apply_again(long_job.pk) == Outcome.BEGUN
    assert wakes == [1]
    assert correcting.state_of(long_job) == "waiting"
    assert "radio" in text_of(long_job)
    assert unit.do_next()
    assert correcting.state_of(long_job) == ""
    assert "an old wireless." in text_of(long_job)
    assert (long_job.status, long_job.stage) == ("completed", "ended")
    assert not unit.do_next()


def test_the_length_decides_who_does_it(long_job, settings):
    settings.CORRECT_AT_ONCE_S = long_job.duration_ms // 1000
    assert apply_again(long_job.pk) == Outcome.DONE
    SoundTrack.objects.update(duration_ms=long_job.duration_ms + 1)
    assert apply_again(long_job.pk) == Outcome.BEGUN


def test_a_second_press_begins_no_second_run(long_job, meanwhile):
    apply_again(long_job.pk)
    assert apply_again(long_job.pk) == Outcome.ALREADY
    outcomes = []
    meanwhile(lambda: outcomes.append((apply_again(long_job.pk), correcting.state_of(long_job))))
    unit.do_next()
    assert outcomes == [(Outcome.ALREADY, "running")]
    assert long_job.steps.get().attempt == 1
    assert apply_again(long_job.pk) == Outcome.BEGUN


def test_nor_does_one_while_a_short_transcript_is_corrected(alice, meanwhile):
    job = completed_job(alice)
    outcomes = []
    meanwhile(lambda: outcomes.append(apply_again(job.pk)))
    assert apply_again(job.pk) == Outcome.DONE
    assert outcomes == [Outcome.ALREADY]


def test_of_presses_at_the_same_moment_one_begins_a_run(alice, threads):
    job = completed_job(alice, sentences=("An old radio.",) * 200)
    correct(alice, "radio", "wireless")
    outcomes = threads(*[lambda: apply_again(job.pk)] * 4)
    assert set(outcomes) <= {Outcome.DONE, Outcome.ALREADY}
    assert Outcome.DONE in outcomes
    assert text_of(job).count("wireless") == 200
    assert job.steps.get().status == WorkStatus.DONE


def test_lists_that_change_while_it_runs_are_applied_too(long_job, alice, meanwhile):
    meanwhile(lambda: correct(alice, "capacitors", "condensers"))
    apply_again(long_job.pk)
    unit.do_next()
    assert "an old wireless. The condensers are" in text_of(long_job)


@pytest.mark.parametrize("long", [True, False])
def test_a_job_that_is_deleted_while_it_runs_stays_deleted(long_job, settings, meanwhile, long):
    settings.CORRECT_AT_ONCE_S = 0 if long else 3600
    meanwhile(lambda: delete_job(long_job.pk))
    assert apply_again(long_job.pk) == Outcome.BEGUN
    assert unit.do_next() is long
    for model in (TranscriptionJob, ChunkTranscription, Segment, JobStep):
        assert not model.objects.exists()


def test_what_a_killed_worker_left_half_done_is_done_again(long_job, settings, monkeypatch):
    settings.RETRY_BACKOFF_S = 0
    apply_again(long_job.pk)
    killed = take(long_job.steps.get(kind=StepKind.CORRECT))
    store = correcting._store
    monkeypatch.setattr(correcting, "_store", lambda step, rows, *of: store(step, rows[:1], *of))
    monkeypatch.setattr(correcting, "release", lambda *args, **columns: True)
    correcting.correct(killed)
    monkeypatch.undo()
    assert correcting.state_of(long_job) == "running"

    expire(killed)
    assert lost_work.expire_leases() == 1
    assert correcting.state_of(long_job) == "waiting"
    again = take(long_job.steps.get())
    # The killed one was only slow: it stores nothing any more.
    with pytest.raises(LeaseLost):
        correcting.correct(killed)
    correcting.correct(again)
    assert long_job.steps.get().status == WorkStatus.DONE
    once = stored(long_job)
    apply_again(long_job.pk)
    unit.do_next()
    assert stored(long_job) == once
    assert "an old wireless." in text_of(long_job)


def test_a_worker_does_what_a_locked_database_kept_a_request_from(long_job, settings, monkeypatch):
    settings.CORRECT_AT_ONCE_S = 3600
    settings.RETRY_BACKOFF_S = 0

    def locked(*args):
        raise OperationalError("database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(correcting, "_store", locked)
        assert apply_again(long_job.pk) == Outcome.BEGUN
    step = long_job.steps.get()
    assert step.status == WorkStatus.RUNNING
    expire(step)
    lost_work.expire_leases()
    correcting.correct(take(step))
    assert "an old wireless." in text_of(long_job)


def test_a_worker_tries_again_while_the_database_is_locked(long_job, monkeypatch):
    store, refusals = correcting._store, [OperationalError("database is locked")] * 2

    def sometimes(*args):
        if refusals:
            raise refusals.pop()
        return store(*args)

    monkeypatch.setattr(correcting, "_store", sometimes)
    monkeypatch.setattr("jobs_app.work.unit.connection.close", lambda: None)
    monkeypatch.setattr("jobs_app.work.unit.time.sleep", lambda s: None)
    apply_again(long_job.pk)
    unit.do_next()
    assert refusals == []
    assert "an old wireless." in text_of(long_job)


def test_a_run_that_fails_for_good_leaves_the_job_as_it_is(long_job, settings, monkeypatch):
    settings.MAX_ATTEMPTS = 1

    def break_down(*args):
        raise RuntimeError("a bug")

    apply_again(long_job.pk)
    with monkeypatch.context() as patched:
        patched.setattr(correcting, "_store", break_down)
        unit.do_next()
    assert correcting.state_of(long_job) == "failed"
    assert "radio" in text_of(long_job)
    assert (long_job.status, long_job.error_code) == (JobStatus.COMPLETED, "")
    assert apply_again(long_job.pk) == Outcome.BEGUN
    unit.do_next()
    assert correcting.state_of(long_job) == ""
