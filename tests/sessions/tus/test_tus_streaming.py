"""Parts of resumable uploads as they come over real sockets, with a real ASGI server in this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest
from django.test import Client

from people_app.models import ApiToken
from sessions_app.models import AudioChunk
from sessions_app.tus import uploads as tus
from sessions_app.tus.files import part_path
from tests.sessions.arrival.test_limits import _becomes_true, chunked, port  # noqa: F401  a fixture
from tests.sessions.conftest import sound
from transcribe_site.bodies import streaming

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
PART = "application/offset+octet-stream"


@pytest.fixture
def token(alice) -> str:
    return f"Token {ApiToken.objects.issue(alice).key}"


@pytest.fixture
def upload(alice, wav, storage):
    return tus.create(alice, length=len(wav), metadata="")


@pytest.fixture
def connect(port, upload, token):  # noqa: F811
    """Begin a request about the upload; a connection on which its body can be sent."""
    opened: list[socket.socket] = []

    def begin(method: str = "PATCH", **headers: object) -> socket.socket:
        given = {
            "Host": "localhost",
            "Authorization": token,
            "Tus-Resumable": "1.0.0",
            "Content-Type": PART,
            "Upload-Offset": 0,
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} /api/uploads/tus/{upload.pk}/ HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in given.items() if value is not None]
        connected = socket.create_connection(("127.0.0.1", port), timeout=20)
        opened.append(connected)
        connected.sendall("\r\n".join([*lines, "", ""]).encode())
        return connected

    yield begin
    for connected in opened:
        connected.close()


def answer_on(connected: socket.socket) -> HTTPResponse:
    response = HTTPResponse(connected)
    response.begin()
    response.read()
    return response


def test_a_part_of_unknown_length_is_taken(connect, wav):
    connected = connect(Transfer_Encoding="chunked")
    connected.sendall(chunked(wav))
    answer = answer_on(connected)
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(len(wav)))
    assert AudioChunk.objects.get().file.read() == wav


def test_the_connection_is_kept_after_a_whole_part(connect, wav, upload):
    connected = connect(Content_Length=len(wav))
    connected.sendall(wav)
    answer = answer_on(connected)
    assert answer.status == 204
    assert "Connection" not in answer.headers


def test_the_requests_after_a_part_on_its_connection_leave_no_thread(port, alice, token, storage):  # noqa: F811
    """The server reads the next requests in the context in which it was last asked for the body."""
    content = sound(20)
    upload = tus.create(alice, length=len(content), metadata="")
    url, headers = f"/api/uploads/tus/{upload.pk}/", {"Authorization": token, "Tus-Resumable": "1.0.0"}
    part = {"Content-Type": PART, "Upload-Offset": "0", "Content-Length": str(MIB // 2)}

    def body() -> Iterator[bytes]:
        # More than the server holds without being asked for it, and then less.
        yield content[: MIB // 2 - 10]
        assert _becomes_true(lambda: part_path(upload.pk).stat().st_size == MIB // 2 - 10)
        yield content[MIB // 2 - 10 : MIB // 2]

    connected = HTTPConnection("127.0.0.1", port, timeout=20)
    # Those that the server keeps are there after the first request.
    connected.request("HEAD", url, headers=headers | {"Content-Type": PART})
    assert _answered(connected) == 200
    threads = threading.active_count()
    connected.request("PATCH", url, body(), headers | part)
    assert _answered(connected) == 204
    before = connected.sock
    for method, path in (("HEAD", url), ("OPTIONS", url), ("GET", "/login/")):
        connected.request(method, path, headers=headers)
        assert _answered(connected) in (200, 204)
    assert connected.sock is before
    # In the context of the part, which is over, they would have one for themselves that nobody ends.
    assert _becomes_true(lambda: threading.active_count() <= threads)
    connected.close()


def _answered(connected: HTTPConnection) -> int:
    response = connected.getresponse()
    response.read()
    return response.status


def test_who_sends_from_a_wrong_offset_is_cut_off_soon(connect, wav, monkeypatch):
    monkeypatch.setattr(streaming, "LINGER_AFTER_CONFLICT_S", 0.1)
    connected = connect(Content_Length=len(wav), Upload_Offset=7)
    # Without a byte of the part: LINGER_S would be longer than the socket waits.
    connected.settimeout(streaming.LINGER_S / 2)
    assert answer_on(connected).status == 409
    assert connected.recv(1) == b""


def test_who_falls_silent_is_given_up(connect, wav, upload, settings, monkeypatch):
    settings.STALLED_AFTER_S = 0.3
    monkeypatch.setattr(streaming, "LINGER_S", 0.1)
    connected = connect(Content_Length=len(wav))
    connected.sendall(wav[:1000])
    answer = answer_on(connected)
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "1000")
    assert answer.headers["Connection"] == "close"
    assert connected.recv(1) == b""


def test_what_came_before_the_connection_broke_is_stored(connect, wav, upload):
    connected = connect(Content_Length=len(wav))
    connected.sendall(wav[:1000])
    assert _becomes_true(lambda: part_path(upload.pk).stat().st_size == 1000)
    connected.sendall(wav[1000:5000])
    connected.close()
    assert _becomes_true(lambda: part_path(upload.pk).stat().st_size == 5000)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Token wrong"}, 401),
        ({"Upload_Offset": 7}, 409),
        ({"Content_Length": 3 * MIB}, 413),
        ({"Tus_Resumable": "0.2"}, 412),
    ],
)
def test_who_waits_for_a_go_ahead_is_refused_before_sending(
    connect, wav, upload, headers, status, monkeypatch
):
    monkeypatch.setattr(streaming, "LINGER_S", 0.1)
    connected = connect(**{"Content_Length": len(wav), "Expect": "100-continue"} | headers)
    with connected.makefile("rb") as lines:
        assert lines.readline().split()[1] == str(status).encode()
    assert part_path(upload.pk).stat().st_size == 0


def test_who_waits_for_a_go_ahead_gets_it(connect, wav):
    connected = connect(Content_Length=len(wav), Expect="100-continue")
    assert connected.recv(1000).startswith(b"HTTP/1.1 100 ")
    connected.sendall(wav)
    assert answer_on(connected).status == 204


def test_a_large_body_of_another_type_is_refused_as_everywhere(connect, upload):
    connected = connect(Content_Type="application/json", Content_Length=3 * MIB)
    answer = answer_on(connected)
    assert (answer.status, answer.headers["Tus-Resumable"]) == (413, "1.0.0")


def test_an_empty_part_is_no_stream(connect):
    answer = answer_on(connect(Content_Length=0))
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "0")


def test_head_waits_for_what_an_earlier_request_has_sent(connect, wav):
    connected = connect(Content_Length=len(wav))
    connected.sendall(wav[:20_000])
    assert _becomes_true(lambda: tus_offset_of(connect) == 20_000)


def tus_offset_of(connect) -> int:
    return int(answer_head(connect("HEAD", Content_Type=None)).headers["Upload-Offset"])


def answer_head(connected: socket.socket) -> HTTPResponse:
    response = HTTPResponse(connected, method="HEAD")
    response.begin()
    return response


def test_a_browser_without_the_csrf_token_is_refused_before_its_part_is_read(
    connect, alice, wav, settings, upload
):
    browser = Client()
    browser.force_login(alice)
    cookie = f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"
    connected = connect(Authorization=None, Cookie=cookie, Content_Length=len(wav), Expect="100-continue")
    with connected.makefile("rb") as lines:
        assert lines.readline().split()[1] == b"403"
    assert part_path(upload.pk).stat().st_size == 0
