"""What the pages of a recording say about its second hearing, and how somebody chooses the text."""

from __future__ import annotations

import pytest
from django.urls import reverse

from jobs_app.models import JobKind, TranscriptionJob
from sessions_app.models import Edit, RecordingSession
from tests.job_rows import change_job
from tests.samples import SENTENCES, add_segments, completed_job, run_again, words_on
from tests.sessions.pages.conftest import show

pytestmark = pytest.mark.django_db

GOES_ON = "is being heard once more, for a better text: 40 %"
READY = "A second, more careful hearing of this recording is ready."
REPLACED = "A second, more careful hearing is the transcript now."


def refine(job: TranscriptionJob, **columns) -> TranscriptionJob:
    """A refinement of `job` as `columns` say, by default in the middle."""
    columns = {"status": "processing", "stage": "transcribing", "progress": 40, **columns}
    return run_again(RecordingSession.objects.get(pk=job.session_id), kind=JobKind.REFINE, **columns)


def refined(job: TranscriptionJob) -> TranscriptionJob:
    """A completed refinement, which has taken the place if it may."""
    refinement = refine(job)
    add_segments(refinement, SENTENCES)
    change_job(refinement, status="completed", stage="ended", ended_at=job.ended_at, total_segments=3)
    RecordingSession.objects.get(pk=job.session_id).job_completed(refinement)
    return refinement


def current(job: TranscriptionJob) -> TranscriptionJob:
    return RecordingSession.objects.get(pk=job.session_id).current_job


def fragment(page, job: TranscriptionJob, **query):
    return page.get(reverse("second-hearing", args=[job.pk]), query)


def test_the_page_says_quietly_that_it_is_heard_once_more(page, alice):
    job = completed_job(alice)
    refine(job)
    shown = show(page, job)
    said = words_on(shown)
    assert GOES_ON in said
    assert SENTENCES[0] in said
    assert f'data-poll-url="{reverse("second-hearing", args=[job.pk])}"' in shown.content.decode()


def test_the_list_shows_the_recording_as_done(page, alice, api):
    job = completed_job(alice)
    refine(job)
    assert "once more" not in words_on(page.get(reverse("home")))
    assert words_on(page.get(reverse("home"), {"status": "completed"})).count("A talk") == 1
    assert "A talk" not in words_on(page.get(reverse("home"), {"status": "active"}))
    assert api.get(f"/api/sessions/{job.session_id}/").json()["state"] == "completed"


def test_before_a_worker_takes_it_the_page_promises_no_time(page, alice):
    job = completed_job(alice)
    refine(job, status="pending", stage="waiting", progress=0)
    assert "when the server has time" in words_on(show(page, job))


def test_the_part_that_is_asked_for_changes_only_with_what_it_shows(page, alice):
    job = completed_job(alice)
    refinement = refine(job)
    version = fragment(page, job).content.decode().split('data-version="')[1].split('"')[0]
    assert fragment(page, job, seen=version).status_code == 204
    change_job(refinement, progress=41)
    again = fragment(page, job, seen=version)
    assert "41 %" in words_on(again)
    assert 'data-final="no"' in again.content.decode()


def test_a_reader_of_the_first_text_is_led_to_the_second(page, alice):
    job = completed_job(alice)
    refinement = refined(job)
    assert current(job) == refinement
    part = fragment(page, job)
    assert REPLACED in words_on(part)
    assert 'data-final="yes"' in part.content.decode()
    assert reverse("job", args=[refinement.pk]) in part.content.decode()
    there = show(page, refinement)
    assert "This is the second, more careful hearing" in words_on(there)
    assert reverse("job", args=[job.pk]) in there.content.decode()


def test_beside_a_text_that_was_edited_the_second_is_offered(page, alice):
    job = completed_job(alice)
    Edit.objects.create(job=job, segment_number=0, kind="text", value="Good evening.")
    refinement = refined(job)
    assert current(job) == job
    assert READY in words_on(show(page, job))
    assert "The transcript of the recording is another one" in words_on(show(page, refinement))
    answer = page.post(reverse("use-job", args=[refinement.pk]), follow=True)
    assert "This is the transcript of the recording now." in words_on(answer)
    assert current(job) == refinement
    page.post(reverse("use-job", args=[job.pk]))
    assert current(job) == job


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_second_hearing_that_failed_is_not_spoken_of(page, alice, status):
    job = completed_job(alice)
    refine(job, status=status, error_code="crashed" if status == "failed" else "")
    said = words_on(show(page, job))
    assert "second" not in said.replace("second hearing", "", 1)  # but among all runs
    assert 'data-final="yes"' in fragment(page, job).content.decode()


def test_one_without_words_is_not_offered(page, alice):
    job = completed_job(alice)
    refine(job, status="completed")
    assert READY not in words_on(show(page, job))


def test_a_newer_run_does_not_speak_of_it(page, alice):
    job = completed_job(alice)
    refined(job)
    newer = run_again(RecordingSession.objects.get(pk=job.session_id), status="completed")
    assert current(job) == newer
    for shown in (newer, job):
        assert "hearing is" not in words_on(show(page, shown))


def test_only_a_completed_job_can_be_used_and_only_by_its_owner(page, alice, bob, client):
    job = completed_job(alice)
    refinement = refine(job)
    assert page.post(reverse("use-job", args=[refinement.pk])).status_code == 404
    client.force_login(bob)
    for name in ("use-job", "second-hearing"):
        assert client.post(reverse(name, args=[job.pk])).status_code in (404, 405)
    assert fragment(client, job).status_code == 404
    assert current(job) == job


def test_again_begins_with_what_was_chosen_and_not_with_what_a_second_hearing_has(page, alice):
    job = completed_job(alice)
    refinement = refine(job, status="completed", priority="low")
    shown = show(page, refinement).context["again_form"]
    assert shown["priority"].value() == "normal"


def test_transcribing_again_cancels_it(page, alice):
    job = completed_job(alice, audio=b"RIFF")
    refinement = refine(job)
    page.post(reverse("transcribe-again", args=[job.pk]), {"engine_model": "fake/fake"})
    refinement.refresh_from_db()
    assert refinement.status == "cancelled"
    assert TranscriptionJob.objects.runs().active().count() == 1


def test_the_runs_of_a_recording_say_which_is_the_second_hearing(page, alice):
    job = completed_job(alice)
    refine(job)
    assert "fake, second hearing" in words_on(show(page, job))
