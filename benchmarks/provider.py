"""Transcribe a long file through a slow provider, with one request at once and with several.

    python -m benchmarks.provider [--minutes 60] [--latency-s 0.5] [--at-once 4] [--rounds 2]
                                  [--container flac]

The provider is tests.speech.scripted_provider in this process. It answers each request `--latency-s` after it
has come, however many there are, with a fixed text. So its answers take none of the machine's time, but
cutting, voice activity and encoding do, in two workers. Each run has its own server and job, in turns with
one request at once and with several. The median of the rounds counts.

    whole job    from the upload's answer to "completed"
    requests     from the beginning of the first request to the end of the last answer
    processor    the processor time of the workers, with imports and encoders

Goal: with 4 requests at once a job is at least 3.5 times as fast as with 1. Decoding, voice activity and
encoding go on beside the requests; if they keep all cores busy, more requests at once do not help.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.long_recordings import long_english
from benchmarks.server import Server
from tests.speech.scripted_provider import Answer, Request, ScriptedProvider, ok

GOAL = 3.5
TEXT = "What the provider heard."


@dataclass(frozen=True, slots=True)
class Run:
    job_s: float
    requests_s: float
    waited_s: float
    """The sum over all requests, which overlap."""
    requests: int
    most_at_once: int
    processor_s: float


def answer(request: Request) -> Answer:
    words = [{"word": word, "start": n / 2, "end": n / 2 + 0.4} for n, word in enumerate(TEXT.split())]
    segment = {"id": 0, "start": 0.0, "end": words[-1]["end"], "text": f" {TEXT}"}
    return ok(TEXT, task="transcribe", language="english", duration=2.0, segments=[segment], words=words)


def run(file: Path, at_once: int, latency_s: float, container: str) -> Run:
    with (
        ScriptedProvider(latency_s=latency_s, respond=answer) as provider,
        Server(
            workers=2,
            PROVIDERS="slow",
            PROVIDER_SLOW_BASE_URL=provider.url,
            PROVIDER_SLOW_MODELS="whisper-1",
            PROVIDER_SLOW_CONCURRENCY=str(at_once),
            PROVIDER_SLOW_CONTAINER=container,
        ) as server,
    ):
        job_id = server.upload(file, engine="slow", language="en")["job"]["id"]
        start, used_s = time.perf_counter(), _processor_s(server)
        # Asking more often would take the machine's time from the workers.
        job = server.wait(job_id, every_s=0.5)
        job_s = time.perf_counter() - start
        requests = provider.requests
        assert job["transcript"].count(TEXT) == len(requests), "a window was sent twice or not at all"
        ends = [request.ended for request in requests if request.ended is not None]
        return Run(
            job_s,
            max(ends) - min(request.begun for request in requests),
            sum(ends) - sum(request.begun for request in requests),
            len(requests),
            provider.most_at_once,
            _processor_s(server) - used_s,
        )


def _processor_s(server: Server) -> float:
    return sum(sum(process.cpu_times()[:4]) for process in server.worker_processes())


def print_table(minutes: float, latency_s: float, runs: dict[int, list[Run]]) -> None:
    rounds = len(runs[1])
    print(f"\n{minutes:g} minutes, answers after {latency_s:g} s, median of {rounds}; goal: {GOAL} times\n")
    print(f"{'':34}{'whole job':>22}{'requests':>22}")
    print(
        f"{'at once':>8}{'requests':>10}{'under way':>16}"
        + f"{'seconds':>14}{'faster':>8}" * 2
        + f"{'processor':>14}"
    )
    one_job_s = statistics.median(r.job_s for r in runs[1])
    one_requests_s = statistics.median(r.requests_s for r in runs[1])
    for at_once, measured in runs.items():
        job_s = statistics.median(r.job_s for r in measured)
        requests_s = statistics.median(r.requests_s for r in measured)
        on_average = sum(r.waited_s for r in measured) / sum(r.requests_s for r in measured)
        under_way = f"{on_average:.1f}, most {max(r.most_at_once for r in measured)}"
        print(
            f"{at_once:8}{measured[0].requests:10}{under_way:>16}{job_s:14.1f}{one_job_s / job_s:8.2f}"
            f"{requests_s:14.1f}{one_requests_s / requests_s:8.2f}"
            f"{statistics.median(r.processor_s for r in measured):14.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--latency-s", type=float, default=0.5)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--container", default="", help="default: ogg, which takes the most time to make")
    given = parser.parse_args()
    runs: dict[int, list[Run]] = {1: [], given.at_once: []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recording.flac"
        long_english(file, minutes=given.minutes)
        for _ in range(given.rounds):
            for at_once, measured in runs.items():
                measured.append(run(file, at_once, given.latency_s, given.container))
    print_table(given.minutes, given.latency_s, runs)


if __name__ == "__main__":
    main()
