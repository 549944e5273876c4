"""The page of one job: progress, transcript, and what can be done with it."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone

from jobs_app.lifecycle.starting import add_step
from jobs_app.models import ChunkTranscription, Runner, SoundTrack, StepKind, TranscriptionJob
from jobs_app.models.stored_words import encode_words
from rest.throttling import UploadThrottle
from sessions_app.models import RecordingSession
from tests.job_rows import change_job
from tests.samples import (
    SENTENCES,
    add_segments,
    completed_job,
    make_job,
    run_again,
    word_times,
    words_on,
)
from tests.sessions.conftest import sound
from tests.sessions.pages.conftest import show

pytestmark = pytest.mark.django_db
POSTS = ["cancel-job", "retry-job", "transcribe-again", "rename-recording", "delete-recording"]


# --- Who may see it ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["job", "job-progress", "delete-recording"])
def test_someone_elses_job_does_not_exist(client, alice, bob, name):
    job = completed_job(alice)
    client.force_login(bob)
    assert client.get(reverse(name, args=[job.pk])).status_code == 404


@pytest.mark.parametrize("name", POSTS)
def test_nothing_can_be_done_to_someone_elses_job(client, alice, bob, name):
    job = make_job(alice, status="processing")
    client.force_login(bob)
    assert client.post(reverse(name, args=[job.pk]), {"title": "Bobs"}).status_code == 404
    job.refresh_from_db()
    assert (job.status, job.session.title) == ("processing", "A talk")


@pytest.mark.parametrize("name", [*POSTS, "job"])
def test_a_stranger_is_sent_to_the_login(client, alice, name):
    url = reverse(name, args=[completed_job(alice).pk])
    response = client.post(url)
    assert response.status_code == 302
    assert response.url.startswith(reverse("login"))


@pytest.mark.parametrize("name", [name for name in POSTS if name != "delete-recording"])
def test_a_link_alone_changes_nothing(page, alice, name):
    assert page.get(reverse(name, args=[completed_job(alice).pk])).status_code == 405


def test_an_unknown_job_is_a_404(page):
    assert page.get(reverse("job", args=[uuid.uuid4()])).status_code == 404
    assert page.get("/jobs/not-an-id/").status_code == 404


# --- Progress ------------------------------------------------------------------------------------


def test_a_job_in_progress_shows_stage_percent_and_time_left(page, alice):
    started = timezone.now() - timedelta(minutes=4)
    job = make_job(alice, status="processing", stage="transcribing", progress=40, started_at=started)
    said = words_on(show(page, job))
    assert "Transcribing 40 %" in said
    assert "About 6 minutes left." in said
    assert "Cancel" in said


def test_a_waiting_job_shows_its_place_in_the_queue(page, alice, new_pending_job):
    now = timezone.now()
    Runner.objects.create(name="host:1", workers=1, beat_at=now, proven_at=now)
    first, second = new_pending_job(alice), new_pending_job(alice)
    assert "It is next." in words_on(show(page, first))
    assert "Place 2 in the queue." in words_on(show(page, second))


def test_a_waiting_job_says_so_when_no_worker_runs(page, alice, new_pending_job):
    assert "No worker is running" in words_on(show(page, new_pending_job(alice)))


@pytest.fixture
def new_pending_job(monkeypatch):
    from jobs_app.engines.resolving import resolve_options
    from jobs_app.lifecycle.starting import start_job

    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: None)

    def make(owner):
        session = RecordingSession.objects.create(owner=owner, source="upload", finished_at=timezone.now())
        job = start_job(session, resolve_options(engine="fake"))
        # PostgreSQL's clock stands still within a test's transaction.
        now = timezone.now()
        TranscriptionJob.objects.filter(pk=job.pk).update(created_at=now)
        job.steps.update(queued_at=now)
        return job

    return make


def heard_while_recorded(owner, *, length_ms: int) -> TranscriptionJob:
    """A recording of so much, which ended just now; of its first 9 s there is text."""
    job = make_job(owner, status="processing", stage="transcribing")
    RecordingSession.objects.filter(pk=job.session_id).update(source="recorder")
    SoundTrack.objects.filter(pk=job.sound_id).update(duration_ms=length_ms)
    add_segments(job, SENTENCES)
    return job


def test_after_the_stop_the_text_stands_and_no_percentage(page, alice):
    job = heard_while_recorded(alice, length_ms=12_000)
    said = words_on(show(page, job))
    assert "Finishing The text is below." in said
    assert "0 %" not in said
    assert all(sentence in said for sentence in SENTENCES)
    # Nobody knows yet how long it is.
    assert "Length" not in said
    add_step(job, StepKind.LIVE, owner_id=alice.pk)
    SoundTrack.objects.filter(pk=job.sound_id).update(duration_ms=None)
    assert "Finishing" in words_on(page.get(reverse("job-progress", args=[job.pk])))


def test_where_much_is_left_after_the_stop_the_percentage_is_shown(page, alice):
    job = heard_while_recorded(alice, length_ms=600_000)
    change_job(job, progress=3)
    assert "Transcribing 3 %" in words_on(show(page, job))


def test_what_was_heard_last_is_shown_while_it_works(page, alice):
    job = make_job(alice, status="processing", stage="transcribing", progress=40)
    add_segments(job, SENTENCES)
    assert "Heard last Good morning" in words_on(show(page, job))


def test_progress_is_sent_again_only_when_it_changed(page, alice):
    job = make_job(alice, status="processing", stage="preparing", progress=3)
    url = reverse("job-progress", args=[job.pk])
    first = page.get(url).content.decode()
    assert 'data-final="no"' in first
    seen = re.search(r'data-version="([^"]+)"', first)[1]
    assert page.get(url, {"seen": seen}).status_code == 204
    TranscriptionJob.objects.filter(pk=job.pk).update(progress=4)
    assert "4 %" in words_on(page.get(url, {"seen": seen}))
    TranscriptionJob.objects.filter(pk=job.pk).update(
        status="completed", stage="ended", progress=100, ended_at=timezone.now()
    )
    assert 'data-final="yes"' in page.get(url, {"seen": seen}).content.decode()


def test_without_javascript_the_page_loads_itself_again_until_the_end(page, alice):
    refresh = '<noscript><meta http-equiv="refresh"'
    job = make_job(alice, status="processing")
    assert refresh in show(page, job).content.decode()
    assert refresh not in show(page, completed_job(alice)).content.decode()


# --- The transcript ------------------------------------------------------------------------------


def test_a_transcript_is_shown_with_times_player_downloads_and_facts(page, alice):
    job = completed_job(
        alice,
        audio=sound(),
        filename="talk.wav",
        started_at=timezone.now() - timedelta(seconds=3),
        ended_at=timezone.now(),
    )
    response = show(page, job)
    html, said = response.content.decode(), words_on(response)
    for sentence in SENTENCES:
        assert sentence in said
    assert 'data-start="3000" data-end="5800" data-words="3000:5 3466:2 ' in html
    assert f'src="/api/sessions/{job.session_id}/audio/"' in html
    for ending in ("txt", "srt", "vtt", "json"):
        assert f"/api/jobs/{job.pk}/transcript.{ending}?download=1" in html
    for fact in ("English 97 % sure", "Words 22", "Length 0:09", "Speed 3.0", "Model fake", "talk.wav"):
        assert fact in said


def test_every_download_and_the_audio_are_there(page, alice):
    job = completed_job(alice, audio=sound())
    links = set(re.findall(r'href="([^"]+download=1)"', show(page, job).content.decode()))
    assert len(links) == 5
    for link in links:
        response = page.get(link)
        assert response.status_code == 200
        assert response.headers["Content-Disposition"].startswith("attachment")


def test_a_new_paragraph_begins_after_a_pause(page, alice):
    job = completed_job(alice)
    later = job.segments.get(start_ms=6000)
    later.start_ms, later.end_ms, later.raw_words = 60_000, 62_000, ""
    later.save()
    html = show(page, job).content.decode()
    assert html.count('class="paragraph"') == 2
    assert 'data-seek="60000">1:00</a>' in html


def test_a_segment_says_whether_a_paragraph_begins_with_it(page, alice):
    job = completed_job(alice)
    assert show(page, job).content.decode().count('class="paragraph"') == 1
    job.segments.filter(number=1).update(break_before=True)
    assert show(page, job).content.decode().count('class="paragraph"') == 2
    # A pause begins one, too, unless the segment says that it does not.
    job.segments.filter(number=2).update(start_ms=60_000, end_ms=62_000, break_before=False)
    assert show(page, job).content.decode().count('class="paragraph"') == 2


def test_words_that_are_not_those_of_the_text_give_no_times(page, alice):
    job = completed_job(alice)
    text, words = "Welcome to all.", word_times("welcome to everybody here", 0)
    job.segments.filter(start_ms=0).update(raw_text=text, raw_words=encode_words(words, text))
    html = show(page, job).content.decode()
    assert f'<span data-start="0" data-end="2800">{text}</span>' in html


def test_what_was_said_is_shown_as_text_never_as_markup(page, alice):
    job = completed_job(alice, title="<i>x</i>", sentences=("<script>alert(1)</script> he said.",))
    html = show(page, job).content.decode()
    assert "<script>alert" not in html
    assert "<i>x" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; he said." in html


def test_chinese_sentences_are_joined_without_spaces(page, alice):
    job = completed_job(alice, sentences=("今天天气很好。", "我们去公园。"))
    assert re.search(r"今天天气很好。</span><span", show(page, job).content.decode())


def test_no_speech_is_a_result_not_an_error(page, alice):
    said = words_on(show(page, completed_job(alice, sentences=())))
    assert "No speech was found" in said
    assert "Done" in said
    assert "Retry" not in said


def test_what_was_damaged_is_said(page, alice):
    report = {"bad_packets": 3, "bad_reads": 0, "filled_ms": 1200}
    said = words_on(show(page, completed_job(alice, report=report)))
    assert "3 damaged places were skipped, 1.2 s filled with silence." in said
    assert "damaged" not in words_on(show(page, completed_job(alice)))


def test_a_failed_job_shows_why_what_there_is_and_retry(page, alice):
    job = make_job(alice, status="failed", error_code="crashed", error="It broke. Press Retry.")
    add_segments(job, SENTENCES[:1])
    said = words_on(show(page, job))
    assert "It broke. Press Retry." in said
    assert "crashed" in said
    assert "Transcribed so far" in said
    assert SENTENCES[0] in said


def test_all_runs_of_a_recording_are_listed(page, alice):
    first = completed_job(alice)
    second = run_again(first.session, status="cancelled")
    html = show(page, first).content.decode()
    assert "All runs of this recording" in html
    assert reverse("job", args=[second.pk]) in html


def test_a_long_transcript_costs_few_queries(page, alice, django_assert_max_num_queries):
    job = completed_job(alice, sentences=tuple(f"This is sentence number {n}." for n in range(1000)))
    with django_assert_max_num_queries(10):
        assert "sentence number 999" in words_on(show(page, job))


# --- What can be done ----------------------------------------------------------------------------


def test_a_running_job_is_cancelled(page, alice):
    job = make_job(alice, status="processing", stage="transcribing")
    response = page.post(reverse("cancel-job", args=[job.pk]), follow=True)
    assert "This transcript was cancelled" in words_on(response)
    job.refresh_from_db()
    assert job.status == "cancelled"


def test_a_job_that_has_ended_is_not_cancelled(page, alice):
    job = completed_job(alice)
    response = page.post(reverse("cancel-job", args=[job.pk]), follow=True)
    assert "It had ended before" in words_on(response)
    job.refresh_from_db()
    assert job.status == "completed"


def test_a_failed_job_is_retried(page, alice):
    job = make_job(alice, status="failed", error="It broke.")
    page.post(reverse("retry-job", args=[job.pk]))
    job.refresh_from_db()
    assert (job.status, job.attempt) == ("pending", 2)


def test_a_job_that_has_not_failed_is_not_retried(page, alice):
    job = completed_job(alice)
    response = page.post(reverse("retry-job", args=[job.pk]), follow=True)
    assert "Only a failed transcript" in words_on(response)


def test_a_retry_while_another_run_works_is_refused_with_a_sentence(page, alice):
    job = make_job(alice, status="failed", error="It broke.")
    run_again(job.session, status="processing")
    response = page.post(reverse("retry-job", args=[job.pk]), follow=True)
    assert "is being transcribed already" in words_on(response)


def test_a_recording_is_transcribed_again_with_other_options(page, alice):
    job = completed_job(alice, filename="talk.wav")
    url = reverse("transcribe-again", args=[job.pk])
    response = page.post(url, {"engine_model": "fake/fake", "language": "zh-TW", "priority": "high"})
    new = TranscriptionJob.objects.get(session=job.session, status="pending")
    assert response.url == reverse("job", args=[new.pk])
    assert (new.language, new.priority, new.filename) == ("zh", "high", "talk.wav")
    again = page.post(url, {"engine_model": "fake/fake"}, follow=True)
    assert "is being transcribed already" in words_on(again)
    page.post(reverse("cancel-job", args=[new.pk]))
    assert '<option value="zh-Hant" selected>' in page.get(response.url).content.decode()
    assert job.session.jobs.count() == 2


def test_options_that_the_model_does_not_have_are_refused_on_the_page(page, alice):
    job = completed_job(alice)
    url = reverse("transcribe-again", args=[job.pk])
    response = page.post(url, {"engine_model": "fake/fake", "translate_to": "en"})
    assert response.status_code == 422
    assert "cannot translate" in words_on(response)


def test_transcribing_again_has_the_throttle_of_uploads(page, alice, monkeypatch):
    monkeypatch.setattr(UploadThrottle, "rate", "1/hour", raising=False)
    job = completed_job(alice)
    url = reverse("transcribe-again", args=[job.pk])
    assert page.post(url, {"engine_model": "fake/fake"}).status_code == 302
    response = page.post(url, {"engine_model": "fake/fake"})
    assert response.status_code == 429
    assert "Wait a while" in words_on(response)


def test_a_recording_is_renamed(page, alice):
    job = completed_job(alice, title="Before")
    url = reverse("rename-recording", args=[job.pk])
    assert page.post(url, {"title": " After "}).status_code == 302
    job.session.refresh_from_db()
    assert job.session.title == "After"
    refused = page.post(url, {"title": "x" * 201})
    assert refused.status_code == 422
    assert "at most 200 characters" in words_on(refused)
    assert "After" in words_on(refused)


def test_deleting_asks_first_and_then_removes_recording_and_audio(
    page, alice, django_capture_on_commit_callbacks
):
    job = completed_job(alice, title="Old talk", audio=sound())
    stored = job.session.chunks.get().file.name
    url = reverse("delete-recording", args=[job.pk])
    assert "Delete this recording?" in words_on(page.get(url))
    assert RecordingSession.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        response = page.post(url)
    assert "“Old talk” is deleted." in words_on(page.get(response.url))
    assert not RecordingSession.objects.exists()
    assert not ChunkTranscription.objects.exists()
    assert not default_storage.exists(stored)


def test_a_running_job_can_be_deleted(page, alice):
    job = make_job(alice, status="processing")
    assert page.post(reverse("delete-recording", args=[job.pk])).status_code == 302
    assert not TranscriptionJob.objects.exists()


def test_the_text_of_a_recording_is_shown_while_it_grows(page, alice):
    job = make_job(alice)
    html = page.get(reverse("job", args=[job.pk])).content.decode()
    assert "data-socket" not in html
    RecordingSession.objects.update(source="recorder", current_job=job)
    html = page.get(reverse("job", args=[job.pk])).content.decode()
    assert f'data-socket="ws/sessions/{job.session_id}/live/"' in html
    assert "live/watch.js" in html
    TranscriptionJob.objects.update(status="failed", error_code="x", error="No.", ended_at=timezone.now())
    html = page.get(reverse("job", args=[job.pk])).content.decode()
    assert "data-socket" not in html
