"""Bad days of resumable uploads: whatever breaks while one is sent, its recording has every byte once.

Runs on the database of the test run (SQLite or PostgreSQL), with real web processes and real sockets.
"""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.db import connection

from jobs_app.models import TranscriptionJob
from people_app.models import ApiToken
from sessions_app.models import AudioChunk, ResumableUpload
from sessions_app.tus import uploads as tus
from sessions_app.tus.files import locked, part_path
from tests.acceptance.conftest import ROOT, wait_for
from tests.acceptance.recordings.client import WebProcess

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

UPLOADS = "/api/uploads/tus/"
PART = "application/offset+octet-stream"
MIB = 1024 * 1024


def write_wav(path: Path, size: int) -> None:
    """Noise as a WAV of `size` bytes: 48 kHz, two channels, 16 bits."""
    head = b"RIFF" + struct.pack("<I", size - 8) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, 2, 48_000, 192_000, 4, 16) + b"data" + struct.pack("<I", size - 44)
    with path.open("wb") as file:
        file.write(head)
        left = size - len(head)
        while left:
            left -= file.write(random.randbytes(min(left, MIB)))


@dataclass
class Sender:
    """Sends one file by tus to web processes, and counts what it hands to its sockets."""

    ports: list[int]
    token: str
    path: Path
    url: str = ""
    sent: int = 0

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def ask(self, method: str, url: str, port: int | None = None, **headers: object) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", port or self.ports[0], timeout=60)
        given = {"Authorization": f"Token {self.token}", "Tus-Resumable": "1.0.0"}
        given |= {name.replace("_", "-"): str(value) for name, value in headers.items()}
        connection.request(method, url, headers=given)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response

    def begin(self) -> None:
        response = self.ask("POST", UPLOADS, Upload_Length=self.size, Upload_Metadata="engine ZmFrZQ==")
        assert response.status == 201
        self.url = response.headers["Location"]

    def look(self, port: int | None = None) -> HTTPResponse:
        return self.ask("HEAD", self.url, port)

    def offset(self, port: int | None = None) -> int:
        response = self.look(port)
        assert response.status == 200, response.status
        return int(response.headers["Upload-Offset"])

    def connect(self, at: int, port: int | None = None) -> socket.socket:
        """A connection that announces all that is left."""
        connection = socket.create_connection(("127.0.0.1", port or self.ports[0]), timeout=60)
        lines = (
            f"PATCH {self.url} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Token {self.token}",
            "Tus-Resumable: 1.0.0",
            f"Upload-Offset: {at}",
            f"Content-Type: {PART}",
            f"Content-Length: {self.size - at}",
        )
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    def pour(self, connection: socket.socket, at: int, end: int) -> None:
        with self.path.open("rb") as file:
            file.seek(at)
            while at < end:
                block = file.read(min(256 * 1024, end - at))
                connection.sendall(block)
                at += len(block)
                self.sent += len(block)

    def send_until(self, at: int, end: int) -> None:
        """Announce all that is left, send it up to `end`, and break off; sometimes by a reset."""
        with self.connect(at) as connection:
            self.pour(connection, at, end)
            if random.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def send_rest(self, at: int, port: int | None = None) -> tuple[int, dict[str, str]]:
        """The status and the headers of the answer."""
        with self.connect(at, port) as connection:
            try:
                self.pour(connection, at, self.size)
            except (BrokenPipeError, ConnectionResetError):
                assert self.sent < self.size * 2
            response = HTTPResponse(connection)
            response.begin()
            return response.status, {name.lower(): value for name, value in response.getheaders()}

    def finish(self) -> None:
        """Send what is left, as clients do: when the offset was a wrong one they ask for it again."""
        for _ in range(3):
            if self.send_rest(self.offset())[0] == 204:
                return
        raise AssertionError("The server does not take what comes at the offset that it says.")

    def assert_stored_once(self) -> None:
        job = TranscriptionJob.objects.get()
        chunk = AudioChunk.objects.get()
        assert chunk.session_id == job.session_id
        assert (chunk.size_bytes, chunk.sha256) == (self.size, self.sha256)
        with chunk.file.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        response = self.look()
        assert response.headers["Upload-Offset"] == str(self.size)
        assert response.headers["Upload-Job"] == str(job.pk)
        assert response.headers["Upload-Session"] == str(job.session_id)


@pytest.fixture
def start_web(child_environment, tmp_path) -> Iterator[object]:
    started: list[WebProcess] = []

    def start() -> WebProcess:
        process = WebProcess(
            {**child_environment, "MIN_FREE_DISK_MB": "0", "HTTPS": "False"},
            tmp_path / f"web{len(started)}.log",
        )
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        # Shown by pytest when the test failed.
        sys.stdout.write(process.log[-4000:])


@pytest.fixture
def web(start_web) -> WebProcess:
    return start_web()


@pytest.fixture
def sender_of(web, alice, tmp_path):
    token = ApiToken.objects.issue(alice).key

    def make(size: int) -> Sender:
        path = tmp_path / "talk.wav"
        write_wav(path, size)
        sender = Sender([web.port], token, path)
        sender.begin()
        return sender

    return make


def parts(child_environment) -> list[Path]:
    return list((Path(child_environment["DATA_DIR"]) / "tmp").rglob("*.part"))


@pytest.mark.any_database
def test_twenty_breaks_cost_next_to_nothing(sender_of, child_environment):
    sender = sender_of(200 * MIB)
    at = 0
    for cut in sorted(random.sample(range(1, sender.size), 20)):
        if cut > at:
            sender.send_until(at, cut)
        # At once, while the server still writes what it has got.
        at = sender.offset()
        assert at <= cut
    sender.finish()
    # What a break costs is in buffers, whatever the size of the file: of one of 1 GB it is to be 5 %.
    assert sender.sent - sender.size <= 0.05 * 1024 * MIB
    sender.assert_stored_once()
    assert parts(child_environment) == []


@pytest.mark.any_database
def test_a_killed_web_process_costs_the_last_seconds(web, sender_of):
    sender = sender_of(60 * MIB)
    at = 0
    for cut in (7 * MIB, 20 * MIB + 17, 41 * MIB):
        with sender.connect(at) as connection:
            sender.pour(connection, at, cut)
            wait_for(
                lambda end=cut: stored(sender) >= end - 4 * MIB, within_s=20, what="most of it is stored"
            )
            web.kill()
        web.start()
        assert cut - 4 * MIB <= sender.offset() <= cut
        at = sender.offset()
    assert sender.send_rest(at)[0] == 204
    sender.assert_stored_once()


def stored(sender: Sender) -> int:
    """What is in the part, without asking, which would stop whoever sends."""
    return part_path(ResumableUpload.objects.get().pk).stat().st_size


@pytest.mark.parametrize("after_s", [0, 0.02, 0.06])
def test_a_web_process_killed_at_the_last_byte_makes_one_job(web, sender_of, after_s):
    sender = sender_of(30 * MIB)
    with sender.connect(0) as connection:
        sender.pour(connection, 0, sender.size)
        wait_for(lambda: not_there_or(sender, sender.size - 2 * MIB), within_s=20, what="it is nearly stored")
        time.sleep(after_s)
        web.kill()
    web.start()
    at = sender.offset()
    if at < sender.size:
        assert sender.send_rest(at)[0] == 204
    sender.assert_stored_once()


def not_there_or(sender: Sender, size: int) -> bool:
    try:
        return stored(sender) >= size
    except FileNotFoundError:
        # Ended already.
        return True


@pytest.mark.parametrize(
    "step",
    [
        "sessions_app.tus.uploads.store_upload",  # all has come
        "sessions_app.arrival.intake.start_job",  # the file is in its place, nothing is committed
        "sessions_app.tus.files.Part.remove",  # all is committed
    ],
)
def test_a_process_killed_while_it_ends_an_upload_makes_one_job(child_environment, alice, step, tmp_path):
    path = tmp_path / "talk.wav"
    write_wav(path, MIB)
    upload = tus.create(alice, length=MIB, metadata="engine ZmFrZQ==")
    with locked(upload) as part:
        part.append(path.read_bytes())
    code = f"""
import os, unittest.mock, django
django.setup()
from sessions_app.tus import uploads as tus
from sessions_app.models import ResumableUpload
with unittest.mock.patch({step!r}, lambda *args, **kwargs: os._exit(9)):
    tus.offset(ResumableUpload.objects.get())
"""
    own = {"DJANGO_SETTINGS_MODULE": "transcribe_site.settings", "MIN_FREE_DISK_MB": "0"}
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**child_environment, **own})
    assert killed.returncode == 9
    assert tus.offset(upload) == MIB
    upload.refresh_from_db()
    assert TranscriptionJob.objects.get() == upload.job
    assert AudioChunk.objects.get().file.read() == path.read_bytes()


def test_two_requests_with_the_last_part_make_one_job(web, sender_of):
    sender = sender_of(20 * MIB)
    sender.send_until(0, 19 * MIB)
    at = sender.offset()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sender.send_rest(at), range(8)))
    statuses = {status for status, _ in answers}
    assert statuses <= {204, 409}
    if sender.offset() < sender.size:
        assert sender.send_rest(sender.offset())[0] == 204
    sender.assert_stored_once()


def test_many_beginnings_at_once_are_no_more_than_are_allowed(web, alice, tmp_path):
    sender = Sender([web.port], ApiToken.objects.issue(alice).key, tmp_path)
    allowed = settings.TUS_MAX_UNFINISHED
    with ThreadPoolExecutor(2 * allowed) as pool:
        begun = [pool.submit(sender.ask, "POST", UPLOADS, Upload_Length=5) for _ in range(2 * allowed)]
    statuses = [each.result().status for each in begun]
    assert sorted(statuses) == [201] * allowed + [422] * allowed
    assert ResumableUpload.objects.count() == allowed


def test_two_web_processes_do_not_write_the_same_byte_twice(start_web, sender_of):
    sender = sender_of(20 * MIB)
    other = start_web()
    with sender.connect(0) as first:
        sender.pour(first, 0, 5 * MIB)
        wait_for(lambda: stored(sender) >= 4 * MIB, within_s=20, what="it is stored")
        at = sender.offset(other.port)
        # The first connection goes on, although its right to was taken away.
        sender.pour(first, 5 * MIB, 8 * MIB)
        answer = HTTPResponse(first)
        answer.begin()
        assert answer.status == 409
        assert sender.send_rest(at, other.port)[0] == 204
    sender.assert_stored_once()


def test_requests_to_two_web_processes_at_once_make_one_job(start_web, sender_of):
    sender = sender_of(20 * MIB)
    ports = [sender.ports[0], start_web().port]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: sender.send_rest(0, ports[i % 2]), range(8)))
    assert {status for status, _ in answers} <= {204, 409}
    while (at := sender.offset()) < sender.size:
        assert sender.send_rest(at)[0] == 204
    sender.assert_stored_once()


@pytest.mark.any_database
def test_a_connection_that_died_in_silence_does_not_hold_the_upload(sender_of):
    """As after a laptop's sleep: the server has not been told."""
    sender = sender_of(10 * MIB)
    with sender.connect(0) as silent:
        sender.pour(silent, 0, 3 * MIB)
        started = time.monotonic()
        at = sender.offset()
        assert time.monotonic() - started < 5
        assert at == 3 * MIB
        assert sender.send_rest(at)[0] == 204
    sender.assert_stored_once()


@pytest.mark.any_database
def test_what_slowly_comes_is_stored_while_it_comes(web, sender_of):
    sender = sender_of(MIB)
    with sender.connect(0) as slow:
        sender.pour(slow, 0, 1000)
        wait_for(lambda: stored(sender) == 1000, within_s=10, what="a little is stored")
        sender.pour(slow, 1000, 3000)
        wait_for(lambda: stored(sender) == 3000, within_s=10, what="a little more is stored")


@pytest.mark.any_database
def test_memory_does_not_grow_with_the_file(web, sender_of):
    sender = sender_of(300 * MIB)
    sender.send_until(0, 10 * MIB)  # what is loaded once
    process = psutil.Process(web._process.pid)
    before = process.memory_info().rss
    peak = before
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        sender.finish()
    finally:
        done.set()
        watching.join()
    assert peak - before < 32 * MIB
    sender.assert_stored_once()


@pytest.mark.any_database
def test_who_is_refused_is_told_so_before_sending_everything(sender_of):
    sender = sender_of(50 * MIB)
    with sender.connect(1) as connection:
        try:
            sender.pour(connection, 1, sender.size)
        except (BrokenPipeError, ConnectionResetError):
            assert sender.sent < sender.size
        answer = HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["Connection"]) == (409, "close")
    assert sender.offset() == 0


def test_many_slow_uploads_hold_nobody_up(web, sender_of, alice):
    """Each has a thread of its own, and none a connection of the database."""
    sender = sender_of(MIB)
    others = []
    for _ in range(15):
        other = Sender(sender.ports, sender.token, sender.path)
        other.begin()
        others.append(other)
    sockets = [other.connect(0) for other in others]
    try:
        for other, opened in zip(others, sockets, strict=True):
            other.pour(opened, 0, 100)
        uploads = list(ResumableUpload.objects.exclude(pk=sender.url.split("/")[-2]))
        wait_for(
            lambda: all(part_path(upload.pk).stat().st_size == 100 for upload in uploads),
            within_s=20,
            what="all of them are being received",
        )
        started = time.monotonic()
        assert sender.send_rest(0)[0] == 204
        assert time.monotonic() - started < 5
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
                assert cursor.fetchone()[0] < 5
    finally:
        for opened in sockets:
            opened.close()
