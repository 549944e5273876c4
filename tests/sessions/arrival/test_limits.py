"""What a body may cost, with a real ASGI server and real sockets."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import uvicorn
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.db import OperationalError, connection
from django.test import Client

from jobs_app.models import TranscriptionJob
from people_app.models import ApiToken, TokenRights
from sessions_app.models import AudioChunk, RecordingSession
from tests.sessions.arrival.test_upload_handler import no_file_larger_than
from tests.sessions.conftest import sound
from transcribe_site.asgi import application
from transcribe_site.bodies import senders, streaming

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
GIB = 1024 * MIB
FORM = "multipart/form-data; boundary=b"


@pytest.fixture
def port(storage) -> Iterator[int]:
    """Of the application, as production serves it."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", lifespan="off"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@dataclass
class Answer:
    status: int
    headers: str
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


@pytest.fixture
def send(port) -> Callable[..., Answer]:
    """Send a request as raw bytes and read the answer, whether or not all was sent."""

    def request(path: str = "/api/uploads/", body: bytes = b"", **headers: object) -> Answer:
        headers = {"Host": "localhost", "Content_Length": len(body), **headers}
        lines = [f"POST {path} HTTP/1.1"] + [
            f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None
        ]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connected:
            sending = threading.Thread(
                target=_send_all, args=(connected, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            )
            sending.start()
            with connected.makefile("rb") as answer:
                status = int(answer.readline().split()[1])
                head = b"".join(iter(answer.readline, b"\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split()[0])
                content = answer.read(length)
            connected.shutdown(socket.SHUT_RDWR)
            sending.join()
        return Answer(status, head, content)

    return request


def _send_all(connected: socket.socket, body: bytes) -> None:
    try:
        connected.sendall(body)
    except OSError:
        # The server has answered and closed before it read everything.
        return


@pytest.fixture
def token(alice) -> str:
    return f"Token {ApiToken.objects.issue(alice).key}"


def form(content: bytes) -> bytes:
    return (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="talk.wav"\r\n\r\n'
        + content
        + b"\r\n--b--\r\n"
    )


def chunked(body: bytes, piece: int = 100_000) -> bytes:
    pieces = (body[i : i + piece] for i in range(0, len(body), piece))
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def nothing_was_stored() -> bool:
    return not any(m.objects.exists() for m in (RecordingSession, AudioChunk, TranscriptionJob))


def open_files_of_uploads() -> list[str]:
    """Files of this process in the folder for uploads, those that have no name any more included."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:  # the one of listdir itself
            continue
    return [link for link in links if link.startswith(str(django_settings.FILE_UPLOAD_TEMP_DIR))]


# --- What is taken -------------------------------------------------------------------------------


def test_an_upload_is_taken(send, token):
    answer = send(body=form(sound(100)), Authorization=token, Content_Type=FORM)
    assert answer.status == 201
    assert AudioChunk.objects.get().file.read() == sound(100)
    assert open_files_of_uploads() == []


def test_an_upload_without_an_announced_length_is_taken(send, token):
    answer = send(
        body=chunked(form(sound(100))),
        Authorization=token,
        Content_Type=FORM,
        Content_Length=None,
        Transfer_Encoding="chunked",
    )
    assert answer.status == 201
    assert AudioChunk.objects.get().file.read() == sound(100)


def test_audio_is_served_in_ranges(send, token, port, wav):
    session = send(body=form(wav), Authorization=token, Content_Type=FORM).json["session"]["id"]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connected:
        connected.sendall(
            f"GET /api/sessions/{session}/audio/ HTTP/1.1\r\nHost: localhost\r\nRange: bytes=10-19\r\n"
            f"Authorization: {token}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: connected.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 206")
    assert answer.endswith(b"\r\n\r\n" + wav[10:20])


# --- Too large -----------------------------------------------------------------------------------


def test_three_gigabytes_are_refused_before_they_are_sent(send, token):
    answer = send(Authorization=token, Content_Type=FORM, Content_Length=3 * GIB)
    assert (answer.status, answer.json["code"]) == (413, "file_too_large")
    assert "split the recording" in answer.json["detail"]
    assert nothing_was_stored()


def test_a_client_that_waits_for_a_go_ahead_gets_none(send, token):
    answer = send(Authorization=token, Content_Type=FORM, Content_Length=3 * GIB, Expect="100-continue")
    assert answer.status == 413


def test_a_page_answers_in_words(send):
    answer = send("/upload/", Content_Type=FORM, Content_Length=3 * GIB)
    assert answer.status == 413
    assert "content-type: text/html" in answer.headers
    assert b"split the recording" in answer.body


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(send, token, settings):
    settings.MAX_UPLOAD_BYTES = 3 * MIB
    answer = send(
        body=chunked(form(b"x" * (9 * MIB))),
        Authorization=token,
        Content_Type=FORM,
        Content_Length=None,
        Transfer_Encoding="chunked",
    )
    assert (answer.status, answer.json["code"]) == (413, "file_too_large")
    assert open_files_of_uploads() == []
    assert nothing_was_stored()


def test_json_of_gigabytes_is_not_read_into_memory(send, token):
    answer = send(Authorization=token, Content_Type="application/json", Content_Length=3 * MIB)
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")


def test_a_client_that_goes_on_sending_is_cut_off(port, monkeypatch):
    monkeypatch.setattr(streaming, "LINGER_S", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connected:
        connected.sendall(
            f"POST /api/uploads/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
            f"Content-Length: {3 * GIB}\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: connected.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413")


# --- Strangers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", [None, "Token wrong", "Bearer wrong", "Basic YTpi"])
def test_strangers_cannot_fill_the_disk(send, authorization):
    answer = send(Authorization=authorization, Content_Type=FORM, Content_Length=3 * MIB)
    assert (answer.status, answer.json["code"]) == (401, "not_authenticated")
    assert "www-authenticate: bearer" in answer.headers


def test_strangers_cannot_fill_the_disk_without_announcing_it(send):
    answer = send(
        body=chunked(form(b"x" * (3 * MIB))),
        Content_Type=FORM,
        Content_Length=None,
        Transfer_Encoding="chunked",
    )
    assert answer.status == 401
    assert open_files_of_uploads() == []


def test_a_token_of_someone_who_was_locked_out_does_not_count(send, token, alice):
    alice.is_active = False
    alice.save(update_fields=["is_active"])
    assert send(Authorization=token, Content_Type=FORM, Content_Length=3 * MIB).status == 401


def test_a_token_that_only_reads_sends_nothing(send, alice):
    reads = f"Token {ApiToken.objects.issue(alice, rights=TokenRights.READ).key}"
    answer = send(Authorization=reads, Content_Type=FORM, Content_Length=3 * MIB)
    assert (answer.status, answer.json["code"]) == (403, "token_rights")
    assert "make it on your account page" in answer.json["detail"]


def test_a_session_cookie_counts_and_an_invented_one_does_not(send, alice, settings):
    browser = Client()
    browser.force_login(alice)
    assert SESSION_KEY in browser.session
    name = settings.SESSION_COOKIE_NAME
    big = form(b"x" * (3 * MIB))
    # It is let through to the view, which misses the CSRF token.
    assert send(body=big, Cookie=f"{name}={browser.cookies[name].value}", Content_Type=FORM).status == 403
    assert send(body=big, Cookie=f"{name}=invented", Content_Type=FORM).status == 401


def test_a_cookie_that_is_no_session_is_as_none(send, settings):
    cookie = rf'{settings.SESSION_COOKIE_NAME}="abcdefghijklmnop\000qrstuvwxyz012345"'
    assert send(Cookie=cookie, Content_Type=FORM, Content_Length=3 * MIB).status == 401


def test_a_database_that_is_away_says_when_to_come_back(send, token, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("connection refused by db.internal")

    with monkeypatch.context() as patch:
        patch.setattr(senders, "who", fail)
        answer = send(Authorization=token, Content_Type=FORM, Content_Length=3 * MIB)
    assert (answer.status, answer.json["code"]) == (503, "try_again")
    assert "retry-after: 5" in answer.headers
    assert b"db.internal" not in answer.body


# --- Full disks ----------------------------------------------------------------------------------


def test_what_will_not_fit_is_refused_before_it_is_sent(send, token, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100 * MIB))
    answer = send(Authorization=token, Content_Type=FORM, Content_Length=60 * MIB)
    assert (answer.status, answer.json["code"]) == (507, "storage_full")


def test_a_disk_that_fills_while_the_body_is_read_is_said_to_be_full(send, token):
    with no_file_larger_than(4 * MIB):
        answer = send(body=form(b"x" * (9 * MIB)), Authorization=token, Content_Type=FORM)
    assert (answer.status, answer.json["code"]) == (507, "storage_full")
    assert open_files_of_uploads() == []
    assert nothing_was_stored()


def test_a_disk_that_is_nearly_full_while_the_body_is_read_is_said_to_be_full(send, token, monkeypatch):
    free = iter([10 * GIB])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=next(free, -1)))
    answer = send(body=form(b"x" * (20 * MIB)), Authorization=token, Content_Type=FORM)
    assert (answer.status, answer.json["code"]) == (507, "storage_full")
    assert nothing_was_stored()


# --- Clients that leave --------------------------------------------------------------------------


def test_a_client_that_leaves_in_the_middle_leaves_nothing(port, token, left_behind):
    with socket.create_connection(("127.0.0.1", port)) as connected:
        connected.sendall(
            f"POST /api/uploads/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
            f"Content-Type: {FORM}\r\nContent-Length: {9 * MIB}\r\n\r\n".encode()
            + form(b"x" * (5 * MIB))
        )
        assert _becomes_true(lambda: open_files_of_uploads() != [])
    assert _becomes_true(lambda: open_files_of_uploads() == [])
    assert nothing_was_stored()
    assert left_behind() == []
    connection.close()


def _becomes_true(condition: Callable[[], bool], within_s: float = 5) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False
