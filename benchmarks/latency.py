"""Measure how soon a job is started, and how fast its status is answered while all workers are busy.

    python -m benchmarks.latency [--jobs 40] [--requests 400]

Start is the time from the creation of the row to the claim by an idle worker, both by the database's clock,
on SQLite. Status is GET /api/jobs/{id}/status/ while both workers transcribe. Goals: p95 under 300 ms, and
under 50 ms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.long_recordings import long_english
from benchmarks.server import Server
from speech.types import SAMPLE_RATE


def quantiles(seconds: list[float]) -> str:
    """Return the median, the 95th percentile and the maximum in ms, as columns."""
    cuts = statistics.quantiles(seconds, n=20)
    return f"{statistics.median(seconds) * 1000:8.0f}{cuts[-1] * 1000:8.0f}{max(seconds) * 1000:8.0f}"


def starts(server: Server, file: Path, jobs: int) -> list[float]:
    """Return for each job how many seconds passed from its creation to its start."""
    waits = []
    for _ in range(jobs):
        job = server.wait(server.upload(file)["job"]["id"])
        created, started = (datetime.fromisoformat(job[key]) for key in ("created_at", "started_at"))
        waits.append((started - created).total_seconds())
        time.sleep(0.3)
    return waits


def status_answers(server: Server, file: Path, requests: int) -> list[float]:
    """Return how many seconds each answer to a request for the status took."""
    jobs = [server.upload(file)["job"]["id"] for _ in range(2)]
    while server.job(jobs[0])["stage"] != "transcribing":
        time.sleep(0.2)
    answers = []
    for n in range(requests):
        start = time.perf_counter()
        status = server.client.get(f"/api/jobs/{jobs[n % 2]}/status/").raise_for_status().json()
        answers.append(time.perf_counter() - start)
        assert server_is_busy(status), "the recording was too short for this many requests"
        time.sleep(0.02)
    for job in jobs:
        server.client.post(f"/api/jobs/{job}/cancel/")
    return answers


def server_is_busy(status: dict[str, str]) -> bool:
    return status["status"] in ("pending", "processing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--requests", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Server(workers=2) as server:
        short, long = Path(folder) / "second.wav", Path(folder) / "long.flac"
        soundfile.write(short, np.zeros(SAMPLE_RATE, dtype=np.int16), SAMPLE_RATE)
        long_english(long, minutes=10)
        # The first jobs load what later ones find loaded.
        starts(server, short, 2)
        started = starts(server, short, given.jobs)
        answered = status_answers(server, long, given.requests)
    print(f"\n{'milliseconds, SQLite':44}{'median':>8}{'p95':>8}{'most':>8}")
    print(f"{f'job created to started, idle ({len(started)})':44}{quantiles(started)}")
    print(f"{f'status, both workers busy ({len(answered)})':44}{quantiles(answered)}")


if __name__ == "__main__":
    main()
