"""A small server that speaks OpenAI's transcription API as a test wants it: right, wrong, late or never.

    with ScriptedProvider() as server:
        server.answer_with(status(429, headers={"Retry-After": "2"}))   # the first request; then the default
        provider = Provider(name="openai", base_url=server.url, ...)

By default it hears the numbers of `numbered_speech`, and of any other sound says how long it is. So a whole
job can be sent through it, and checked for lost and doubled words.
"""

from __future__ import annotations

import json
import re
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from tests.speech.numbered_speech import CUT, read_numbered_speech
from tests.speech.sounds import decoded

WORDS_PER_SEGMENT = 5
DRIP_S = 0.1


@dataclass
class Request:
    """What came in. `ended` is None while it is answered; `gone`: the client went away before the answer."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    fields: dict[str, list[str]] = field(default_factory=dict)
    file_name: str = ""
    file: bytes = b""
    body: bytes = b""
    begun: float = field(default_factory=time.monotonic)
    ended: float | None = None
    gone: bool = False

    def get(self, name: str) -> str:
        """The first value of a form field, or ''."""
        return self.fields.get(name, [""])[0]


@dataclass(kw_only=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    hangs: bool = False
    drips: bool = False
    cut_after: int | None = None
    """Bytes of the body, after which the connection is closed."""


def ok(text: str = "", **fields: Any) -> Answer:
    """A transcript. `fields`: segments, words, language, ... as the API has them."""
    return answered({"text": text, **fields})


def answered(value: Any) -> Answer:
    """Any JSON with status 200."""
    return Answer(body=json.dumps(value).encode())


def status(code: int, *, headers: dict[str, str] | None = None, body: Any = None) -> Answer:
    """An error; without `body`, in OpenAI's form."""
    if body is None:
        body = {"error": {"message": f"Scripted {code}.", "type": "scripted", "param": None, "code": None}}
    as_bytes = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(status=code, headers=headers or {}, body=as_bytes)


def hang() -> Answer:
    """No answer until the client goes away."""
    return Answer(hangs=True)


def garbage() -> Answer:
    return Answer(body=b"\x00\xff\xfe not json {")


def html(code: int = 200) -> Answer:
    body = b"<!DOCTYPE html><html><body>Welcome to nginx!</body></html>"
    return Answer(status=code, body=body, content_type="text/html")


def empty() -> Answer:
    return Answer()


def cut() -> Answer:
    """Half an answer, and then the connection is closed."""
    whole = ok("this is cut in the middle")
    return Answer(body=whole.body, cut_after=len(whole.body) // 2)


def dropped() -> Answer:
    """The connection is closed without any answer."""
    return Answer(cut_after=-1)


def drip() -> Answer:
    """An answer that never ends, byte after byte."""
    return Answer(drips=True)


class ScriptedProvider:
    """Serves at 127.0.0.1, on any free port or on `port`, until the `with` ends.

    `latency_s`: every answer takes so long. `models`: what /v1/models lists; None: it is not found.
    `api_key`: who does not send it gets 401.
    """

    def __init__(
        self,
        *,
        latency_s: float = 0.0,
        models: tuple[str, ...] | None = ("whisper-1",),
        api_key: str = "",
        respond: Callable[[Request], Answer] | None = None,
        port: int = 0,
    ) -> None:
        self.latency_s = latency_s
        self.models = models
        self.api_key = api_key
        self.respond = respond or transcribe
        self.requests: list[Request] = []
        """Those for transcriptions and translations, in the order in which they came."""
        self.most_at_once = 0
        self._at_once = 0
        self._answers: deque[Answer] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def answer_with(self, *answers: Answer) -> None:
        """The answers to the next requests, one each; after them, `respond` answers."""
        self._answers.extend(answers)

    def wait_for(self, condition: Callable[[ScriptedProvider], bool], timeout_s: float = 10) -> None:
        """Wait until something is true of the requests."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), timeout_s), self.requests

    def __enter__(self) -> ScriptedProvider:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: Request) -> Answer:
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return status(401)
        if request.method == "GET":
            if request.path != "/v1/models" or self.models is None:
                return status(404)
            return answered({"object": "list", "data": [{"id": m, "object": "model"} for m in self.models]})
        try:
            return self._answers.popleft()
        except IndexError:
            return self.respond(request)

    def _begin(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._changed.notify_all()

    def _end(self, request: Request) -> None:
        with self._changed:
            request.ended = time.monotonic()
            self._at_once -= 1
            self._changed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""


def transcribe(request: Request) -> Answer:
    """The default answer: what is heard in the file, in the form that was asked for."""
    try:
        samples = decoded(request.file)[0] / np.float32(32768)
    except Exception:  # noqa: BLE001  whatever is wrong with the file, a server says this
        return status(400, body={"error": {"message": "Invalid file format.", "code": None}})
    duration_s = len(samples) / 16_000
    spoken = read_numbered_speech(samples)
    if all(word.text == CUT for word in spoken):
        # Real speech hisses where the numbers are.
        spoken = []
    words = [{"word": word.text, "start": word.start_ms / 1000, "end": word.end_ms / 1000} for word in spoken]
    parts = [words[at : at + WORDS_PER_SEGMENT] for at in range(0, len(words), WORDS_PER_SEGMENT)]
    segments = [
        {"start": part[0]["start"], "end": part[-1]["end"], "text": " " + " ".join(w["word"] for w in part)}
        for part in parts
    ]
    if not words:
        segments = [{"start": 0.0, "end": duration_s, "text": f" {duration_s:.1f} seconds of sound"}]
    text = "".join(segment["text"] for segment in segments).strip()
    form = request.get("response_format") or "json"
    if form == "text":
        return Answer(body=f"{text}\n".encode(), content_type="text/plain")
    if form == "json":
        return ok(text)
    if form == "diarized_json":
        named = [segment | {"id": f"seg_{n}", "speaker": "A"} for n, segment in enumerate(segments)]
        return ok(text, task="transcribe", duration=duration_s, segments=named)
    with_words = {"words": words} if "word" in request.fields.get("timestamp_granularities[]", []) else {}
    return ok(
        text, task="transcribe", language="english", duration=duration_s, segments=segments, **with_words
    )


def _handler(provider: ScriptedProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._give(provider._answer(Request("GET", self.path, headers)))

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request("POST", self.path, headers)
            body = self.rfile.read(int(headers["content-length"]))
            request.body = body
            _read_form(request, body)
            provider._begin(request)
            try:
                answer = provider._answer(request)
                if provider.latency_s:
                    provider._closing.wait(provider.latency_s)
                if answer.hangs:
                    request.gone = self._wait_until_gone()
                elif answer.drips:
                    request.gone = self._drip()
                else:
                    self._give(answer)
            except OSError:
                request.gone = True
                self.close_connection = True
            finally:
                provider._end(request)

        def _give(self, answer: Answer) -> None:
            if answer.cut_after == -1:
                self._close()
                return
            self.send_response(answer.status)
            for name, value in {"Content-Type": answer.content_type, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut_after])
            if answer.cut_after is not None:
                self._close()

        def _close(self) -> None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

        def _wait_until_gone(self) -> bool:
            self.close_connection = True
            while not provider._closing.is_set():
                readable, _, _ = select.select([self.connection], [], [], 0.02)
                if readable and not self.connection.recv(1, socket.MSG_PEEK):
                    return True
            return False

        def _drip(self) -> bool:
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not provider._closing.wait(DRIP_S):
                self.wfile.write(b" ")
            return False

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: what came in is in `requests`."""

    return Handler


def _read_form(request: Request, body: bytes) -> None:
    boundary = re.search(r'boundary="?([^";]+)', request.headers.get("content-type", ""))
    if boundary is None:
        return
    for part in body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        described = head.decode()
        name = re.search(r' name="([^"]*)"', described)
        file_name = re.search(r'filename="([^"]*)"', described)
        value = value.removesuffix(b"\r\n")
        if file_name:
            request.file_name, request.file = file_name[1], value
        elif name:
            request.fields.setdefault(name[1], []).append(value.decode())
