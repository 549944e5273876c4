"""Send a large file by tus through a connection that is cut again and again: bytes sent, time, memory.

    python -m benchmarks.tus [--mb 1024] [--cuts 20]

A proxy between client and server counts what the client sends, with the headers, and cuts both sides without
notice at random places of the file. What the client had sent and the proxy had not read yet counts, too. The
proxy's buffers hold 256 KiB, as a connection of 100 Mbit/s over 20 ms does. After each cut the client asks
for the offset (HEAD) and sends all the rest in one request (PATCH).

Beside it stands the same file in one multipart request without a cut. The peak of the web process is sampled
every 50 ms, from the first byte to the answer with the job. Goals: at most 1.05 times the file's bytes, the
same SHA-256, the web process at most 50 MB above idle.
"""

from __future__ import annotations

import argparse
import array
import base64
import fcntl
import hashlib
import http.client
import os
import random
import select
import socket
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import soundfile

from benchmarks.memory import MB, large_wav, peak_rss
from benchmarks.server import Server
from speech.types import SAMPLE_RATE

BUFFER = 256 * 1024
BLOCK = 1024 * 1024
GOAL_BYTES = 1.05
GOAL_ABOVE_IDLE_MB = 50

STORED = """
import hashlib
from sessions_app.models import AudioChunk
chunk = AudioChunk.objects.get(session__jobs=UUID)
with chunk.file.open() as file:
    print(chunk.sha256, hashlib.file_digest(file, "sha256").hexdigest())
"""


class CuttingProxy:
    """A TCP proxy for `target`. It cuts a connection when as many bytes have come as one of `cuts` says."""

    def __init__(self, target: tuple[str, int], cuts: list[int]) -> None:
        self._target = target
        self._cuts = sorted(cuts)
        self.received = 0
        self.cut = 0
        self._over = threading.Event()

    def __enter__(self) -> CuttingProxy:
        self._listener = socket.socket()
        # This is set before there are connections, which inherit it.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        # This wakes accept().
        socket.create_connection(self.address).close()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client:
                if self._over.is_set():
                    return
                with socket.create_connection(self._target) as server:
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
                    self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([client, server], [], [])
            if server in readable:
                answer = server.recv(BUFFER)
                if not answer:
                    return
                client.sendall(answer)
            if client in readable:
                sent = client.recv(BUFFER)
                if not sent:
                    return
                self.received += len(sent)
                if self._cuts and self.received >= self._cuts[0]:
                    del self._cuts[0]
                    self.cut += 1
                    self.received += self._left_in(client)
                    for side in (client, server):
                        # Nothing more is delivered: the connection is reset instead of closed.
                        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return
                server.sendall(sent)

    @staticmethod
    def _left_in(client: socket.socket) -> int:
        """Return how many bytes have come and were not read."""
        unread = array.array("i", [0])
        fcntl.ioctl(client, termios.FIONREAD, unread)
        return unread[0]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Message
    body: bytes


class TusClient:
    """As much of tus 1.0 as an upload needs: POST, then HEAD and PATCH until everything has arrived."""

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self._address = address
        self._headers = {"Tus-Resumable": "1.0.0", "Authorization": token}
        self.lost_connections = 0

    def upload(self, file: Path) -> str:
        """Upload the file, and return the id of the job."""
        size = file.stat().st_size
        name = base64.b64encode(file.name.encode()).decode()
        created = self._request(
            "POST", "/api/uploads/tus/", {"Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
        )
        assert created.status == 201, created
        path = urlsplit(created.headers["Location"]).path
        while True:
            try:
                head = self._request("HEAD", path, {})
                assert head.status == 200, head
                if "Upload-Job" in head.headers:
                    return str(head.headers["Upload-Job"])
                offset = int(head.headers["Upload-Offset"])
                assert offset < size, "all is there, and no job"
                with file.open("rb") as content:
                    content.seek(offset)
                    patched = self._request(
                        "PATCH",
                        path,
                        {
                            "Upload-Offset": str(offset),
                            "Content-Type": "application/offset+octet-stream",
                            "Content-Length": str(size - offset),
                        },
                        iter(lambda: content.read(BLOCK), b""),
                    )
                assert patched.status == 204, patched
            except (ConnectionError, http.client.HTTPException):
                self.lost_connections += 1

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: Iterator[bytes] | None = None
    ) -> Answer:
        # Each request has its own connection, as a client has after a cut.
        connection = http.client.HTTPConnection(*self._address, timeout=300)
        try:
            connection.request(method, path, body, self._headers | headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Measured:
    seconds: float
    wire: int
    cuts: int
    above_idle_mb: float
    same: bool


def measure(file: Path, digest: str, cuts: int, *, by_tus: bool) -> Measured:
    rng = random.Random(1)
    with Server(workers=1, ENGINES="fake", MAX_UPLOAD_MB="4096") as server:
        web = psutil.Process(server.web.pid)
        # A small file is sent first, because what every upload loads is not a cost of a large one.
        small = file.with_name("small.wav")
        soundfile.write(small, np.zeros(SAMPLE_RATE, dtype=np.int16), SAMPLE_RATE)
        server.wait(server.upload(small)["job"]["id"])
        idle = web.memory_info().rss
        target = urlsplit(server.url)
        places = [rng.randrange(file.stat().st_size) for _ in range(cuts)]
        with (
            CuttingProxy((str(target.hostname), int(target.port or 80)), places) as proxy,
            peak_rss(lambda: [web]) as peak,
        ):
            start = time.perf_counter()
            if by_tus:
                client = TusClient(proxy.address, server.client.headers["Authorization"])
                job = client.upload(file)
            else:
                server.client.base_url = f"http://127.0.0.1:{proxy.address[1]}"
                job = server.upload(file)["job"]["id"]
            seconds = time.perf_counter() - start
            # Nobody speaks in it, so the job is not worth its time.
            server.client.post(f"/api/jobs/{job}/cancel/")
            server.client.close()
        stored = server.manage("shell", "-v", "0", "-c", STORED.replace("UUID", repr(job))).split()
    return Measured(seconds, proxy.received, proxy.cut, (peak[0] - idle) / MB, stored == [digest, digest])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--cuts", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        file = Path(folder) / "large.wav"
        large_wav(file, given.mb)
        size = file.stat().st_size
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        rows = [
            (f"tus, {given.cuts} cuts", measure(file, digest, given.cuts, by_tus=True)),
            ("tus, no cut", measure(file, digest, 0, by_tus=True)),
            ("one multipart request, no cut", measure(file, digest, 0, by_tus=False)),
        ]
    print(f"\n{size / MB:.0f} MB; goals: {GOAL_BYTES} times the bytes, {GOAL_ABOVE_IDLE_MB} MB above idle\n")
    print(f"{'':32}{'cuts':>6}{'sent / size':>13}{'seconds':>9}{'web: MB above idle':>20}{'SHA-256':>11}")
    for label, row in rows:
        print(
            f"{label:32}{row.cuts:6}{row.wire / size:13.4f}{row.seconds:9.1f}{row.above_idle_mb:20.0f}"
            f"{'the same' if row.same else 'DIFFERENT':>11}"
        )


if __name__ == "__main__":
    main()
