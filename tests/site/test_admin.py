"""The admin: staff look at everything, change nothing by hand, and repair jobs with a few actions."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group, Permission
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.authtoken.models import Token

from jobs_app import claims, failures, lifecycle
from jobs_app.models import (
    ChunkTranscription,
    JobStatus,
    JobStep,
    ProviderState,
    Runner,
    Segment,
    StepKind,
    TranscriptionJob,
)
from jobs_app.options import JobOptions
from jobs_app.overview import overview
from jobs_app.preparation import Preparation
from sessions_app.models import AudioChunk, RecordingSession, ResumableUpload
from speech.errors import EngineFailed, NoAudio
from speech.types import DecodeReport, SpeechSegment, Transcription
from speech.windows import Window

JOBS = "admin:jobs_app_transcriptionjob_changelist"
# Who may come in and what they may join is managed by hand; all else is the machine's.
MANAGED = ("auth.user", "auth.group")


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def new_job(db):
    """Start a job: pending, with nothing done."""

    def make(owner, *, title: str = "A talk", source: str = "upload", duration_ms=60_000, **options):
        session = RecordingSession.objects.create(
            owner=owner, title=title, source=source, finished_at=timezone.now()
        )
        AudioChunk.objects.create(
            session=session,
            number=0,
            file=ContentFile(b"sound", name=f"{session.pk}.wav"),
            filename="talk.wav",
            container="wav",
            codec="pcm_s16le",
            duration_ms=duration_ms,
            size_bytes=5,
            sha256="0" * 64,
        )
        options = {"engine": "fake", "model": "fake"} | options
        return lifecycle.start_job(
            session, JobOptions(**options), filename="talk.wav", duration_ms=duration_ms
        )

    return make


def claim(work):
    """Take this very unit of work."""
    taken = claims._take(type(work), work.pk)
    assert taken is not None
    return taken


def prepare(job, n_windows: int = 2):
    step = claim(job.jobsteps.get(kind=StepKind.PREPARE))
    lifecycle.note_start(step)
    windows = [Window(i * 30_000, (i + 1) * 30_000, 30_000) for i in range(n_windows)]
    report = DecodeReport(container="wav", codec="pcm_s16le", samples=480_000 * n_windows, notes=["A note."])
    assert lifecycle.finish_preparation(step, preparation(windows, report))


def preparation(windows, report):
    length_ms = windows[-1].end_ms if windows else 0
    return Preparation(
        windows=windows, places={}, report=report.as_json(), duration_ms=length_ms, planned_ms=length_ms
    )


def complete(job, n_windows: int = 2):
    prepare(job, n_windows)
    for window in job.chunktranscriptions.all():
        heard = SpeechSegment(window.start_ms, window.end_ms, f"Words of {window.number}.", 0.9)
        assert lifecycle.finish_window(claim(window), Transcription((heard,), "en", 0.99))
    assert lifecycle.finish_job(claim(job.jobsteps.get(kind=StepKind.FINISH)))
    job.refresh_from_db()
    return job


def fail(job, error=None):
    step = claim(job.jobsteps.get(kind=StepKind.PREPARE))
    lifecycle.note_start(step)
    assert failures.settle(step, error or NoAudio())
    job.refresh_from_db()
    return job


@pytest.fixture
def rows(alice, bob, new_job):
    """At least one row in every table that the admin shows."""
    complete(new_job(alice, title="Completed"))
    fail(new_job(bob, title="Failed", source="api", priority="high"))
    prepare(new_job(alice, title="In the middle", duration_ms=None, language="de"))
    new_job(bob, title="Waiting", source="recorder", prompt="Names: Ada, Grace")
    lifecycle.cancel_job(new_job(alice, title="Cancelled").pk)
    Token.objects.create(user=alice)
    Group.objects.create(name="Helpers")
    Runner.objects.create(name="host:1", workers=2, beat_at=timezone.now(), proven_at=timezone.now())
    Runner.objects.create(name="host:2", workers=1, beat_at=timezone.now(), proven_at=None, restarts=3)
    at = timezone.now()
    done = RecordingSession.objects.first()
    ResumableUpload.objects.create(owner=alice, length=5, session=done, metadata="filename dGFsay53YXY=")
    ResumableUpload.objects.create(owner=bob, length=2**33)
    ProviderState.objects.create(name="groq", failures=3, down_since=at, paused_until=at, last_error="Away.")
    for name, success in (("taken", True), ("broken", False)):
        apps.get_model("django_q", "Task").objects.create(
            id=name, name=name, func="jobs_app.tasks.work_once", started=at, stopped=at, success=success,
            result=None if success else "Traceback of a bug",
        )  # fmt: skip
    apps.get_model("django_q", "Schedule").objects.create(func="os.getcwd")
    apps.get_model("django_q", "OrmQ").objects.create(key="transcribe", payload="not signed", lock=at)


@pytest.fixture
def as_staff(client, staff):
    client.force_login(staff)
    return client


@pytest.fixture
def watcher(django_user_model):
    """Staff, but nobody has said of what."""
    return django_user_model.objects.create_user("watcher", password="watchers password", is_staff=True)


def allow(user, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def url(model, page: str = "changelist", *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def registered() -> list:
    return list(admin.site._registry)


def by_label(model) -> str:
    return model._meta.label_lower


def act(client, action: str, *jobs) -> list[str]:
    """Run an action on jobs; what it says."""
    response = client.post(
        reverse(JOBS),
        {"action": action, "index": 0, "_selected_action": [str(job.pk) for job in jobs]},
        follow=True,
    )
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


# --- Looking -----------------------------------------------------------------------------------------


def test_every_table_is_reachable():
    assert {by_label(model) for model in registered()} == {
        "auth.group",
        "auth.user",
        "django_q.failure",
        "django_q.ormq",
        "django_q.schedule",
        "django_q.success",
        "jobs_app.chunktranscription",
        "jobs_app.jobstep",
        "jobs_app.providerstate",
        "jobs_app.runner",
        "jobs_app.segment",
        "jobs_app.transcriptionjob",
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
    page = as_staff.get(url(model), {"_facets": "True"})
    assert page.status_code == 200
    changelist = page.context["cl"]
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
    [TranscriptionJob, ChunkTranscription, JobStep, Segment, RecordingSession, AudioChunk],
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


def test_a_list_of_jobs_does_not_read_their_transcripts(as_staff, new_job, alice):
    complete(new_job(alice))
    for model in (TranscriptionJob, ChunkTranscription, JobStep, Segment):
        with CaptureQueriesContext(connection) as queries:
            as_staff.get(url(model))
        assert not [q["sql"] for q in queries if '"transcript"' in q["sql"]]


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
    assert url(ChunkTranscription, "change", job.chunktranscriptions.first().pk) in page
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
    assert lifecycle.retry_job(retried.pk)
    hour_ago = Now() - timedelta(hours=1)
    TranscriptionJob.objects.filter(pk=long.pk).update(
        started_at=hour_ago - timedelta(days=3), completed_at=hour_ago - timedelta(days=2)
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
    assert found(session__owner__id__exact=bob.pk) == {long.pk, failed.pk}
    assert found(session__source__exact="recorder") == {long.pk}
    assert found(model="large") == {long.pk}
    assert found(detected_language="en") == {short.pk, long.pk}
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


# --- The first page ----------------------------------------------------------------------------------


def test_the_first_page_shows_the_queue_the_workers_and_the_failures(as_staff, rows, new_job, alice):
    old = fail(new_job(alice))
    TranscriptionJob.objects.filter(pk=old.pk).update(completed_at=Now() - timedelta(hours=25))
    state = as_staff.get(reverse("admin:index")).context["overview"]
    assert (state.waiting, state.processing, state.queued) == (1, 1, 2)
    # A minute that waits, and one whose decoding has found its length; neither has been worked on.
    assert state.audio_left_ms == 120_000
    assert state.alive_workers == 2
    assert [(runner.name, runner.is_alive) for runner in state.runners] == [
        ("host:1", True),
        ("host:2", False),
    ]
    assert state.failures == {"no_audio": 1}
    assert (state.completed, state.completed_ms) == (1, 60_000)
    assert state.oldest_waiting_at == TranscriptionJob.objects.get(status="pending").created_at
    assert not state.stuck


def test_what_has_been_done_of_a_job_is_not_in_the_queue(new_job, alice):
    prepare(new_job(alice))
    TranscriptionJob.objects.update(progress=75)
    assert overview().audio_left_ms == 15_000


def test_a_job_of_unknown_length_is_said_to_be_one(new_job, alice):
    new_job(alice, duration_ms=None)
    state = overview()
    assert (state.waiting, state.unknown_length, state.audio_left_ms) == (1, 1, 0)


def test_the_first_page_says_so_when_nobody_works(as_staff, new_job, alice):
    assert "No worker is alive" not in as_staff.get(reverse("admin:index")).content.decode()
    new_job(alice)
    assert "No worker is alive" in as_staff.get(reverse("admin:index")).content.decode()


def test_failures_are_one_click_away(as_staff, rows):
    page = as_staff.get(reverse("admin:index")).content.decode()
    (link,) = re.findall(r'<a href="([^"]+)">1 failed</a>', page)
    jobs = as_staff.get(unescape(link)).context["cl"].queryset
    assert [job.status for job in jobs] == [JobStatus.FAILED]


def test_the_overview_costs_three_queries(django_assert_num_queries, rows):
    with django_assert_num_queries(3):
        overview()


# --- Repairing ---------------------------------------------------------------------------------------


def test_retry_runs_failed_jobs_and_says_what_it_skipped(as_staff, new_job, alice, bob):
    failed, completed, waiting = fail(new_job(alice)), complete(new_job(bob)), new_job(bob)
    blocked = fail(new_job(alice))
    lifecycle.start_job(blocked.session, JobOptions(engine="fake", model="fake"))
    assert act(as_staff, "retry", failed, completed, waiting, blocked) == [
        "1 job tried again.",
        "2 jobs skipped: has not failed.",
        "1 job skipped: belongs to a recording with another job that has not ended.",
    ]
    failed.refresh_from_db()
    blocked.refresh_from_db()
    assert (failed.status, failed.attempt) == (JobStatus.PENDING, 2)
    assert (blocked.status, blocked.attempt) == (JobStatus.FAILED, 1)


def test_cancel_ends_active_jobs_and_says_what_it_skipped(as_staff, new_job, alice):
    waiting, running, completed = new_job(alice), new_job(alice), complete(new_job(alice))
    prepare(running)
    assert act(as_staff, "cancel", waiting, running, completed) == [
        "2 jobs cancelled.",
        "1 job skipped: had ended.",
    ]
    assert set(TranscriptionJob.objects.values_list("status", flat=True)) == {"cancelled", "completed"}
    assert not ChunkTranscription.objects.filter(job=running, status="waiting").exists()


@pytest.mark.parametrize("priority", ["high", "normal", "low"])
def test_priority_changes_where_active_jobs_stand(as_staff, new_job, alice, priority):
    waiting, failed = new_job(alice, priority="low" if priority != "low" else "high"), fail(new_job(alice))
    assert act(as_staff, f"priority_{priority}", waiting, failed) == [
        f"1 job given {priority} priority.",
        "1 job skipped: had ended.",
    ]
    waiting.refresh_from_db()
    assert waiting.priority == priority
    assert waiting.jobsteps.get().rank == claims.rank(interactive=False, priority=priority)


def test_a_repair_is_on_record(as_staff, staff, new_job, alice):
    job = new_job(alice)
    act(as_staff, "cancel", job)
    (entry,) = LogEntry.objects.all()
    assert (entry.user, entry.object_id, entry.change_message) == (staff, str(job.pk), "Cancelled")


def test_only_staff_who_may_change_jobs_repair_them(client, watcher, new_job, alice):
    job = new_job(alice)
    client.force_login(watcher)
    allow(watcher, "view_transcriptionjob")
    assert client.get(reverse(JOBS)).status_code == 200
    act(client, "cancel", job)
    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "Cancel" not in client.get(url(TranscriptionJob, "change", job.pk)).content.decode()
    allow(watcher, "change_transcriptionjob")
    assert act(client, "cancel", job) == ["1 job cancelled."]


def test_the_page_of_a_job_offers_the_repairs_that_fit(as_staff, new_job, alice):
    def offered(job) -> list[str]:
        page = as_staff.get(url(TranscriptionJob, "change", job.pk)).content.decode()
        return re.findall(r'name="action" value="(\w+)"', page)

    assert offered(new_job(alice)) == ["cancel", "priority_high", "priority_low"]
    assert offered(fail(new_job(alice))) == ["retry"]
    assert offered(complete(new_job(alice))) == []


# --- Deleting ----------------------------------------------------------------------------------------


def test_only_superusers_delete(client, watcher, rows):
    client.force_login(watcher)
    watcher.user_permissions.set(Permission.objects.all())
    for model in registered():
        if by_label(model) != "auth.group":
            row = admin.site._registry[model].model._default_manager.first()
            assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403, model


@pytest.mark.parametrize("at_once", [False, True])
def test_a_deleted_job_is_cancelled_first_and_its_recording_stays(as_staff, new_job, alice, at_once):
    job, session_id = new_job(alice), RecordingSession.objects.get().pk
    step = claim(job.jobsteps.get())
    if at_once:
        data = {"action": "delete_selected", "index": 0, "_selected_action": [str(job.pk)], "post": "yes"}
        response = as_staff.post(reverse(JOBS), data)
    else:
        confirmation = as_staff.get(url(TranscriptionJob, "delete", job.pk)).content.decode()
        assert "Segments: 0" in confirmation
        response = as_staff.post(url(TranscriptionJob, "delete", job.pk), {"post": "yes"})
    assert response.status_code == 302
    assert not TranscriptionJob.objects.exists()
    assert RecordingSession.objects.get().pk == session_id
    # The worker in the middle of it stores nothing.
    assert not lifecycle.finish_preparation(step, preparation([], DecodeReport()))


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("what", ["recording", "owner"])
def test_a_deleted_recording_takes_its_audio_with_it(
    as_staff, new_job, alice, what, at_once, django_capture_on_commit_callbacks
):
    complete(new_job(alice))
    chunk = AudioChunk.objects.get()
    assert default_storage.exists(chunk.file.name)
    row = alice if what == "owner" else chunk.session
    delete = url(type(row), "delete", row.pk)
    with django_capture_on_commit_callbacks(execute=True):
        if at_once:
            data = {"action": "delete_selected", "index": 0, "_selected_action": [str(row.pk)], "post": "yes"}
            response = as_staff.post(url(type(row)), data)
        else:
            assert "1" in as_staff.get(delete).content.decode()
            response = as_staff.post(delete, {"post": "yes"})
    assert response.status_code == 302
    assert not RecordingSession.objects.exists()
    assert not Segment.objects.exists()
    assert not Path(default_storage.path(chunk.file.name)).exists()


# --- What is not ours --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "explained"),
    [
        ("ormq", "Deleting messages loses nothing"),
        ("failure", "not failed jobs"),
        ("success", "They are not kept"),
        ("schedule", "This product makes none"),
    ],
)
def test_the_tables_of_the_queue_are_explained(as_staff, rows, name, explained):
    assert explained in as_staff.get(reverse(f"admin:django_q_{name}_changelist")).content.decode()


def test_a_list_of_tasks_does_not_unpickle_what_they_carry(as_staff, rows, monkeypatch):
    def load(*args):
        raise AssertionError("A pickle was loaded for a list.")

    for field in ("args", "kwargs", "result"):
        monkeypatch.setattr(apps.get_model("django_q", "Task")._meta.get_field(field), "from_db_value", load)
    for name in ("success", "failure"):
        assert as_staff.get(reverse(f"admin:django_q_{name}_changelist")).context["cl"].result_count == 1


def test_the_traceback_of_a_bug_can_be_read(as_staff, rows):
    page = as_staff.get(reverse("admin:django_q_failure_change", args=("broken",)))
    assert "Traceback of a bug" in page.content.decode()


def test_staff_revoke_an_api_token_and_never_see_it(as_staff, rows, alice, bob):
    users = url(type(alice))
    for page in (users, url(type(alice), "change", alice.pk)):
        assert Token.objects.get(user=alice).key not in as_staff.get(page).content.decode()
    response = as_staff.post(
        users,
        {"action": "revoke_api_tokens", "index": 0, "_selected_action": [alice.pk, bob.pk]},
        follow=True,
    )
    said = [str(message) for message in response.context["messages"]]
    assert said == ["1 API token revoked.", "1 skipped: there was no token."]
    assert not Token.objects.exists()


def test_no_page_needs_inline_script_or_style(as_staff, rows, new_job, alice):
    job = fail(new_job(alice))
    for page in (reverse("admin:index"), reverse(JOBS), url(TranscriptionJob, "change", job.pk)):
        html = as_staff.get(page).content.decode()
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", html), page
