from __future__ import annotations

import shutil
import tempfile
import time
from collections import namedtuple
from datetime import timedelta

import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from deploy.prepare import prepare
from jobs_app.models import JobStatus, JobStep, LiveHost, LiveText, Runner, StepKind, WorkStatus
from transcribe_site.watching import health, prepared

DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture
def runner(db):
    """A runner that has just reported."""
    now = timezone.now()
    return Runner.objects.create(name="here:1", workers=2, beat_at=now, proven_at=now)


@pytest.fixture
def no_database(db, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("connection refused by db.internal, password hunter2")

    # Undone before the test's transaction is rolled back.
    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", fail)
        yield


def reasons(answer) -> list[str]:
    assert answer.status_code == 503
    assert answer.json()["code"] == "not_ready"
    assert answer.json()["detail"]
    return [reason["code"] for reason in answer.json()["reasons"]]


def test_it_lives_without_a_database(client):
    # Without the mark `django_db` any query would fail.
    assert client.get("/healthz").json() == {"status": "alive"}


def test_it_is_ready_when_all_is_well(client, runner, django_assert_num_queries):
    client.get("/readyz")  # the first one looks at migrations, too
    health.last_look.forget()
    with django_assert_num_queries(9):
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert "no-store" in answer["Cache-Control"]


@pytest.fixture
def just_started(monkeypatch):
    """A process that has not looked yet at what `deploy.prepare` does."""
    monkeypatch.setattr(prepared, "_in_order", set())


def test_it_is_not_ready_before_the_database_is_migrated(client, runner, just_started):
    ((_, newest),) = MigrationLoader(connection).graph.leaf_nodes("jobs_app")
    MigrationRecorder(connection).record_unapplied("jobs_app", newest)
    assert reasons(client.get("/readyz")) == ["migrations_pending"]
    MigrationRecorder(connection).record_applied("jobs_app", newest)
    health.last_look.forget()
    assert client.get("/readyz").status_code == 200


@pytest.fixture
def made_by_another_version(db):
    MigrationRecorder(connection).record_applied("jobs_app", "0099_of_the_future")


def test_it_is_not_ready_with_the_database_of_another_version(
    client, runner, just_started, made_by_another_version
):
    assert reasons(client.get("/readyz")) == ["database_of_another_version"]


def test_the_database_of_another_version_is_not_migrated(made_by_another_version):
    with pytest.raises(SystemCheckError, match=r"jobs_app\.0099_of_the_future.*Start that version again"):
        call_command("migrate", verbosity=0, skip_checks=False)
    with pytest.raises(SystemExit, match="Cannot start: The database was made by another version"):
        prepare()


def test_it_is_not_ready_before_static_files_are_collected(
    client, runner, just_started, monkeypatch, tmp_path
):
    files = ManifestStaticFilesStorage(location=tmp_path)
    monkeypatch.setattr(prepared, "staticfiles_storage", files)
    assert reasons(client.get("/readyz")) == ["not_prepared"]
    (tmp_path / "staticfiles.json").write_text('{"version": "1.1", "paths": {}, "hash": ""}')
    health.last_look.forget()
    assert client.get("/readyz").status_code == 200


def test_however_many_ask_it_looks_once_in_some_seconds(
    client, runner, monkeypatch, django_assert_num_queries
):
    files = []
    make = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **k: files.append(k) or make(**k))
    client.get("/readyz")
    looked_at = len(files)
    with django_assert_num_queries(0):
        assert {client.get("/readyz").status_code for _ in range(20)} == {200}
    assert len(files) == looked_at
    Runner.objects.all().delete()
    monkeypatch.setattr(health, "LOOK_AGAIN_AFTER_S", 0)
    health.last_look.forget()
    assert reasons(client.get("/readyz")) == ["no_worker"]


def test_it_leaves_no_row(client, runner):
    client.get("/readyz")
    assert list(Runner.objects.values_list("name", flat=True)) == ["here:1"]


@pytest.mark.parametrize("where", [{"REMOTE_ADDR": "10.0.0.9"}, {"HTTP_X_FORWARDED_FOR": "10.0.0.9"}])
def test_strangers_learn_no_more_than_codes(client, runner, settings, tmp_path, where, caplog):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "secret-folder"
    answer = client.get("/readyz", **where)
    assert answer.json()["reasons"] == [{"code": "storage"}]
    assert "secret-folder" not in answer.content.decode()
    assert "secret-folder" in caplog.text
    assert "secret-folder" in client.get("/readyz").content.decode()


@pytest.mark.django_db(transaction=True)
def test_it_is_not_ready_when_the_database_cannot_be_written(client, monkeypatch):
    now = timezone.now()
    Runner.objects.create(name="here:1", workers=2, beat_at=now, proven_at=now)
    monkeypatch.setattr(health, "WRITE_WITHIN_S", 0.2)
    if connection.vendor == "sqlite":
        block, release = "BEGIN IMMEDIATE", "ROLLBACK"
    else:
        block, release = "BEGIN; LOCK TABLE jobs_app_runner IN SHARE MODE", "ROLLBACK"
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(block)
            began = time.monotonic()
            assert reasons(client.get("/readyz")) == ["database_read_only"]
            # Not the 20 s that other writes wait.
            assert time.monotonic() - began < 5
            cursor.execute(release)
        health.last_look.forget()
        assert client.get("/readyz").status_code == 200
    finally:
        other.close()


def test_it_is_not_ready_without_a_runner(client, db):
    assert reasons(client.get("/readyz")) == ["no_worker"]


@pytest.mark.parametrize(
    ("beat_s", "proven_s", "ready"),
    [(25, 0, True), (35, 0, False), (0, 110, True), (0, 130, False), (0, None, False)],
)
def test_a_runner_counts_only_while_it_beats_and_works(client, runner, settings, beat_s, proven_s, ready):
    settings.STALL_AFTER_S = 60
    now = timezone.now()
    Runner.objects.update(
        beat_at=now - timedelta(seconds=beat_s),
        proven_at=None if proven_s is None else now - timedelta(seconds=proven_s),
    )
    answer = client.get("/readyz")
    assert answer.status_code == (200 if ready else 503)


def test_it_is_not_ready_without_a_database_and_does_not_tell_secrets(client, runner, no_database):
    answer = client.get("/readyz")
    assert reasons(answer) == ["database"]
    assert b"hunter2" not in answer.content


def test_it_is_not_ready_when_audio_cannot_be_stored(client, runner, settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "missing"
    assert reasons(client.get("/readyz")) == ["storage"]


def test_it_is_not_ready_when_the_disk_is_full(client, runner, settings, monkeypatch):
    free = settings.MIN_FREE_DISK_BYTES - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DiskUsage(10**12, 10**12 - free, free))
    assert set(reasons(client.get("/readyz"))) == {"storage_full"}


def test_it_looks_without_writing_anything_that_stays(client, runner, settings):
    before = list(settings.FILE_UPLOAD_TEMP_DIR.iterdir())
    client.get("/readyz")
    assert list(settings.FILE_UPLOAD_TEMP_DIR.iterdir()) == before


def test_health_is_only_read(client, db):
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.post(path).status_code == 405
        assert client.head(path).status_code in (200, 503)


# --- Metrics -------------------------------------------------------------------------------------


def samples(answer) -> dict[tuple[str, ...], float]:
    """The values by name and labels."""
    assert answer.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_metrics_say_what_the_rows_say(
    client, alice, runner, new_job, add_segments, django_assert_num_queries
):
    now = timezone.now()
    new_job(alice, duration_ms=9000)
    new_job(alice, JobStatus.FAILED, error_code="crashed")
    new_job(alice, JobStatus.FAILED, error_code="crashed")
    new_job(alice, JobStatus.PENDING, duration_ms=4000, created_at=now - timedelta(seconds=100))
    new_job(alice, JobStatus.PENDING, created_at=now)
    new_job(
        alice, JobStatus.PENDING, kind="refine", duration_ms=7000, created_at=now - timedelta(seconds=999)
    )
    under_way = new_job(alice, JobStatus.PROCESSING, duration_ms=120_000)
    for number, status in enumerate((WorkStatus.DONE, WorkStatus.WAITING)):
        add_segments(under_way, number=number)
        under_way.windows.filter(number=number).update(status=status)

    with django_assert_num_queries(6):
        found = samples(client.get("/metrics"))

    assert found[("transcribe_jobs", "completed")] == 1
    assert found[("transcribe_jobs", "failed")] == 2
    assert found[("transcribe_jobs", "cancelled")] == 0
    assert found[("transcribe_failed_jobs", "crashed")] == 2
    assert found[("transcribe_queue_jobs",)] == 2
    assert found[("transcribe_queue_audio_seconds",)] == 4 + 60
    assert 100 <= found[("transcribe_queue_oldest_seconds",)] < 160
    assert found[("transcribe_refinements",)] == 1
    assert found[("transcribe_workers",)] == 2


def test_metrics_of_what_is_heard_live(client, alice, new_job):
    LiveHost.objects.create(name="here:2", beat_at=timezone.now(), sessions=1, finals_share=12)
    LiveHost.objects.create(name="gone:3", beat_at=timezone.now() - timedelta(minutes=1), finals_share=99)
    for heard_ms in (9000, 6500):
        job = new_job(alice, JobStatus.PROCESSING)
        LiveText.objects.create(job=job, received_ms=10_000, heard_ms=heard_ms)
        JobStep.objects.create(
            job=job,
            kind=StepKind.LIVE,
            owner=alice,
            rank=0,
            queued_at=timezone.now(),
            status=WorkStatus.RUNNING,
            lease_token="held",
            lease_until=timezone.now(),
        )
    found = samples(client.get("/metrics"))
    assert found[("transcribe_live_sessions",)] == 2
    assert found[("transcribe_live_lag_seconds",)] == 3.5
    assert found[("transcribe_live_hosts",)] == 1
    assert found[("transcribe_live_finals_ratio",)] == 0.12


def test_metrics_of_an_empty_server_are_zero(client, db):
    found = samples(client.get("/metrics"))
    assert found[("transcribe_queue_jobs",)] == 0
    assert found[("transcribe_queue_oldest_seconds",)] == 0
    assert found[("transcribe_workers",)] == 0
    assert found[("transcribe_live_sessions",)] == 0
    assert found[("transcribe_live_lag_seconds",)] == 0


@pytest.mark.parametrize(
    ("request_from", "seen"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, True),
        ({"REMOTE_ADDR": "::1"}, True),
        ({"REMOTE_ADDR": "10.0.0.9"}, False),
        ({"REMOTE_ADDR": ""}, False),
        # A proxy on this machine.
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "10.0.0.9"}, False),
        ({"REMOTE_ADDR": "10.0.0.9", "HTTP_AUTHORIZATION": "Bearer secret"}, True),
        ({"REMOTE_ADDR": "10.0.0.9", "HTTP_AUTHORIZATION": "Bearer guess"}, False),
        ({"REMOTE_ADDR": "10.0.0.9", "HTTP_AUTHORIZATION": "Bearer "}, False),
        ({"REMOTE_ADDR": "10.0.0.9", "HTTP_AUTHORIZATION": "Bearer \xff"}, False),
    ],
)
def test_metrics_are_for_this_machine_and_for_the_token(client, db, settings, request_from, seen):
    settings.METRICS_TOKEN = "secret"
    assert client.get("/metrics", **request_from).status_code == (200 if seen else 403)


def test_behind_a_proxy_everybody_seems_to_be_this_machine_so_the_token_is_needed(client, db, settings):
    settings.BEHIND_PROXY = True
    settings.METRICS_TOKEN = "secret"
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1").status_code == 403
    authorized = {"HTTP_AUTHORIZATION": "Bearer secret"}
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1", **authorized).status_code == 200


def test_without_a_token_in_the_settings_no_token_is_right(client, db, settings):
    settings.METRICS_TOKEN = ""
    answer = client.get("/metrics", REMOTE_ADDR="10.0.0.9", HTTP_AUTHORIZATION="Bearer ")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_metrics_without_a_database_are_no_bug(client, db, no_database):
    assert client.get("/metrics").status_code == 503
