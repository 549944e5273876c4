"""Measure how fast a chunk of a recording is answered while many people record and the workers are busy.

    python -m benchmarks.chunk_upload [--recorders 50] [--every-s 30 10] [--seconds 90] [--model base]

Each recorder is another person. It sends 30 s of speech (WAV, 16 kHz, 960 kB) every `--every-s` seconds, and
begins at a random moment of the first such span. 50 recorders every 30 s are what 50 people send who record
at once; every 10 s is three times as much. The answer is timed in a separate process, from sending the
request to the end of the answer. The workers transcribe with the given model, first two uploads of ten
minutes and then whatever has come; the table shows how busy they are. It runs on SQLite, and on PostgreSQL if
there is one (TEST_POSTGRES_URL). Goal: p95 under 150 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx2
import numpy as np
import psutil

from benchmarks.chunked_recording import in_own_process, read_aloud, wav_bytes
from benchmarks.latency import quantiles
from benchmarks.long_recordings import long_english
from benchmarks.server import Server, postgres_database
from speech.types import SAMPLE_RATE
from tests.services import lacking

CHUNK_S = 30

NEW_TOKENS = """
from people_app.models import ApiToken, User
users = [User.objects.create_user(f"recorder-{{n}}") for n in range({recorders})]
print(" ".join(ApiToken.objects.issue(user).key for user in users))
"""


def send_all(url: str, tokens: list[str], chunks: list[bytes], every_s: float, seconds: float) -> list[float]:
    """Return how many seconds each chunk's answer took. It is to run in its own process."""
    return asyncio.run(_send_all(url, tokens, chunks, every_s, seconds))


async def _send_all(
    url: str, tokens: list[str], chunks: list[bytes], every_s: float, seconds: float
) -> list[float]:
    digests = [hashlib.sha256(chunk).hexdigest() for chunk in chunks]
    rng = random.Random(1)
    phases = [rng.uniform(0, every_s) for _ in tokens]
    answers: list[float] = []
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=httpx2.Limits()) as client:

        async def begin(token: str) -> str:
            created = await client.post("/api/sessions/", json={}, headers=_authorization(token))
            return str(created.raise_for_status().json()["id"])

        async def send(recorder: int, session: str) -> None:
            number = 0
            while (at := phases[recorder] + number * every_s) < seconds:
                await asyncio.sleep(start + at - time.perf_counter())
                which = (recorder + number) % len(chunks)
                sent = time.perf_counter()
                answer = await client.post(
                    f"/api/sessions/{session}/chunks/",
                    data={"number": number, "duration_ms": CHUNK_S * 1000, "sha256": digests[which]},
                    files={"file": (f"{number}.wav", chunks[which])},
                    headers=_authorization(tokens[recorder]),
                )
                answers.append(time.perf_counter() - sent)
                answer.raise_for_status()
                number += 1

        sessions = [await begin(token) for token in tokens]
        start = time.perf_counter()
        await asyncio.gather(*(send(n, session) for n, session in enumerate(sessions)))
    return answers


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Token {token}"}


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def measure(name: str, server: Server, chunks: list[bytes], given: argparse.Namespace) -> None:
    tokens = server.manage("shell", "-v", "0", "-c", NEW_TOKENS.format(recorders=given.recorders)).split()
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.flac"
        long_english(long, minutes=10)
        jobs = [server.upload(long)["job"]["id"] for _ in range(2)]
    while server.job(jobs[0])["stage"] != "transcribing":
        time.sleep(0.2)
    for every_s in given.every_s:
        web, workers = [psutil.Process(server.web.pid)], server.worker_processes()
        start, before = time.perf_counter(), (cpu_s(workers), cpu_s(web))
        answers = in_own_process(send_all, server.url, tokens, chunks, every_s, given.seconds)
        took = time.perf_counter() - start
        busy = [100 * (cpu_s(some) - was) / took for some, was in zip((workers, web), before, strict=True)]
        label = f"{name}, {given.recorders} recorders, every {every_s:g} s"
        print(f"{label:44}{len(answers):7}{quantiles(answers)}{busy[0]:10.0f}{busy[1]:6.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recorders", type=int, default=50)
    parser.add_argument("--every-s", type=float, nargs="+", default=[30, 10])
    parser.add_argument("--seconds", type=float, default=90, help="of recording, for each row")
    parser.add_argument("--model", default="base")
    given = parser.parse_args()
    sound, _ = read_aloud(10)
    length = CHUNK_S * SAMPLE_RATE
    chunks = [wav_bytes(part) for part in np.split(sound, range(length, len(sound), length))[:-1]]
    print(f"\n{'milliseconds to the answer':44}{'chunks':>7}{'median':>8}{'p95':>8}{'most':>8}", end="")
    print(f"{'workers %':>10}{'web %':>6}  of one CPU")
    databases = ["SQLite"]
    if why := lacking("postgres"):
        print(why)
    else:
        databases.append("PostgreSQL")
    for name in databases:
        with ExitStack() as stack:
            settings = {"ENGINE_THREADS": "1", "LOCAL_MODEL": given.model}
            if name == "PostgreSQL":
                settings["DATABASE_URL"] = stack.enter_context(postgres_database())
            measure(name, stack.enter_context(Server(workers=2, **settings)), chunks, given)


if __name__ == "__main__":
    main()
