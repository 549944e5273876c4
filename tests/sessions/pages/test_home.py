"""The list of transcripts, uploading without JavaScript, and what all pages have in common."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs_app.models import TranscriptionJob
from rest.throttling import UploadThrottle
from sessions_app.models import RecordingSession
from tests.samples import completed_job, make_job, run_again, words_on
from tests.sessions.conftest import sound

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def storage(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "tmp"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    settings.MIN_FREE_DISK_BYTES = 0
    settings.DEFAULT_ENGINE = "fake"


@pytest.fixture
def page(client, alice) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def bobs_page(bob) -> Client:
    client = Client()
    client.force_login(bob)
    return client


def send(client: Client, *files: tuple[str, bytes], **options: str):
    uploads = []
    for name, content in files:
        uploads.append(BytesIO(content))
        uploads[-1].name = name
    return client.post(reverse("upload"), {"file": uploads, "engine_model": "fake/fake", **options})


# --- What all have in common ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["home", "home-rows", "upload", "account", "change-password"])
def test_a_stranger_is_sent_to_the_login(client, name):
    response = client.get(reverse(name))
    assert response.status_code == 302
    assert response.url == f"{reverse('login')}?next={reverse(name)}"


@pytest.mark.parametrize("name", ["home", "upload", "account", "change-password"])
def test_pages_keep_to_their_content_security_policy(page, name):
    response = page.get(reverse(name))
    assert response.status_code == 200
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    html = response.content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", html)


def test_a_page_has_landmarks_a_heading_and_a_way_past_the_navigation(page):
    html = page.get(reverse("home")).content.decode()
    assert '<html lang="en" ' in html
    assert '<a class="skip" href="#main">' in html
    assert '<main id="main"' in html
    assert html.count("<h1") == 1
    assert 'aria-current="page"' in html


def test_only_staff_see_the_way_to_the_admin(page, staff):
    assert reverse("admin:index") not in page.get(reverse("home")).content.decode()
    page.force_login(staff)
    assert reverse("admin:index") in page.get(reverse("home")).content.decode()


def test_an_unknown_address_is_a_page_with_a_way_out(page):
    response = page.get("/nowhere/")
    assert response.status_code == 404
    assert "There is nothing here" in words_on(response)
    assert f'href="{reverse("home")}"' in response.content.decode()


def test_a_form_without_a_valid_csrf_token_is_refused_with_a_sentence(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    response = client.post(reverse("account"))
    assert response.status_code == 403
    assert "Load it again" in words_on(response)


def test_a_bug_is_answered_with_a_page_that_asks_nothing_of_the_database(page, monkeypatch, settings):
    def broken(*args):
        raise RuntimeError("a bug")

    monkeypatch.setattr("sessions_app.pages.home.listing", broken)
    page.raise_request_exception = False
    response = page.get(reverse("home"))
    assert response.status_code == 500
    assert "Something went wrong on the server" in words_on(response)


def test_times_are_in_the_viewers_zone(page, alice):
    job = completed_job(alice)
    TranscriptionJob.objects.filter(pk=job.pk).update(created_at="2026-01-05T23:30:00Z")
    assert "5 Jan 2026, 23:30" in words_on(page.get(reverse("home")))
    page.cookies["timezone"] = "Asia/Tokyo"
    response = page.get(reverse("home"))
    assert "6 Jan 2026, 08:30" in words_on(response)
    assert 'datetime="2026-01-06T08:30:00+09:00"' in response.content.decode()


@pytest.mark.parametrize(
    "zone", ["Nowhere/City", "../../etc/passwd", "Europe", "x" * 3000, "/etc/passwd", "é"]
)
def test_a_zone_that_is_none_does_not_matter(page, zone):
    page.cookies["timezone"] = zone
    assert page.get(reverse("home")).status_code == 200


# --- The list ------------------------------------------------------------------------------------


def test_a_newcomer_is_invited_to_upload(page):
    response = page.get(reverse("home"))
    assert "Your first transcript is one file away" in words_on(response)
    assert response.content.decode().count(f'href="{reverse("upload")}"') >= 2
    assert 'type="search"' not in response.content.decode()


def test_the_list_shows_title_status_length_and_the_beginning_of_the_text(page, alice):
    job = completed_job(alice, title="Radio workshop", duration_ms=754_000)
    response = page.get(reverse("home"))
    said = words_on(response)
    for what in ("Radio workshop", "Done", "12:34", "Upload", "Good morning, and welcome"):
        assert what in said
    assert reverse("job", args=[job.pk]) in response.content.decode()


def test_the_newest_recording_comes_first_and_stands_once_with_its_last_run(page, alice):
    first = make_job(alice, title="First", status="cancelled")
    make_job(alice, title="Second", status="pending")
    run_again(first.session, status="failed", error="It broke. Try again.")
    said = words_on(page.get(reverse("home")))
    assert said.index("Second") < said.index("First")
    assert said.count("First") == 1
    assert "It broke. Try again." in said


def test_only_the_run_that_stands_for_a_recording_is_searched_and_filtered(page, alice):
    first = completed_job(alice, title="First", sentences=("An old radio.",))
    completed_job(alice, title="Second", sentences=("We plant beans.",))
    run_again(first.session, status="failed", error="It broke. Try again.")
    for query in ({"q": "radio"}, {"status": "completed"}, {"q": "First", "status": "completed"}):
        assert "First" in words_on(page.get(reverse("home"), query))
    assert "Nothing was found" in words_on(page.get(reverse("home"), {"q": "First", "status": "failed"}))
    run_again(first.session, status="completed", transcript="A new one.")
    assert "Nothing was found" in words_on(page.get(reverse("home"), {"q": "radio"}))


def test_others_transcripts_are_not_listed(bobs_page, alice):
    completed_job(alice, title="Alices secret")
    assert "Alices secret" not in words_on(bobs_page.get(reverse("home")))
    assert "Alices secret" not in words_on(bobs_page.get(reverse("home"), {"q": "capacitors"}))


def test_search_finds_words_of_the_transcript_and_marks_them(page, alice):
    completed_job(
        alice, title="Radio", sentences=("Filler words come here. " * 20, "The CAPACITORS are old.")
    )
    completed_job(alice, title="Garden", sentences=("We plant beans.",))
    response = page.get(reverse("home"), {"q": "capacitors"})
    assert "<mark>CAPACITORS</mark>" in response.content.decode()
    assert "1 transcript found" in words_on(response)
    assert "Garden" not in words_on(response)


def test_search_shows_what_was_typed_as_text(page, alice):
    completed_job(alice, title="<b>bold</b>")
    html = page.get(reverse("home"), {"q": "<b>"}).content.decode()
    assert "<mark>&lt;b&gt;</mark>bold" in html
    assert "<b>bold" not in html


@pytest.mark.parametrize("q", ["%", "_", "\x00", "'", "x" * 5000, "ß İ"])
def test_nothing_typed_into_the_search_breaks_it(page, alice, q):
    completed_job(alice)
    assert page.get(reverse("home"), {"q": q, "status": "none", "page": "99999"}).status_code == 200


def test_the_list_is_filtered_by_status(page, alice):
    completed_job(alice, title="Ready")
    make_job(alice, title="Queued", status="pending")
    make_job(alice, title="Broken", status="failed", error="No.")
    said = words_on(page.get(reverse("home"), {"status": "active"}))
    assert "Queued" in said
    assert "Ready" not in said
    assert "Broken" not in said
    assert "Nothing was found" in words_on(page.get(reverse("home"), {"status": "cancelled"}))


def test_a_long_list_has_pages_that_keep_the_search(page, alice):
    for number in range(25):
        make_job(alice, title=f"Talk {number:02}", status="cancelled")
    response = page.get(reverse("home"), {"q": "Talk"})
    assert "Page 1 of 2" in words_on(response)
    assert "?q=Talk&amp;page=2" in response.content.decode()
    assert "Talk 04" in words_on(page.get(reverse("home"), {"q": "Talk", "page": "2"}))


def test_the_list_costs_the_same_however_long_it_is(page, alice, django_assert_num_queries):
    for number in range(20):
        completed_job(alice, title=f"Talk {number}")
    with django_assert_num_queries(6):  # session, user, count, recordings, their jobs, those without a job
        page.get(reverse("home"))


def test_the_list_counts_recordings_and_reads_the_jobs_of_its_page_alone(page, alice, reads_no_texts):
    for number in range(3):
        run_again(completed_job(alice, title=f"Talk {number}").session)
    with CaptureQueriesContext(connection) as asked, reads_no_texts():
        page.get(reverse("home-rows"))
    [count] = [query["sql"] for query in asked if "COUNT(" in query["sql"]]
    # No sort and no look for the newest of each.
    assert "ORDER BY" not in count
    assert " JOIN " not in count
    [rows] = [query["sql"] for query in asked if "SUBSTR" in query["sql"].upper()]
    assert '"jobs_app_transcriptionjob"."id" IN (' in rows
    assert "COUNT(" not in rows


def test_rows_are_sent_again_only_when_something_changed(page, alice):
    job = make_job(alice, status="processing", progress=10, stage="transcribing")
    rows = page.get(reverse("home-rows"))
    assert 'data-final="no"' in rows.content.decode()
    seen = re.search(r'data-version="(\w+)"', rows.content.decode())[1]
    assert page.get(reverse("home-rows"), {"seen": seen}).status_code == 204
    TranscriptionJob.objects.filter(pk=job.pk).update(progress=11)
    assert "11 %" in words_on(page.get(reverse("home-rows"), {"seen": seen}))


def test_a_recording_that_has_just_ended_is_finishing_and_no_percentage_is_shown(page, alice):
    job = make_job(alice, status="processing", stage="transcribing", interactive=True)
    RecordingSession.objects.update(source="recorder")
    said = words_on(page.get(reverse("home-rows")))
    assert "Finishing … In progress" in said
    assert "%" not in said
    TranscriptionJob.objects.filter(pk=job.pk).update(progress=40)
    assert "Transcribing … 40 % In progress 40 %" in words_on(page.get(reverse("home-rows")))


def test_rows_that_have_all_ended_are_final(page, alice):
    completed_job(alice)
    assert 'data-final="yes"' in page.get(reverse("home-rows")).content.decode()


# --- Recordings whose jobs were deleted ----------------------------------------------------------


@pytest.fixture
def without_a_job(alice) -> RecordingSession:
    job = make_job(alice, title="Orphan", status="completed", audio=sound())
    session = job.session
    job.delete()
    return session


def test_a_recording_whose_jobs_were_deleted_is_still_found(page, bobs_page, without_a_job):
    said = words_on(page.get(reverse("home")))
    assert "Orphan No transcript" in said
    assert "Your first transcript" not in said
    assert "Orphan" in words_on(page.get(reverse("home"), {"q": "ORPHAN"}))
    assert "Orphan" not in words_on(page.get(reverse("home"), {"q": "radio"}))
    assert "Orphan" not in words_on(page.get(reverse("home"), {"status": "completed"}))
    assert "Orphan" not in words_on(bobs_page.get(reverse("home")))


def test_a_recording_with_a_job_stands_once(page, alice):
    make_job(alice, title="Radio", status="failed", error="No.")
    assert "Recordings without a transcript" not in words_on(page.get(reverse("home")))


def test_a_recording_whose_jobs_were_deleted_is_transcribed_again(page, without_a_job):
    url = reverse("transcribe-recording", args=[without_a_job.pk])
    assert page.get(url).status_code == 405
    response = page.post(url)
    job = TranscriptionJob.objects.get()
    assert response.url == reverse("job", args=[job.pk])
    assert (job.session, job.status, job.engine, job.filename) == (
        without_a_job,
        "pending",
        "fake",
        "talk.wav",
    )
    # Now it has a job, whose page can do the rest.
    assert page.post(url).status_code == 404


def test_a_recording_whose_jobs_were_deleted_is_deleted_after_a_question(page, without_a_job):
    url = reverse("delete-untranscribed", args=[without_a_job.pk])
    asked = words_on(page.get(url))
    assert "Its audio is deleted for good" in asked
    assert RecordingSession.objects.exists()
    assert "“Orphan” is deleted." in words_on(page.post(url, follow=True))
    assert not RecordingSession.objects.exists()


@pytest.mark.parametrize("name", ["transcribe-recording", "delete-untranscribed"])
def test_nothing_can_be_done_to_someone_elses_recording(bobs_page, without_a_job, name):
    assert bobs_page.post(reverse(name, args=[without_a_job.pk])).status_code == 404
    assert RecordingSession.objects.filter(jobs=None).count() == 1


def test_transcribing_again_has_the_throttle_of_uploads(page, without_a_job, monkeypatch):
    monkeypatch.setattr(UploadThrottle, "rate", "1/hour", raising=False)
    url = reverse("transcribe-recording", args=[without_a_job.pk])
    page.post(url)
    TranscriptionJob.objects.all().delete()
    assert "Wait a while" in words_on(page.post(url, follow=True))
    assert not TranscriptionJob.objects.exists()


# --- Uploading without JavaScript ----------------------------------------------------------------


def test_one_file_leads_to_its_job(page, alice):
    response = send(page, ("talk.wav", sound()), prompt="Okafor", priority="low", language="de-AT")
    job = TranscriptionJob.objects.get()
    assert response.status_code == 302
    assert response.url == reverse("job", args=[job.pk])
    assert (job.session.owner, job.session.source, job.session.title) == (alice, "upload", "talk")
    assert (job.engine, job.language, job.options.prompt, job.priority) == ("fake", "de", "Okafor", "low")
    assert job.session.chunks.get().file.size == len(sound())


def test_several_files_become_a_transcript_each(page):
    response = send(page, ("one.wav", sound()), ("two.flac", sound(kind="FLAC")))
    assert response.status_code == 302
    assert response.url == reverse("home")
    assert "2 files are uploaded" in words_on(page.get(reverse("home")))
    assert set(RecordingSession.objects.values_list("title", flat=True)) == {"one", "two"}


def test_the_files_that_fail_are_named_with_the_reason_and_the_others_are_kept(page):
    response = send(page, ("good.wav", sound()), ("notes.mp3", b"only text"), ("empty.wav", b""))
    assert response.status_code == 422
    said = words_on(response)
    assert re.search(r"notes\.mp3 .{10,}", said)
    assert "(&#x27;" not in response.content.decode()
    assert "('" not in said
    assert "empty.wav" in said
    job = TranscriptionJob.objects.get()
    assert job.session.title == "good"
    assert reverse("job", args=[job.pk]) in response.content.decode()


def test_a_file_that_is_too_large_is_refused_with_the_limit(page, settings):
    settings.MAX_UPLOAD_BYTES = 1024
    response = send(page, ("talk.wav", sound()))
    assert response.status_code == 422
    assert "This file is larger than" in words_on(response)
    assert not RecordingSession.objects.exists()


def test_no_file_is_said_and_not_an_error_of_the_server(page):
    response = send(page)
    assert response.status_code == 422
    assert "Choose at least one file." in words_on(response)


def test_what_the_model_cannot_do_is_said_before_anything_is_stored(page):
    response = send(page, ("talk.wav", sound()), translate_to="en")
    assert response.status_code == 422
    assert "cannot translate" in words_on(response)
    assert not RecordingSession.objects.exists()


def test_the_upload_throttle_holds_on_the_page_too(page, monkeypatch):
    monkeypatch.setattr(UploadThrottle, "rate", "1/hour", raising=False)
    response = send(page, ("one.wav", sound()), ("two.wav", sound()))
    assert response.status_code == 422
    assert "Wait a while" in words_on(response)
    assert RecordingSession.objects.count() == 1


def test_the_choice_of_a_model_is_left_out_where_there_is_none(page, settings):
    assert 'name="engine_model"' in page.get(reverse("upload")).content.decode()
    settings.ENGINES = ["fake"]
    html = page.get(reverse("upload")).content.decode()
    assert 'name="engine_model"' not in html
    assert 'name="translate_to"' not in html
    assert 'name="language"' in html


@pytest.mark.parametrize(
    ("form", "limit"),
    [
        ({f"field{n}": "" for n in range(1001)}, "more than 1000 fields"),
        ({"prompt": "x" * (3 * 1024 * 1024)}, "larger than 2 MB"),
    ],
)
def test_a_form_that_is_too_large_is_told_the_limit(page, form, limit):
    response = page.post(reverse("upload"), form)
    assert response.status_code == 400
    assert limit in words_on(response)


def test_too_many_files_at_once_are_told_the_limit(page):
    response = send(page, *((f"{n}.wav", b"x") for n in range(101)))
    assert response.status_code == 400
    assert "more than 100 files" in words_on(response)
