"""The job that stands for a recording: in lists, states and search."""

from __future__ import annotations

import pytest

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle import failing
from jobs_app.lifecycle.choices import cancel_job, delete_job, retry_job
from jobs_app.lifecycle.finishing import finish_job
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import StepKind
from sessions_app.models import RecordingSession
from sessions_app.pages.home import recordings
from speech.errors import NoAudio
from tests.job_rows import change_job
from tests.jobs.conftest import prepare, take

pytestmark = pytest.mark.django_db


def complete(job):
    """Silence, so that there are no windows."""
    assert prepare(take(job.steps.get(kind=StepKind.PREPARE)), [])
    assert finish_job(take(job.steps.get(kind=StepKind.FINISH)))
    return job


def fail(job):
    assert failing.settle_failure(take(job.steps.get(kind=StepKind.PREPARE)), NoAudio())
    return job


def again(job):
    return start_job(job.session, resolve_options(engine="fake"))


def current(job):
    return RecordingSession.objects.get(pk=job.session_id).current_job


def state(job) -> tuple[str, bool]:
    """As the recording gives it, and whether the filters of lists agree."""
    session = RecordingSession.objects.get(pk=job.session_id)
    found = RecordingSession.objects.in_state(session.state)
    listed = RecordingSession.objects.with_summary().get(pk=session.pk).state
    return session.state, found.filter(pk=session.pk).exists() and listed == session.state


def test_the_first_job_stands_for_its_recording_from_the_start(alice, new_job):
    job = new_job(alice)
    assert current(job) == job
    assert state(job) == ("processing", True)
    fail(job)
    assert (current(job), state(job)) == (job, ("failed", True))


def test_a_new_run_takes_the_place_of_a_transcript_when_it_has_one(alice, new_job):
    first = complete(new_job(alice))
    second = again(first)
    assert (current(first), state(first)) == (first, ("completed", True))
    complete(second)
    assert (current(first), state(first)) == (second, ("completed", True))


def test_a_new_run_that_fails_leaves_the_transcript_where_it_is(alice, new_job):
    first = complete(new_job(alice))
    fail(again(first))
    assert (current(first), state(first)) == (first, ("completed", True))


def test_where_there_is_no_transcript_the_newest_run_counts(alice, new_job):
    first = fail(new_job(alice))
    second = again(first)
    assert (current(first), state(first)) == (second, ("processing", True))
    cancel_job(second.pk)
    assert (current(first), state(first)) == (second, ("cancelled", True))


def test_a_run_that_is_tried_again_takes_the_place_when_it_completes(alice, new_job):
    failed = fail(new_job(alice))
    complete(again(failed))
    assert retry_job(failed.pk)
    assert current(failed) != failed
    complete(failed)
    assert current(failed) == failed


def test_the_newest_other_transcript_takes_the_place_of_one_that_is_deleted(alice, new_job):
    first = complete(new_job(alice))
    second, failed, last = complete(again(first)), fail(again(first)), complete(again(first))
    delete_job(last.pk)
    assert current(first) == second
    delete_job(failed.pk)
    assert current(first) == second
    delete_job(second.pk)
    assert current(first) == first


def test_without_a_transcript_the_newest_run_takes_the_place_and_without_a_run_nothing(alice, new_job):
    first = fail(new_job(alice))
    second, last = fail(again(first)), complete(again(first))
    delete_job(last.pk)
    assert (current(first), state(first)) == (second, ("failed", True))
    delete_job(second.pk)
    delete_job(first.pk)
    assert (current(first), state(first)) == (None, ("cancelled", True))
    assert RecordingSession.objects.untranscribed().get() == first.session


def test_a_list_is_searched_by_the_transcript_that_it_shows(alice, new_job):
    first = complete(new_job(alice))
    second = complete(again(first))
    for job, text in ((first, "badger"), (second, "heron")):
        change_job(job, transcript=text)
    assert list(recordings(alice, "heron", ())) == [first.session]
    assert list(recordings(alice, "badger", ())) == []
