"""A model hub of one repository on loopback, that can also do everything wrong."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from speech.models import store
from speech.models.install import FETCHING

COMMIT = "a" * 40
HEADER = b"\x06\x00\x00\x00\x0c\x00WhisperSpec\x00"


def left(tmp_path: Path) -> list[str]:
    """What there is in the folder of models of a test, beside what was begun."""
    hidden = (FETCHING, store.SUMS)
    return sorted(path.name for path in (tmp_path / "models").iterdir() if path.name not in hidden)


def fake_model(size: int = 300_000) -> dict[str, bytes]:
    """Return files that look like those of a model, as far as an installation looks at them."""
    return {
        "config.json": b'{"lang_ids": []}',
        "model.bin": HEADER + bytes(range(256)) * (size // 256),
        "tokenizer.json": b"{}",
        "vocabulary.txt": b"word\n" * 51_865,
        "README.md": b"Read me.",
    }


@dataclass
class SmallHub:
    """Serves `files` as `repository` at the revisions `main` and `commit`.

    The connection is closed after so many bytes of the answer in `cut_after`, one for each request of a file;
    then no more. `statuses` are answered before anything else. `redirects_to` gets the requests for files.
    """

    files: dict[str, bytes] = field(default_factory=fake_model)
    repository: str = "owner/name"
    commit: str = COMMIT
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirects_to: str = ""
    sums: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    knows_ranges: bool = True
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Each path, with the headers Range and Authorization."""
    address: str = ""

    def listing(self) -> bytes:
        siblings = []
        for name, content in self.files.items():
            one: dict[str, object] = {"rfilename": name, "size": self.sizes.get(name, len(content))}
            if name == "model.bin":
                digest = self.sums.get(name) or hashlib.sha256(content).hexdigest()
                one["lfs"] = {"sha256": digest, "size": one["size"]}
            siblings.append(one)
        return json.dumps({"sha": self.commit, "siblings": siblings}).encode()

    def files_asked(self) -> list[str]:
        return [path.rsplit("/", 1)[-1] for path, _, _ in self.asked if "/resolve/" in path]


@contextmanager
def served(hub: SmallHub) -> Iterator[SmallHub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            hub.asked.append((path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
            if hub.statuses:
                self.answer(hub.statuses.pop(0), b"no")
            elif path in (f"/api/models/{hub.repository}/revision/{name}" for name in ("main", hub.commit)):
                self.answer(200, hub.listing())
            elif found := re.fullmatch(rf"/{re.escape(hub.repository)}/resolve/{hub.commit}/(.+)", path):
                self.send_file(found[1])
            else:
                self.answer(404, b"Repository not found")

        def send_file(self, name: str) -> None:
            if hub.redirects_to:
                self.answer(302, b"", Location=f"{hub.redirects_to}{self.path}")
                return
            content = hub.files[name]
            begin = int(re.sub(r"\D", "", self.headers.get("Range", "0"))) if hub.knows_ranges else 0
            more = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {}
            self.answer(206 if begin else 200, content[begin:], **more)

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if "/resolve/" in self.path and status < 300 and hub.cut_after:
                self.wfile.write(body[: hub.cut_after.pop(0)])
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
