"""The live socket in a real server, as production starts it, with the client that programs use."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from deploy.run import WEBSOCKETS
from sessions_app.live import threads
from sessions_app.live.hub import COUNTS
from sessions_app.models import LivePiece
from tests.sessions.live.client import by_token, noise
from tests.sessions.live.test_telling import final, says
from transcribe_site.edge import header_clock
from transcribe_site.server import make_application

pytestmark = pytest.mark.django_db(transaction=True)


class Server:
    def __init__(self) -> None:
        options = dict(zip(WEBSOCKETS[::2], WEBSOCKETS[1::2], strict=True))
        config = uvicorn.Config(
            make_application(),
            http=header_clock.Protocol,
            ws=options["--ws"],
            ws_max_size=int(options["--ws-max-size"]),
            ws_per_message_deflate=options["--ws-per-message-deflate"] == "true",
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]})
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections)

    def stop(self) -> None:
        self._server.should_exit = True

    def wait(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def server(storage, transactional_db) -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()
    running.wait()
    threads.end_connections()


@pytest.fixture
def address(server, recording) -> str:
    return f"ws://127.0.0.1:{server.port}/ws/sessions/{recording.pk}/live/"


def hear_until(live: ClientConnection, type: str, **wanted: object) -> dict:
    while True:
        said = json.loads(live.recv(20))
        if said["type"] == type and wanted.items() <= said.items():
            return said


def test_a_program_sends_a_recording(address, server, alice, recording):
    samples = noise(1.3)
    with connect(address, additional_headers=by_token(alice)) as live:
        live.send(json.dumps({"type": "start", "sample_rate": 16_000}))
        hear_until(live, "ready", received_ms=0)
        assert COUNTS.open == 1
        for at in range(0, len(samples), 1600):
            live.send(samples[at : at + 1600].tobytes())
        live.send(json.dumps({"type": "stop"}))
        hear_until(live, "saved", saved_ms=1300)
    recording.refresh_from_db()
    assert recording.finished_at is not None
    metrics = httpx2.get(f"http://127.0.0.1:{server.port}/metrics").text
    assert "transcribe_live_sockets 0.0" in metrics


def test_refusals_have_a_status_and_say_why(address, bob):
    for headers, status, code in ((by_token(bob), 404, "not_found"), ({}, 403, "not_authenticated")):
        with pytest.raises(InvalidStatus) as refused:
            connect(address, additional_headers=headers)
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body)["code"] == code


def test_a_message_that_is_too_large_ends_the_connection(address, alice):
    with connect(address, additional_headers=by_token(alice)) as live:
        live.send(json.dumps({"type": "start", "sample_rate": 16_000}))
        hear_until(live, "ready")
        live.send(bytes(64 * 1024 + 2))
        with pytest.raises(ConnectionClosed) as closed:
            hear_until(live, "nothing")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_the_connection_of_who_reads_nothing_is_cut(address, server, alice, job, settings):
    """However much of it the system would keep: the client neither leaves nor reads."""
    settings.LIVE_UNREAD_S = 0.5
    says(job, finals=[final(n, "so he said and went on " * 500) for n in range(1000)])
    job.next_segment = 1000
    job.save(update_fields=["next_segment"])
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", server.port))
    with (
        contextlib.suppress(ConnectionClosed),
        connect(
            address, sock=line, additional_headers=by_token(alice), max_queue=1, ping_interval=None
        ) as deaf,
    ):
        deaf.send(json.dumps({"type": "watch"}))
        deadline = time.monotonic() + 20
        while server.connections:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert COUNTS.open == 0


def test_a_server_that_stops_says_so_and_keeps_what_has_come(address, server, alice, recording):
    samples = noise(0.8)
    with connect(address, additional_headers=by_token(alice)) as live:
        live.send(json.dumps({"type": "start", "sample_rate": 16_000}))
        hear_until(live, "ready")
        live.send(samples[:12_000].tobytes())
        hear_until(live, "saved", received_ms=750)
        live.send(samples[12_000:].tobytes())
        time.sleep(0.1)
        server.stop()
        with pytest.raises(ConnectionClosed) as closed:
            hear_until(live, "nothing")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    server.wait()
    assert b"".join(bytes(p.pcm) for p in LivePiece.objects.order_by("first_sample")) == samples.tobytes()
