"""A web process, and a recorder that sends to it over HTTP as a phone app would."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import soundfile

from deploy.run import WEBSOCKETS
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE
from tests.acceptance.conftest import ROOT, wait_for

KEEP_TRYING_S = 60
PAUSE_S = 0.2


class WebProcess:
    """uvicorn, as production starts it, on a port that stays the same when it is started again."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port: int = server.getsockname()[1]
        self.environment = dict(environment)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "uvicorn", "transcribe_site.asgi:application"),
                    *("--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"),
                    *WEBSOCKETS,
                ],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, within_s=60, what="the web process answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """SIGTERM, as a service manager does, and wait until it is gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Recorder:
    """Records seconds numbered from `first`, cut every `chunk_s`. What is not answered it sends again.

    `headers` go with every request. `statuses` are of all answers, in order.
    """

    def __init__(
        self,
        web: WebProcess,
        token: str,
        *,
        seconds: int,
        chunk_s: float,
        first: int = 0,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self._port = web.port
        self._headers = {"Authorization": f"Token {token}", **(headers or {})}
        self.statuses: list[int] = []
        audio = make_numbered_audio(first, seconds)
        step = int(chunk_s * SAMPLE_RATE)
        self.chunks = [_wav(audio[at : at + step]) for at in range(0, len(audio), step)]
        self.text = " ".join(f"w{n:04d}" for n in range(first, first + seconds))
        # The key, because the answer may be lost, and two recordings would be begun.
        status, session = self._post_json(
            "/api/sessions/", {"engine": "fake", **options}, {"Idempotency-Key": uuid.uuid4().hex}
        )
        assert status == 201, session
        self.session_id: str = session["id"]

    @property
    def path(self) -> str:
        return f"/api/sessions/{self.session_id}/"

    def send(self, *numbers: int, **fields: str) -> None:
        """Send these chunks until each is stored."""
        for number in numbers:
            status, answer = self.try_to_send(number, **fields)
            assert status in (200, 201), answer

    def try_to_send(self, number: int, **fields: str) -> tuple[int, Any]:
        """Send a chunk until there is an answer, whatever it is."""
        headers, body = self._form(number, **fields)
        return self._call("POST", f"{self.path}chunks/", body, headers)

    def send_half(self, number: int) -> socket.socket:
        """Send the first half of a chunk, when the server is ready for it; the connection stays open."""
        headers, body = self._form(number)
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        lines = [
            f"POST {self.path}chunks/ HTTP/1.1",
            f"Host: 127.0.0.1:{self._port}",
            f"Content-Length: {len(body)}",
            "Expect: 100-continue",
            *(f"{name}: {value}" for name, value in {**self._headers, **headers}.items()),
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert b" 100 " in connection.recv(1000)
        connection.sendall(body[: len(body) // 2])
        return connection

    def finish(self) -> None:
        status, answer = self._post_json(f"{self.path}finish/", {"chunks": len(self.chunks)})
        assert status == 202, answer

    def look(self) -> dict[str, Any]:
        """The session as the API shows it."""
        status, session = self._call("GET", self.path)
        assert status == 200, session
        return dict(session)

    def look_at_chunks(self) -> dict[str, Any]:
        status, chunks = self._call("GET", f"{self.path}chunks/?page_size=100")
        assert status == 200, chunks
        return dict(chunks)

    def _form(self, number: int, **fields: str) -> tuple[dict[str, str], bytes]:
        content = self.chunks[number]
        boundary = uuid.uuid4().hex
        fields = {"number": str(number), "sha256": hashlib.sha256(content).hexdigest(), **fields}
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{number}.wav"\r\n'
            "Content-Type: audio/wav\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body

    def _post_json(
        self, path: str, content: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self._call("POST", path, json.dumps(content).encode(), headers)

    def _call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and the JSON of the answer. Asks again while there is none, or the server fails."""
        deadline = time.monotonic() + KEEP_TRYING_S
        while True:
            try:
                status, content = self._call_once(method, path, body, {**self._headers, **(headers or {})})
            except (OSError, http.client.HTTPException) as error:
                problem: object = error
            else:
                self.statuses.append(status)
                if status < 500:
                    return status, json.loads(content)
                problem = status, content
            assert time.monotonic() < deadline, f"{method} {path}: {problem}"
            time.sleep(PAUSE_S)

    def _call_once(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _wav(samples: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
