"""Workers are killed, the queue is lost, the database goes away: every job ends completed all the same.

Runs on the database of the test run (SQLite or PostgreSQL) with either queue. The engine is the fake one,
which reads numbered seconds, so a lost or doubled window shows as a missing or repeated number.
"""

from __future__ import annotations

import io
import math
import os
import random
import shlex
import subprocess
import threading
import time
from itertools import pairwise

import pytest
import redis
import soundfile
from django.core.files.base import ContentFile
from django.db import DatabaseError, connection
from django.utils import timezone

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import ChunkTranscription, JobStatus, TranscriptionJob, WorkStatus
from sessions_app.models import AudioChunk, RecordingSession
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE
from tests.acceptance.conftest import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

JOBS = 4
SECONDS = 130


def make_jobs(owner, *, prompt: str, jobs: int = JOBS, seconds: float = SECONDS) -> dict[str, str]:
    """Jobs by id, with the text each must end with."""
    expected = {}
    for n in range(jobs):
        first = n * 1000
        flac = io.BytesIO()
        audio = make_numbered_audio(first, math.ceil(seconds))[: int(seconds * SAMPLE_RATE)]
        soundfile.write(flac, audio, SAMPLE_RATE, format="FLAC")
        session = RecordingSession.objects.create(
            owner=owner, source="upload", title=f"talk {n}", finished_at=timezone.now()
        )
        AudioChunk.objects.create(
            session=session,
            number=0,
            file=ContentFile(flac.getvalue(), name="talk.flac"),
            size_bytes=flac.tell(),
            sha256="0" * 64,
        )
        job = start_job(session, resolve_options(engine="fake", prompt=prompt))
        expected[str(job.pk)] = " ".join(f"w{i:04d}" for i in range(first, first + math.ceil(seconds)))
    return expected


def all_ended(expected: dict[str, str]) -> bool:
    try:
        return not TranscriptionJob.objects.filter(pk__in=expected).active().exists()
    except DatabaseError:
        connection.close()
        return False


def assert_completed_once(expected: dict[str, str], log: str) -> None:
    for job in TranscriptionJob.objects.filter(pk__in=expected):
        assert job.status == JobStatus.COMPLETED, f"{job.status}: {job.error}\n{log[-4000:]}"
        assert job.transcript.text == expected[str(job.pk)]
        windows = list(job.windows.order_by("number"))
        assert [w.status for w in windows] == [WorkStatus.DONE] * len(windows)
        assert windows[0].start_ms == 0
        assert all(a.end_ms == b.start_ms for a, b in pairwise(windows))
        spoken = " ".join(s.text for s in job.segments.order_by("start_ms", "number"))
        assert spoken == expected[str(job.pk)]


# Of the two queues and the two databases SQLite with Redis is left out: neither knows of the other.
@pytest.fixture(
    params=["database", pytest.param("redis", marks=[pytest.mark.redis, pytest.mark.postgres])],
)
def lose_queue(request, runner):
    """Makes the runner use this queue; the fixture is a function that loses what is queued."""
    # Workers that an accident has stopped are noticed by it.
    runner.environment["STALL_AFTER_S"] = "10"
    if request.param == "database":
        from django_q.models import OrmQ

        runner.environment["QUEUE"] = "database"
        return lambda: bool(OrmQ.objects.all().delete())
    url = request.getfixturevalue("redis_url")
    runner.environment.update(QUEUE="redis", REDIS_URL=url)
    client = redis.Redis.from_url(url)
    client.flushdb()
    return lambda: bool(client.flushdb())


def test_every_job_is_completed_once_although_everything_is_killed(runner, lose_queue, alice):
    expected = make_jobs(alice, prompt="fake:slow=2")
    runner.start()
    random.seed(7)
    for hurt in (
        runner.kill_busy_worker,
        runner.kill_idle_process,
        runner.kill_busy_worker,
        lose_queue,
        runner.kill_cluster_child,
        runner.kill_busy_worker,
        runner.kill_cluster_group,
        runner.kill_and_start_again,
        runner.kill_busy_worker,
    ):
        # Each waits for something to hurt, so that none of them comes when all is over.
        wait_for(hurt, within_s=40, what=f"something to hurt by {hurt}")
        time.sleep(0.7)
    assert not all_ended(expected)
    wait_for(lambda: all_ended(expected), within_s=150, what="all jobs ended")
    assert_completed_once(expected, runner.log)
    attempts = ChunkTranscription.objects.filter(job__in=expected).values_list("attempt", flat=True)
    assert max(attempts) > 1


def test_an_idle_cluster_that_lost_a_process_is_replaced(runner, lose_queue, alice):
    expected = make_jobs(alice, prompt="", jobs=1, seconds=3)
    runner.start()
    wait_for(lambda: all_ended(expected), within_s=60, what="the first job ended")
    for pid in runner.cluster_processes()[:2]:
        os.kill(pid, 9)
    expected = make_jobs(alice, prompt="", jobs=1, seconds=3)
    wait_for(lambda: all_ended(expected), within_s=60, what="the job after the kill ended")
    assert_completed_once(expected, runner.log)


# With either queue, and the server is restarted once: while it is, no other test can run.
@pytest.mark.parametrize(
    "lose_queue",
    [
        pytest.param("database", marks=pytest.mark.restarts_postgres),
        pytest.param("redis", marks=[pytest.mark.redis, pytest.mark.postgres]),
    ],
    indirect=True,
)
def test_jobs_survive_a_database_that_goes_away(runner, lose_queue, alice):
    expected = make_jobs(alice, prompt="fake:slow=0.4", jobs=2)
    runner.start()
    wait_for(
        lambda: TranscriptionJob.objects.filter(status=JobStatus.PROCESSING).exists(),
        within_s=60,
        what="a job is worked on",
    )
    if connection.vendor == "sqlite":
        lock_sqlite_for(3)
    elif runner.environment["QUEUE"] == "database":
        restart_postgres()
    else:
        lock_out_of_postgres()
    wait_for(lambda: all_ended(expected), within_s=120, what="all jobs ended")
    assert_completed_once(expected, runner.log)


def lock_sqlite_for(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        cursor.execute("COMMIT")


def restart_postgres() -> None:
    """Restart the server where TEST_POSTGRES_RESTART says how; else only lock everybody out."""
    command = os.environ.get("TEST_POSTGRES_RESTART")
    if not command:
        lock_out_of_postgres()
        return
    connection.close()
    subprocess.run(shlex.split(command), check=True, timeout=60)


def lock_out_of_postgres() -> None:
    """Cut every connection to this database for three seconds. Other tests have databases of their own."""
    import psycopg2

    s = connection.settings_dict
    name = s["NAME"]
    connection.close()
    admin = psycopg2.connect(
        dbname="postgres", user=s["USER"], password=s["PASSWORD"], host=s["HOST"], port=s["PORT"]
    )
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            for _ in range(5):
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
                )
                time.sleep(0.6)
        finally:
            cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    admin.close()


@pytest.mark.any_database
def test_files_that_hang_or_kill_their_workers_fail_and_others_go_on(runner, alice):
    runner.environment.update(UNIT_DEADLINE_S="2", MAX_ATTEMPTS="2")
    # Each attempt may take twenty times as long as its audio.
    hanging = make_jobs(alice, prompt="fake:hang", jobs=1, seconds=0.5)
    poison = make_jobs(alice, prompt="fake:crash", jobs=1, seconds=2)
    others = make_jobs(alice, prompt="", jobs=2, seconds=3)
    runner.start()
    wait_for(lambda: all_ended({**hanging, **poison, **others}), within_s=150, what="all jobs ended")
    for [number], code in ((hanging, "timed_out"), (poison, "crashed")):
        job = TranscriptionJob.objects.get(pk=number)
        assert (job.status, job.error_code) == (JobStatus.FAILED, code)
    assert_completed_once(others, runner.log)


def test_several_workers_share_one_job_and_sigterm_lets_running_work_end(runner, alice):
    expected = make_jobs(alice, prompt="fake:slow=1", jobs=1, seconds=240)
    at_once = []

    def watch() -> None:
        while not all_ended(expected):
            job = TranscriptionJob.objects.get(pk=next(iter(expected)))
            at_once.append(job.windows.filter(status=WorkStatus.RUNNING).count())
            time.sleep(0.1)
        connection.close()

    runner.start()
    thread = threading.Thread(target=watch)
    thread.start()
    thread.join(90)
    assert not thread.is_alive()
    assert max(at_once) == 2
    assert_completed_once(expected, runner.log)

    expected = make_jobs(alice, prompt="fake:slow=2", jobs=1, seconds=3)
    of_this = TranscriptionJob.objects.filter(pk__in=expected)
    wait_for(
        of_this.filter(stage="transcribing", status=JobStatus.PROCESSING).exists,
        within_s=60,
        what="a window is worked on",
    )
    family = runner.process.children(recursive=True)
    assert runner.stop() == 0
    assert not [p for p in family if p.is_running() and p.status() != "zombie"]
    window = of_this.get().windows.get()
    assert (window.status, window.attempt) == (WorkStatus.DONE, 1)
