"""Staff look at everything in the admin, and change nothing by hand."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs_app.lifecycle.choices import retry_job
from jobs_app.models import (
    ChunkTranscription,
    JobStep,
    SoundTrack,
    StepKind,
    TranscriptionJob,
)
from jobs_app.models.transcripts import Segment
from people_app.staff import read_only
from sessions_app.models import AudioChunk, RecordingSession
from speech.errors import EngineFailed
from tests.site.watching.admin.steps import (
    JOBS,
    MANAGED,
    by_label,
    complete,
    fail,
    registered,
    url,
)


def test_every_table_is_reachable():
    assert {by_label(model) for model in registered()} == {
        "auth.group",
        "django_q.failure",
        "django_q.ormq",
        "django_q.schedule",
        "django_q.success",
        "jobs_app.chunktranscription",
        "jobs_app.jobstep",
        "jobs_app.knownvoice",
        "jobs_app.livehost",
        "jobs_app.localmodel",
        "jobs_app.providerstate",
        "jobs_app.runner",
        "jobs_app.segment",
        "jobs_app.soundtrack",
        "jobs_app.transcriptionjob",
        "people_app.apitoken",
        "people_app.user",
        "sessions_app.audiochunk",
        "sessions_app.recordingsession",
        "sessions_app.resumableupload",
    }


@pytest.mark.parametrize("model", registered(), ids=by_label)
def test_every_list_and_every_row_opens(as_staff, rows, model):
    page = as_staff.get(url(model))
    assert page.status_code == 200
    assert page.context["cl"].result_count > 0
    for row in page.context["cl"].result_list:
        for name in ("change", "history"):
            assert as_staff.get(url(model, name, row.pk)).status_code == 200


@pytest.mark.parametrize("model", registered(), ids=by_label)
def test_every_list_can_be_searched_filtered_counted_and_sorted(as_staff, rows, model):
    # Counting takes long: once is enough, and not behind each of the links as well.
    assert as_staff.get(url(model), {"_facets": "True"}).status_code == 200
    changelist = as_staff.get(url(model)).context["cl"]
    links = [
        choice["query_string"] for spec in changelist.filter_specs for choice in spec.choices(changelist)
    ]
    links += [f"?o={column}" for column in range(1, len(changelist.list_display) + 1)]
    links += ["?q=talk", "?q=%00", "?q=0f"]
    for link in links:
        response = as_staff.get(url(model) + link)
        assert response.status_code == 200, link


@pytest.mark.parametrize("model", registered(), ids=by_label)
def test_nothing_that_the_machine_owns_can_be_added_or_changed(as_staff, rows, model):
    row = admin.site._registry[model].model._default_manager.first()
    add, change = url(model, "add"), url(model, "change", row.pk)
    if by_label(model) in MANAGED:
        assert as_staff.get(add).status_code == 200
        assert "Save" in as_staff.get(change).content.decode()
        return
    assert as_staff.get(add).status_code == 403
    assert as_staff.post(add, {}).status_code == 403
    assert as_staff.post(change, {"status": "completed", "priority": "high"}).status_code == 403
    fields = re.findall(
        r"<(?:input|select|textarea)\b[^>]*name=\"(\w+)\"", as_staff.get(change).content.decode()
    )
    assert set(fields) <= {"csrfmiddlewaretoken", "_selected_action", "index"}


@pytest.mark.parametrize("model", registered(), ids=by_label)
def test_staff_without_permission_see_nothing(client, watcher, rows, model):
    client.force_login(watcher)
    row = admin.site._registry[model].model._default_manager.first()
    for name, *args in (
        ("changelist",),
        ("add",),
        ("change", row.pk),
        ("delete", row.pk),
        ("history", row.pk),
    ):
        assert client.get(url(model, name, *args)).status_code == 403
    index = client.get(reverse("admin:index"))
    assert index.status_code == 200
    assert "overview" not in index.context
    assert url(model) not in index.content.decode()


def test_the_admin_has_no_login_of_its_own(client, staff):
    response = client.get(reverse(JOBS), follow=True)
    assert response.redirect_chain[-1][0] == f"{reverse('login')}?next={reverse(JOBS)}"
    guess = {"username": "staff", "password": "staffs password", "next": reverse(JOBS)}
    response = client.post(reverse("admin:login"), guess)
    assert response.url == f"{reverse('login')}?next={reverse('admin:index')}"
    assert SESSION_KEY not in client.session


def test_people_who_are_not_staff_are_told_so(client, alice, rows):
    client.force_login(alice)
    for page in ("admin:index", JOBS):
        response = client.get(reverse(page), follow=True)
        assert response.status_code == 403
        assert "This is for staff." in response.content.decode()


def test_staff_who_are_logged_in_are_sent_on(as_staff):
    assert as_staff.get(reverse("admin:login")).url == reverse("admin:index")


@pytest.mark.parametrize("model", registered(), ids=by_label)
def test_nothing_that_is_sent_instead_of_an_id_breaks_an_action(as_staff, rows, model):
    before = model._default_manager.count()
    for wrong in ("abc", "1\x00", ""):
        form = {"action": "delete_selected", "_selected_action": wrong, "index": "0"}
        response = as_staff.post(url(model), form, follow=True)
        assert response.status_code in (200, 403)
    assert model._default_manager.count() == before


def test_an_action_on_what_is_no_id_says_that_nothing_was_done(as_staff, rows):
    form = {"action": "cancel", "_selected_action": "abc", "index": "0"}
    assert "Nothing was done" in as_staff.post(reverse(JOBS), form, follow=True).content.decode()


@pytest.mark.parametrize("model", registered(), ids=by_label)
@pytest.mark.parametrize("q", ["x" * 60_000, "x " * 20_000])
def test_a_search_that_is_too_long_breaks_no_list(as_staff, rows, model, q):
    assert as_staff.get(url(model), {"q": q}).status_code == 200


@pytest.mark.parametrize(
    "model",
    [TranscriptionJob, ChunkTranscription, JobStep, Segment, SoundTrack, RecordingSession, AudioChunk],
    ids=by_label,
)
def test_a_list_costs_the_same_for_many_rows_as_for_few(
    as_staff, new_job, alice, bob, django_user_model, model
):
    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert as_staff.get(url(model)).status_code == 200
        return len(queries)

    for owner in (alice, bob):
        complete(new_job(owner))
    # The first one also fills the cache of content types.
    cost()
    few = cost()
    for n in range(18):
        complete(new_job(django_user_model.objects.create_user(f"owner {n}")))
    assert cost() == few


def test_a_list_of_jobs_does_not_read_their_transcripts(as_staff, new_job, alice, reads_no_texts):
    complete(new_job(alice))
    for model in (TranscriptionJob, ChunkTranscription, JobStep, Segment):
        with reads_no_texts():
            as_staff.get(url(model))


def test_the_page_of_a_job_says_what_was_done(as_staff, new_job, alice):
    job = complete(new_job(alice, title="Budget meeting"))
    page = as_staff.get(url(TranscriptionJob, "change", job.pk)).content.decode()
    for fact in (
        "Budget meeting",
        "alice",
        "talk.wav",
        "0:01:00",
        "en, 99% sure",
        "Words of 1.",
        "note: A note.",
    ):
        assert fact in unescape(page), fact
    assert url(ChunkTranscription, "change", job.windows.first().pk) in page
    assert url(RecordingSession, "change", job.session_id) in page


def test_the_page_of_a_job_leads_to_its_windows_and_segments(as_staff, new_job, alice, bob):
    job = complete(new_job(alice), n_windows=60)
    complete(new_job(bob))
    page = as_staff.get(url(TranscriptionJob, "change", job.pk)).content.decode()
    assert page.count(reverse("admin:jobs_app_chunktranscription_changelist")) >= 2
    assert "The first 50 are shown here" in page
    for model in (ChunkTranscription, Segment):
        link = f"{url(model)}?job__id__exact={job.pk}"
        assert link in page
        assert as_staff.get(link).context["cl"].result_count == 60


def test_a_job_links_to_its_page_on_the_site_for_its_owner_alone(as_staff, staff, new_job, alice):
    def links(job) -> bool:
        page = as_staff.get(url(TranscriptionJob, "change", job.pk)).content.decode()
        return f'href="{reverse("job", args=(job.pk,))}"' in page

    assert links(new_job(staff))
    assert not links(new_job(alice))


def test_the_page_of_a_failed_job_shows_the_whole_error(as_staff, new_job, alice):
    long = EngineFailed("It broke. " * 50 + "<b>The end</b>")
    long.permanent = True
    job = fail(new_job(alice), long)
    page = as_staff.get(url(TranscriptionJob, "change", job.pk)).content.decode()
    assert "engine_failed" in page
    assert "&lt;b&gt;The end&lt;/b&gt;" in page


def test_filters_find_the_jobs_they_name(as_staff, new_job, alice, bob):
    short = complete(new_job(alice, title="Short", duration_ms=30_000), n_windows=1)
    long = complete(new_job(bob, title="Long", source="recorder", model="large"), n_windows=130)
    failed = fail(new_job(bob, title="Broken", duration_ms=None, priority="low"))
    retried = fail(new_job(alice, title="Retried"))
    assert retry_job(retried.pk)
    hour_ago = Now() - timedelta(hours=1)
    TranscriptionJob.objects.filter(pk=long.pk).update(
        started_at=hour_ago - timedelta(days=3), ended_at=hour_ago - timedelta(days=2)
    )

    def found(**query) -> set:
        return {job.pk for job in as_staff.get(reverse(JOBS), query).context["cl"].queryset}

    everything = {short.pk, long.pk, failed.pk, retried.pk}
    assert found() == everything
    assert found(status__exact="completed") == {short.pk, long.pk}
    assert found(status__exact="failed", ended="day") == {failed.pk}
    assert found(ended="day") == {short.pk, failed.pk}
    assert found(ended="week") == {short.pk, long.pk, failed.pk}
    assert found(error_code="no_audio") == {failed.pk}
    assert found(owner__id__exact=bob.pk) == {long.pk, failed.pk}
    assert found(session__source__exact="recorder") == {long.pk}
    assert found(model="large") == {long.pk}
    assert found(transcript__detected_language="en") == {short.pk, long.pk}
    assert found(priority__exact="low") == {failed.pk}
    assert found(attempts="more") == {retried.pk}
    assert found(audio="seconds") == {short.pk}
    assert found(audio="hours") == {long.pk}
    assert found(audio="unknown") == {failed.pk}
    assert found(took="seconds") == {short.pk, failed.pk}
    assert found(took="long") == {long.pk}
    assert found(took="no such value") == everything
    assert found(q="Broken") == {failed.pk}
    assert found(q="bob") == {long.pk, failed.pk}
    assert found(q=str(short.pk)) == {short.pk}
    assert found(q="no sound in it") == {failed.pk}


def test_the_list_of_steps_names_the_recording_that_is_joined(as_staff, new_job, alice):
    job = complete(new_job(alice, title="Board meeting"))
    step = JobStep.objects.create(
        sound=job.sound, owner=alice, rank=3, queued_at=timezone.now(), kind=StepKind.JOIN
    )
    for page in (url(JobStep), url(JobStep, "change", step.pk)):
        shown = as_staff.get(page).content.decode()
        assert f'<a href="{url(RecordingSession, "change", job.session_id)}">Board meeting</a>' in shown


def test_the_page_of_a_sound_says_what_workers_found_out(as_staff, new_job, alice):
    job = complete(new_job(alice, title="Board meeting"))
    gap = {"start_ms": 5_000, "end_ms": 9_000, "chunk": 3, "reason": "missing"}
    SoundTrack.objects.update(gaps=[gap], joined="audio/whole.flac", joined_bytes=2**20)
    link = url(SoundTrack, "change", job.sound_id)
    page = unescape(as_staff.get(link).content.decode())
    for fact in (
        "Board meeting",
        "0:01:00",
        "note: A note.",
        "0:00:05 to 0:00:09: chunk 3 is missing",
        "audio/whole.flac",
    ):
        assert fact in page, fact
    for model, row in ((TranscriptionJob, job), (RecordingSession, job.session)):
        assert link in as_staff.get(url(model, "change", row.pk)).content.decode()


def test_an_owner_in_a_list_leads_to_what_is_theirs(as_staff, new_job, alice, bob):
    mine = complete(new_job(alice))
    complete(new_job(bob))
    link = f"{url(TranscriptionJob)}?owner__id__exact={alice.pk}"
    assert f'<a href="{link}">alice</a>' in as_staff.get(url(TranscriptionJob)).content.decode()
    assert list(as_staff.get(link).context["cl"].queryset) == [mine]


def test_a_list_that_is_not_counted_to_its_end_says_so_wherever_it_says_a_number(
    as_staff, new_job, alice, monkeypatch
):
    monkeypatch.setattr(read_only, "MOST_COUNTED", 2)
    monkeypatch.setattr(read_only.ReadOnlyAdmin, "list_per_page", 1)
    for _ in range(4):
        new_job(alice)
    page = as_staff.get(reverse(JOBS)).content.decode()
    assert "more than 2 transcription jobs" in page
    assert "Select all more than 2 transcription jobs" in page
    assert "All more than 2 selected" in page


def test_staff_choose_the_language_of_somebodys_pages_among_those_of_the_site(as_staff, alice):
    page = as_staff.get(url(type(alice), "change", alice.pk))
    assert list(page.context["adminform"].form.fields["language"].choices) == [
        ("", "The site's"),
        ("en", "English"),
    ]
