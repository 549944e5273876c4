"""Measure how long people wait for others, and for their own long file.

    python -m benchmarks.waiting [--uploads 300] [--minutes 60]

The fake engine takes a moment for each window; the whole server runs on SQLite. The result is how many
windows of other jobs began after a file was sent and before its own first window. Goal: at most one for each
worker, or for each slot of a provider. The seconds beside it depend on the machine.
"""

from __future__ import annotations

import argparse
import io
import json
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import soundfile

from benchmarks.server import Server
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE

CLIP_S = 11
SPOKEN = Path(__file__).resolve().parent.parent / "tests" / "audio" / "hello_5s.wav"
"""The sample has speech, because silence is not sent to a provider, and the fake engine's tones are
no voice.
"""
ANSWER_S = 0.2
"""How long the provider takes for a window."""

NEW_PERSON = """
from people_app.models import ApiToken, User
user = User.objects.create_user({name!r}, password={password!r})
print(ApiToken.objects.issue(user).key)
"""
# This runs once, after all jobs have ended. It reads which windows began when, and for which job.
BEGUN = """
import json
from jobs_app.models import ChunkTranscription
rows = ChunkTranscription.objects.filter(started_at__isnull=False).values_list("job_id", "started_at")
job = {job!r}
own = min(at for of, at in rows if str(of) == job)
sent = ChunkTranscription.objects.filter(job=job).values_list("queued_at", flat=True).first()
before = sum(sent < at < own for of, at in rows if str(of) != job)
print(json.dumps([before, (own - sent).total_seconds()]))
"""


@dataclass(frozen=True, slots=True)
class Waited:
    """`windows` of others began before the first own one, which began `seconds` after the file was sent."""

    windows: int
    seconds: float


def sound(seconds: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, make_numbered_audio(0, seconds), SAMPLE_RATE, format="FLAC")
    return file.getvalue()


class Person:
    """A person with an account on the server."""

    def __init__(self, server: Server, name: str) -> None:
        code = NEW_PERSON.format(name=name, password=secrets.token_urlsafe())
        token = server.manage("shell", "-v", "0", "-c", code).strip()
        self._client = httpx2.Client(
            base_url=server.url, headers={"Authorization": f"Token {token}"}, timeout=120
        )

    def send(self, content: bytes, **options: str) -> str:
        """Send a file, and return the id of the job."""
        answer = self._client.post(
            "/api/uploads/", files={"file": ("talk.flac", content)}, data={"engine": "fake", **options}
        )
        return str(answer.raise_for_status().json()["job"]["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self._client.get(f"/api/jobs/{job_id}/status/").raise_for_status().json())

    def wait(self, job_id: str, *statuses: str) -> None:
        while self.job(job_id)["status"] not in (statuses or ("completed",)):
            time.sleep(0.1)


def waited(server: Server, job_id: str) -> Waited:
    windows, seconds = json.loads(server.manage("shell", "-v", "0", "-c", BEGUN.format(job=job_id)))
    return Waited(windows, seconds)


def one_beside_many(server: Server, uploads: int, clip: bytes, **options: str) -> Waited:
    """Measure a file of another person, sent after the first of `uploads` files of one person is done."""
    many, one = Person(server, "many"), Person(server, "one")
    with ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda _: many.send(clip, **options), range(uploads)))
    many.wait(jobs[0], "completed", "failed")
    own = one.send(clip, **options)
    one.wait(own)
    left = sum(many.job(job)["status"] == "pending" for job in jobs)
    print(f"    {left} of {uploads} still waited when it was done", flush=True)
    return waited(server, own)


def clip_beside_an_hour(server: Server, minutes: int) -> Waited:
    """Measure a clip of the same person, sent when some of the hour is done."""
    one = Person(server, "one")
    long = one.send(sound(minutes * 60))
    while one.job(long)["progress"] < 10:
        time.sleep(0.05)
    own = one.send(sound(CLIP_S))
    one.wait(own)
    print(f"    the hour was at {one.job(long)['progress']} % when it was done", flush=True)
    return waited(server, own)


@contextmanager
def slow_provider() -> Iterator[str]:
    """Give the address of a server that answers each window with the same text, after a while."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server asks for
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(ANSWER_S)
            answer = b'{"text": "one", "segments": [], "language": "english", "duration": 11.0}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{provider.server_port}/v1"
        provider.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--uploads", type=int, default=300)
    parser.add_argument("--minutes", type=int, default=60)
    given = parser.parse_args()
    rows: list[tuple[str, int, Waited]] = []
    for workers in (1, 2):
        label = f"{given.uploads} + 1 uploads of two people"
        print(f"{label}, workers: {workers}", flush=True)
        with Server(workers=workers, ENGINES="fake", SIGN_UP="True") as server:
            rows.append((label, workers, one_beside_many(server, given.uploads, sound(CLIP_S))))
        label = f"{given.minutes} minutes + one clip of one person"
        print(f"{label}, workers: {workers}", flush=True)
        with Server(workers=workers, ENGINES="fake") as server:
            rows.append((label, workers, clip_beside_an_hour(server, given.minutes)))
    few = max(given.uploads // 10, 3)
    label = f"{few} + 1 uploads, a provider with one slot"
    print(label, flush=True)
    with (
        slow_provider() as url,
        Server(
            workers=2,
            ENGINES="fake",
            OPENAI_BASE_URL=url,
            OPENAI_MODELS="whisper-1",
            OPENAI_CONCURRENCY="1",
        ) as server,
    ):
        rows.append((label, 1, one_beside_many(server, few, SPOKEN.read_bytes(), engine="openai")))
    print(f"\n{'':46}{'workers':>8}{'windows before it':>19}{'seconds':>9}")
    for label, workers, own in rows:
        print(f"{label:46}{workers:>8}{own.windows:>19}{own.seconds:>9.1f}")
    print("Goal: at most one window for each worker or slot.")


if __name__ == "__main__":
    main()
