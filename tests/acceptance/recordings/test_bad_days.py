"""Bad days of recordings: whatever dies while one is made, its transcript has every second once.

Runs on the database of the test run (SQLite or PostgreSQL), with a real web process and real workers. The
engine is the fake one, which reads numbered seconds; the chunks are cut in the middle of them.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobs_app.models import (
    ChunkTranscription,
    JobStep,
    LeasedWork,
    SoundTrack,
    StepKind,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.storage import loose_files
from people_app.models import ApiToken
from sessions_app.models import AudioChunk, RecordingSession
from sessions_app.sweeping import orphans
from tests.acceptance.conftest import RunnerProcess, kill, wait_for
from tests.acceptance.recordings.client import Recorder, WebProcess
from tests.acceptance.test_chaos import lock_out_of_postgres, lock_sqlite_for, make_jobs

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def web(child_environment, tmp_path):
    process = WebProcess({**child_environment, "MIN_FREE_DISK_MB": "0"}, tmp_path / "web.log")
    process.start()
    yield process
    process.kill()
    # Shown by pytest when the test failed.
    sys.stdout.write(process.log[-6000:])


@pytest.fixture
def record(web, alice):
    """Begin a recording of Alice's."""
    token = ApiToken.objects.issue(alice).key

    def begin(*, seconds: int, chunk_s: float, **more) -> Recorder:
        return Recorder(web, token, seconds=seconds, chunk_s=chunk_s, **more)

    return begin


@pytest.fixture
def clean_up_orphans(settings):
    """Do what a job runner does, of files that nobody knows, when ORPHAN_AFTER_HOURS are over."""

    def sweep() -> None:
        settings.ORPHAN_AFTER_S = 0
        loose_files.sweep()
        orphans.sweep_parts()

    return sweep


def wait_for_transcript(recorder: Recorder, runner: RunnerProcess, *, within_s: float = 60) -> None:
    """Wait until the recording has its transcript; all of it must be there, once, in order."""
    wait_for(
        lambda: recorder.look()["state"] not in ("recording", "processing"),
        within_s=within_s,
        what="the recording is transcribed",
    )
    assert_transcribed_once(recorder, runner)


def assert_transcribed_once(recorder: Recorder, runner: RunnerProcess) -> None:
    job = TranscriptionJob.objects.get(session=recorder.session_id)
    assert (job.status, job.error) == ("completed", ""), runner.log[-4000:]
    assert job.transcript.text == recorder.text
    assert job.sound.gaps == []
    assert " ".join(s.text for s in job.segments.order_by("start_ms", "number")) == recorder.text
    windows = list(job.windows.order_by("start_ms"))
    assert (windows[0].start_ms, windows[-1].end_ms) == (0, job.duration_ms)
    assert all(a.end_ms == b.start_ms for a, b in pairwise(windows))
    chunks = recorder.look_at_chunks()
    assert [chunk["number"] for chunk in chunks["results"]] == list(range(len(recorder.chunks)))
    assert [chunk["size_bytes"] for chunk in chunks["results"]] == list(map(len, recorder.chunks))


def files_without_rows() -> list[str]:
    """What is in the storage, or on its way there, and belongs to no recording."""
    known = {default_storage.path(name) for name in AudioChunk.objects.values_list("file", flat=True)}
    known |= {default_storage.path(sound.joined.name) for sound in joined_sounds()}
    folders = [Path(django_settings.MEDIA_ROOT), Path(django_settings.FILE_UPLOAD_TEMP_DIR)]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if str(path) not in known]


def joined_sounds() -> QuerySet[SoundTrack]:
    return SoundTrack.objects.exclude(joined="")


def kill_worker_in(work: QuerySet[LeasedWork]) -> bool:
    """Kill a worker in the middle of one of these. False: none is being done.

    It is stopped first, so that it cannot end between the look and the kill.
    """
    for running in work.filter(status=WorkStatus.RUNNING):
        pid = int(running.worker.rsplit(":", 1)[1])
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            continue
        if work.filter(pk=running.pk, lease_token=running.lease_token).exists():
            kill(pid)
            return True
        os.kill(pid, signal.SIGCONT)
    return False


def test_a_web_process_killed_around_an_upload_costs_nothing_and_stores_nothing_twice(
    web, runner, record, clean_up_orphans
):
    runner.start()
    for n, kill_web in enumerate((killed_in_the_middle_of_an_upload, killed_before_it_has_answered), start=1):
        recorder = record(seconds=60, chunk_s=11.1)
        recorder.send(0, 1)
        kill_web(web, recorder)
        recorder.send(*range(2, len(recorder.chunks)))
        recorder.finish()
        wait_for_transcript(recorder, runner)
        wait_for(lambda n=n: joined_sounds().count() == n, within_s=30, what="the chunks are joined")
        clean_up_orphans()
        assert files_without_rows() == []


def killed_in_the_middle_of_an_upload(web: WebProcess, recorder: Recorder) -> None:
    with recorder.send_half(2) as half:
        web.kill()
        assert is_cut_off(half)
    web.start()
    assert recorder.look()["chunk_count"] == 2


def is_cut_off(half: socket.socket) -> bool:
    try:
        return half.recv(1000) == b""
    except ConnectionResetError:
        return True


def killed_before_it_has_answered(web: WebProcess, recorder: Recorder) -> None:
    def third_came() -> bool:
        # With SQLite nobody can announce a file now, and it stays where it came.
        return [Path(path).stat().st_size for path in files_without_rows()] == [len(recorder.chunks[2])]

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # Its rows cannot be written now.
            RecordingSession.objects.select_for_update().get(pk=recorder.session_id)
            sending = pool.submit(recorder.send, 2)
            wait_for(third_came, within_s=20, what="the third chunk is on disk")
            web.kill()
        web.start()
        # The recorder has gone on trying.
        sending.result(60)
    assert len(files_without_rows()) == 1


def test_workers_killed_while_it_is_recorded_cost_no_word(runner, record):
    runner.environment["LEASE_S"] = "3"
    runner.start()
    recorder = record(seconds=100, chunk_s=7.3, prompt="fake:slow=1")
    windows = ChunkTranscription.objects.filter(job__session=recorder.session_id)
    preparations = JobStep.objects.filter(job__session=recorder.session_id, kind=StepKind.PREPARE)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(recorder.send, *range(len(recorder.chunks) - 1))
        wait_for(lambda: kill_worker_in(preparations), within_s=30, what="a worker prepares", every_s=0.002)
        wait_for(lambda: kill_worker_in(windows), within_s=30, what="a worker transcribes")
        sending.result(60)
    assert recorder.look()["state"] == "recording"
    recorder.send(len(recorder.chunks) - 1)
    recorder.finish()
    wait_for_transcript(recorder, runner)
    gone = [line for line in runner.log.splitlines() if line.rstrip().endswith("is gone")]
    assert any("prepare of job" in line for line in gone)
    assert any("window" in line for line in gone)


def test_a_database_that_goes_away_while_it_is_recorded_costs_nothing(runner, record):
    runner.start()
    recorder = record(seconds=140, chunk_s=2.9, prompt="fake:slow=0.3")
    recorder.send(*range(15))

    def send_the_rest() -> None:
        for number in range(15, len(recorder.chunks)):
            recorder.send(number)
            time.sleep(0.05)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_the_rest)
        if connection.vendor == "sqlite":
            lock_sqlite_for(3)
        else:
            lock_out_of_postgres()
        assert not sending.done()
        sending.result(60)
    recorder.finish()
    if connection.vendor != "sqlite":
        # On SQLite a request waits instead.
        assert max(recorder.statuses) == 503
    wait_for_transcript(recorder, runner)


def test_what_is_recorded_while_no_worker_runs_is_transcribed_when_one_does(runner, record):
    runner.start()
    recorder = record(seconds=90, chunk_s=11.1)
    recorder.send(0, 1, 2)
    wait_for(
        lambda: ChunkTranscription.objects.filter(status=WorkStatus.DONE).exists(),
        within_s=30,
        what="a window is transcribed",
    )
    assert runner.stop() == 0
    recorder.send(*range(3, len(recorder.chunks)))
    recorder.finish()
    assert recorder.look()["state"] == "processing"
    done_before = dict(
        ChunkTranscription.objects.filter(status=WorkStatus.DONE).values_list("pk", "finished_at")
    )
    runner.start()
    wait_for_transcript(recorder, runner)
    # And what was done stays done.
    again = ChunkTranscription.objects.filter(pk__in=done_before).values_list("pk", "finished_at")
    assert dict(again) == done_before


def one_whose_clock_is_wrong(record: Callable[..., Recorder], runner: RunnerProcess) -> None:
    before = timezone.now()
    wrong = {
        "Date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT",
        "If-Modified-Since": "Fri, 31 Dec 2099 23:59:59 GMT",
        "X-Request-Start": "t=4102444799",
        "X-Client-Time": "2099-12-31T23:59:59Z",
    }
    moments = {"started_at": "2099-12-31T23:59:59Z", "finished_at": "1970-01-01T00:00:00Z"}
    recorder = record(seconds=40, chunk_s=7.3, headers=wrong, **moments)
    for number in range(len(recorder.chunks)):
        # Nor does what a wrong clock has measured.
        recorder.send(number, duration_ms="1", received_at=moments["started_at"])
    recorder.finish()
    wait_for_transcript(recorder, runner)
    session = recorder.look()
    received = [chunk["received_at"] for chunk in recorder.look_at_chunks()["results"]]
    told = [datetime.fromisoformat(m) for m in (session["started_at"], *received, session["finished_at"])]
    assert told == sorted(told)
    assert before <= told[0]
    assert told[-1] <= timezone.now()
    assert session["duration_ms"] == 40_000


def test_one_whose_clock_is_wrong_and_fifty_at_once_each_become_their_own_transcript(runner, record):
    runner.start()
    one_whose_clock_is_wrong(record, runner)
    random.seed(3)

    def send_all(n: int) -> Recorder:
        recorder = record(first=100 * n, seconds=18, chunk_s=3.1)
        numbers = list(range(len(recorder.chunks)))
        numbers += random.sample(numbers, 2)
        random.shuffle(numbers)
        recorder.send(*numbers)
        recorder.finish()
        return recorder

    with ThreadPoolExecutor(50) as pool:
        recorders = list(pool.map(send_all, range(50)))
    assert {len(recorder.chunks) for recorder in recorders} == {6}
    wait_for(lambda: not TranscriptionJob.objects.active().exists(), within_s=240, what="all are transcribed")
    for recorder in recorders:
        # Begun, six stored, two seen to be there already, finished. A busy site tells some to come again.
        told = [status for status in recorder.statuses if status != 503]
        assert sorted(told) == [200] * 2 + [201] * 7 + [202]
        assert_transcribed_once(recorder, runner)


@pytest.mark.any_database
def test_a_recorder_that_vanishes_leaves_a_transcript_of_what_has_come(runner, record):
    runner.environment["ABANDONED_AFTER_S"] = "3"
    runner.start()
    recorder = record(seconds=60, chunk_s=10.5)
    recorder.send(0, 1, 2, 3)
    with recorder.send_half(4):
        pass
    # As long as something comes it goes on.
    assert recorder.look()["state"] == "recording"
    recorder.chunks, recorder.text = recorder.chunks[:4], " ".join(f"w{n:04d}" for n in range(42))
    wait_for_transcript(recorder, runner)
    assert recorder.look()["finished_at"] is not None


def test_a_recording_comes_before_uploads_that_keep_all_workers_busy(runner, record, bob):
    runner.environment["WORKERS"] = "1"
    uploads = make_jobs(bob, prompt="fake:slow=1.5")
    of_uploads = ChunkTranscription.objects.filter(job__in=uploads)
    runner.start()
    wait_for(
        of_uploads.filter(status=WorkStatus.RUNNING).exists, within_s=60, what="an upload is transcribed"
    )
    recorder = record(seconds=50, chunk_s=11.1)
    recorder.send(*range(len(recorder.chunks)))
    recorder.finish()
    wait_for_transcript(recorder, runner)
    job = TranscriptionJob.objects.get(session=recorder.session_id)
    span = (job.session.finished_at, job.ended_at)
    assert job.windows.filter(started_at__range=span).exists()
    assert not of_uploads.filter(started_at__range=span).exists()
    assert of_uploads.filter(status=WorkStatus.WAITING).exists()
