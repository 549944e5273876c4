"""Connections that bring nothing more, with a real server and short clocks."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest
import uvicorn

from people_app.models import ApiToken
from transcribe_site.bodies import streaming
from transcribe_site.edge import header_clock
from transcribe_site.server import make_application

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.any_database]

MIB = 1024 * 1024
FORM = "multipart/form-data; boundary=b"


@pytest.fixture
def port(storage, settings, monkeypatch) -> Iterator[int]:
    settings.STALLED_AFTER_S = 1
    monkeypatch.setattr(streaming, "LINGER_S", 0.1)
    config = uvicorn.Config(
        make_application(), http=header_clock.Protocol, port=0, log_level="error", lifespan="off"
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0), backlog=300)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def head(path: str, length: int, **more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {FORM}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in more.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def all_of(connected: socket.socket) -> bytes:
    connected.settimeout(10)
    try:
        return b"".join(iter(lambda: connected.recv(65536), b""))
    except ConnectionResetError:
        return b""


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.parametrize("sent", [b"", b"POST /login/ HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_header_that_does_not_end_ends_its_connection(port, sent):
    with connect(port) as connected:
        connected.sendall(sent)
        began = time.monotonic()
        assert all_of(connected) == b""
        assert time.monotonic() - began < 5


def test_a_header_that_comes_byte_by_byte_ends_its_connection(port):
    with connect(port) as connected, pytest.raises(OSError):
        connected.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        for _ in range(60):
            connected.sendall(b"x")
            time.sleep(0.1)


def test_the_next_header_on_a_connection_has_a_clock_too(port):
    with connect(port) as connected:
        connected.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
        connected.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
        assert all_of(connected).count(b"HTTP/1.1") == 1


def test_a_body_that_stops_is_answered_and_its_connection_ended(port):
    with connect(port) as connected:
        connected.sendall(head("/api/auth/token/", 1000) + b"--b\r\n")
        answer = all_of(connected)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code": "request_timeout"' in answer


def test_a_body_that_comes_too_slowly_is_given_up(port, settings):
    settings.BODY_LEAST_BYTES_S = 1000
    with connect(port) as connected:
        connected.sendall(head("/login/", 1000))
        began = time.monotonic()
        with pytest.raises(OSError):
            for _ in range(60):
                connected.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - began < 5


def test_a_slow_body_that_keeps_its_rate_is_taken(port, settings):
    settings.BODY_LEAST_BYTES_S = 100
    with connect(port) as connected:
        connected.sendall(head("/healthz", 1000))
        for _ in range(20):
            connected.sendall(b"x" * 50)
            time.sleep(0.1)
        connected.settimeout(5)
        # It has been read whole: only then is its method refused.
        assert connected.recv(100).startswith(b"HTTP/1.1 405 ")


def test_two_hundred_strangers_that_stall_take_little_memory(port, settings):
    settings.STALLED_AFTER_S = 20
    process = psutil.Process()
    with ExitStack() as stack:
        before = process.memory_info().rss
        for n in range(200):
            connected = stack.enter_context(connect(port))
            # Half of them say how much they will send, which is more than strangers may.
            length = 2_100_000 if n % 2 else 64_000
            connected.sendall(head("/login/", length))
            connected.sendall(b"x" * (length - 1000 if n % 2 == 0 else 60_000))
        time.sleep(1)
        grown = process.memory_info().rss - before
    # They were 440 MB when each could leave 2 MB.
    assert grown < 80 * MIB


def test_one_account_has_only_so_many_bodies_on_their_way(port, alice, bob, settings):
    settings.UPLOADS_AT_ONCE, settings.STALLED_AFTER_S = 2, 20
    tokens = [f"Token {ApiToken.objects.issue(user).key}" for user in (alice, bob)]

    def begin(token: str) -> socket.socket:
        connected = stack.enter_context(connect(port))
        connected.sendall(head("/nowhere/", 900 * MIB, Authorization=token) + b"--b\r\n")
        return connected

    def is_refused(connected: socket.socket) -> bool:
        connected.settimeout(1)
        try:
            return connected.recv(100).startswith(b"HTTP/1.1 429 ")
        except TimeoutError:
            return False

    with ExitStack() as stack:
        first, second, third = (begin(tokens[0]) for _ in range(3))
        assert [is_refused(c) for c in (first, second, third)] == [False, False, True]
        assert not is_refused(begin(tokens[1]))
        first.close()
        time.sleep(0.3)
        assert not is_refused(begin(tokens[0]))
