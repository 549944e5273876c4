"""The languages of a job's windows: what they say to each other, and which are heard again."""

from __future__ import annotations

import pytest

from jobs_app.lifecycle.finishing import finish_job, finish_window
from jobs_app.lifecycle.languages import prior_beside
from jobs_app.models import JobStatus, StepKind, WorkStatus
from speech.types import SpeechSegment, Transcription
from speech.windows.cuts import Window
from tests.job_rows import create_job
from tests.jobs.conftest import prepare, statuses, take

ENGLISH = {"en": 0.98, "de": 0.01}
GERMAN = {"de": 0.98, "en": 0.01}
A_WORD = {"de": 0.5, "en": 0.3}


def heard(probabilities: dict[str, float]) -> Transcription:
    language, confidence = next(iter(probabilities.items()))
    segment = SpeechSegment(0, 500, f"in {language}", language=language)
    return Transcription((segment,), language, confidence, language_probabilities=probabilities)


@pytest.fixture
def job(alice, new_job):
    """A short window, then three long ones."""
    job = new_job(alice)
    plan = [
        Window(0, 1000, speech_ms=800),
        *(Window(a, a + 9000, speech_ms=9000) for a in (1000, 10000, 19000)),
    ]
    assert prepare(take(job.steps.get()), plan)
    job.refresh_from_db()
    return job


def finish(job, *found: dict[str, float]) -> None:
    windows = job.windows.filter(status=WorkStatus.WAITING, language_revised=False).order_by("number")
    for window, probabilities in zip(windows, found, strict=False):
        assert finish_window(take(window), heard(probabilities))


def test_a_doubtful_window_is_heard_again_when_the_others_are_in_another_language(job):
    finish(job, A_WORD)
    assert statuses(job)[0] == "done"
    finish(job, ENGLISH, ENGLISH)
    assert statuses(job) == ["waiting", "done", "done", "waiting"]
    first = take(job.windows.get(number=0))
    assert next(iter(prior_beside(first).weigh(A_WORD))) == "en"
    # It is heard again once, whatever comes out.
    assert finish_window(first, heard(A_WORD))
    finish(job, ENGLISH)
    assert statuses(job) == ["done"] * 4
    assert finish_job(take(job.steps.get(kind=StepKind.FINISH)))
    job.refresh_from_db()
    assert job.status == JobStatus.COMPLETED
    assert (job.transcript.detected_language, job.transcript.language_is_guess) == ("en", False)
    assert sorted(job.segments.values_list("language", flat=True)) == ["de", "en", "en", "en"]


def test_a_job_is_not_completed_before_its_windows_are_heard_again(job):
    finish(job, A_WORD, ENGLISH)
    job.windows.filter(number=3).update(status=WorkStatus.DONE)
    finish(job, ENGLISH)
    assert statuses(job) == ["waiting", "done", "done", "done"]
    assert not job.steps.filter(kind=StepKind.FINISH).exists()


def test_a_window_that_clearly_speaks_another_language_keeps_it(job):
    finish(job, A_WORD, ENGLISH, GERMAN, ENGLISH)
    assert statuses(job)[1:] == ["done"] * 3
    assert not job.windows.get(number=2).language_revised


def test_where_the_language_was_given_nothing_is_heard_again(alice, planned_job):
    job = planned_job(alice, 3, language="de")
    finish(job, A_WORD, ENGLISH, ENGLISH)
    assert statuses(job) == ["done"] * 3


def test_a_word_alone_is_a_guess(alice, planned_job):
    job = planned_job(alice, 1)
    finish(job, A_WORD)
    assert finish_job(take(job.steps.get(kind=StepKind.FINISH)))
    job.refresh_from_db()
    assert job.transcript.language_is_guess


def test_a_new_job_knows_the_languages_of_the_last_ones(alice, bob, new_session, new_job):
    for owner, language, guess in (
        (alice, "fr", False),
        (alice, "fr", False),
        (alice, "it", True),
        (bob, "es", False),
    ):
        create_job(
            session=new_session(owner),
            engine="fake",
            model="fake",
            status="completed",
            stage="ended",
            ended_at="2026-01-01T00:00Z",
            detected_language=language,
            language_is_guess=guess,
        )
    assert new_job(alice).options.likely_languages == "fr=6.0"
    assert new_job(alice, language="de").options.likely_languages == ""


def test_windows_choose_among_the_languages_of_the_site_and_of_the_person(alice, planned_job, settings):
    allowed = lambda job: prior_beside(job.windows.first()).allowed  # noqa: E731
    assert allowed(planned_job(alice)) == frozenset()
    assert allowed(planned_job(alice, languages="de,fr")) == {"de", "fr"}
    settings.LANGUAGES_ALLOWED = ["en", "de"]
    assert allowed(planned_job(alice)) == {"en", "de"}
    assert allowed(planned_job(alice, languages="de,fr")) == {"de"}
    assert allowed(planned_job(alice, languages="it")) == {"en", "de"}
