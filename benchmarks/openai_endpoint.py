"""Compare POST /v1/audio/transcriptions with the engine alone, and its throughput with that of peer servers.

    python -m benchmarks.openai_endpoint [--models tiny.en base] [--requests 20] [--clients 8] [--load 48]
                                         [--rounds 5] [--seconds 11]

Overhead: one client sends one clip (of 11 s, or of as many as `--seconds` leaves) on an idle machine. The
call of the official client is timed from its beginning to the text. Right before each call, the same engine
transcribes the same samples in a separate process with one thread, as in a worker. The overhead is the
difference. It includes sending, storing, decoding, the queue, the transcript and the answer. Goal: at most
0.4 s.

One request: one client sends the clip to this server and to each peer in turns.

Throughput: each of `--clients` clients sends the clip again as soon as it has an answer, `--load` requests in
all. They go in turns to this server (two workers of one thread) and to the peers (`make setup-peers`), each
with the settings with which it was fastest here (PEERS). All servers run on this machine at the same time,
and those that are not asked are idle. All have the same model files, the same clip and the language given.
This server does more for each request: it detects voice activity first, and stores the recording and its
transcript. Goal: 1.2 times as many requests per second as the better peer. The processor time for each
request is that of all processes of a server; other work on the machine changes it less.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2
import numpy as np
import psutil
import soundfile
from faster_whisper import decode_audio
from openai import OpenAI

from benchmarks.latency import quantiles
from benchmarks.long_recordings import FOLDER, manifest
from benchmarks.server import MODELS, Server
from speech.engines import load_engine
from speech.engines.base import EngineSettings, TranscribeOptions
from speech.engines.models import model_path
from speech.types import SAMPLE_RATE
from tests.peers.servers import KEY, PeerServer
from tests.services import lacking

CLIP = "en_jfk_11s.flac"
LANGUAGE = "en"
GOAL_OVERHEAD_S = 0.4

# Threads and processes of each peer. Requests per second with tiny.en on two idle cores were: open-asr-server
# 1.6 with one thread, 1.7 with two, 2.2 with two processes; faster-whisper-server 1.4 with two processes, and
# the same with two threads.
PEERS = {"open-asr-server": (1, 2), "faster-whisper-server": (1, 2)}


@dataclass(frozen=True, slots=True)
class Target:
    label: str
    url: str
    key: str
    model: str
    seconds: int
    processes: Callable[[], list[psutil.Process]]

    def cpu_s(self) -> float:
        """Return the processor time of all its processes so far, with that of children that have ended."""
        return sum(sum(process.cpu_times()[:4]) for process in self.processes())


def family(*pids: int) -> list[psutil.Process]:
    parents = [psutil.Process(pid) for pid in pids]
    return [one for parent in parents for one in (parent, *parent.children(recursive=True))]


def clips(how_many: int, seconds: int) -> list[bytes]:
    """Return the clip at different levels, because an engine may remember what it heard last."""
    sound = decode_audio(str(FOLDER / CLIP))[: seconds * SAMPLE_RATE]
    made = []
    for level in np.linspace(0.6, 1, how_many):
        with io.BytesIO() as file:
            soundfile.write(file, sound * level, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
            made.append(file.getvalue())
    return made


def engine_s(model: str, clip: bytes) -> float:
    """Return how many seconds the engine takes for the clip.

    It is to run in its own process, which keeps the model.
    """
    engine = load_engine("local", EngineSettings(model=model, model_dir=model_path(model, MODELS), threads=1))
    samples = decode_audio(io.BytesIO(clip))
    start = time.perf_counter()
    heard = engine.transcribe(samples, TranscribeOptions(language=LANGUAGE))
    seconds = time.perf_counter() - start
    assert heard.segments
    return seconds


def overhead(target: Target, requests: int) -> tuple[list[float], list[float]]:
    """Return the seconds of the engine alone and those of the call, in pairs."""
    alone, called = [], []
    first, *others = clips(requests + 1, target.seconds)
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
        OpenAI(base_url=target.url, api_key=target.key, max_retries=0, timeout=120) as client,
    ):

        def call(clip: bytes) -> float:
            start = time.perf_counter()
            answer = client.audio.transcriptions.create(
                file=(CLIP, clip), model=target.model, language=LANGUAGE
            )
            assert answer.text
            return time.perf_counter() - start

        for _ in range(2):
            # This loads what later calls find loaded: the model in both workers.
            pool.submit(engine_s, target.model, first).result()
            send(target, clients=4, requests=4)
        for clip in others:
            alone.append(pool.submit(engine_s, target.model, clip).result())
            called.append(call(clip))
    return alone, called


def send(target: Target, *, clients: int, requests: int) -> float:
    """Return the seconds until all requests are answered."""
    return asyncio.run(_send(target, clients, clips(requests, target.seconds)))


async def _send(target: Target, clients: int, sounds: list[bytes]) -> float:
    left = iter(sounds)
    limits = httpx2.Limits(max_connections=clients)
    async with httpx2.AsyncClient(timeout=600, limits=limits) as client:

        async def one() -> None:
            for clip in left:
                answer = await client.post(
                    f"{target.url}/audio/transcriptions",
                    data={"model": target.model, "language": LANGUAGE},
                    files={"file": (CLIP, clip)},
                    headers={"Authorization": f"Bearer {target.key}"},
                )
                assert "fellow" in answer.raise_for_status().json()["text"]

        start = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(clients)))
        return time.perf_counter() - start


def single(targets: list[Target], requests: int) -> dict[str, list[float]]:
    """Return the seconds of each request of a single client, by label."""
    for target in targets:
        send(target, clients=4, requests=4)
    seconds: dict[str, list[float]] = {target.label: [] for target in targets}
    for clip in clips(requests, targets[0].seconds):
        for target in targets:
            seconds[target.label].append(asyncio.run(_send(target, 1, [clip])))
    return seconds


def throughput(
    targets: list[Target], clients: int, requests: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the requests per second and the processor seconds per request of each round, by label."""
    for target in targets:
        # Every process loads its model before the measurement.
        send(target, clients=clients, requests=2 * clients)
    rates: dict[str, list[float]] = {target.label: [] for target in targets}
    costs: dict[str, list[float]] = {target.label: [] for target in targets}
    for turn in range(rounds):
        for target in targets if turn % 2 == 0 else reversed(targets):
            before_s = target.cpu_s()
            rates[target.label].append(requests / send(target, clients=clients, requests=requests))
            costs[target.label].append((target.cpu_s() - before_s) / requests)
    return rates, costs


def show_overhead(model: str, alone: list[float], called: list[float]) -> None:
    print(f"\n{f'{model}, {len(called)} calls, milliseconds':44}{'median':>8}{'p95':>8}{'most':>8}")
    print(f"{'engine alone':44}{quantiles(alone)}")
    print(f"{'POST /v1/audio/transcriptions':44}{quantiles(called)}")
    more = [b - a for a, b in zip(alone, called, strict=True)]
    print(f"{f'overhead (goal {GOAL_OVERHEAD_S * 1000:.0f})':44}{quantiles(more)}", flush=True)


def show_single(model: str, seconds: dict[str, list[float]]) -> None:
    print(f"\n{f'{model}, one client, milliseconds':44}{'median':>8}{'p95':>8}{'most':>8}")
    for label, measured in seconds.items():
        print(f"{label:44}{quantiles(measured)}", flush=True)


def show_throughput(model: str, rates: dict[str, list[float]], costs: dict[str, list[float]]) -> None:
    ours, *_ = rates
    heading = f"{model}, requests per second"
    print(f"\n{heading:44}{'median':>8}{'each round':>26}{'ours / this':>13}{'CPU s each':>12}")
    for label, measured in rates.items():
        # Both values are from the same round, because the machine's speed changes.
        ratio = statistics.median(a / b for a, b in zip(rates[ours], measured, strict=True))
        each = " ".join(f"{rate:.2f}" for rate in measured)
        cost_s = statistics.median(costs[label])
        print(
            f"{label:44}{statistics.median(measured):8.2f}{each:>26}{ratio:13.2f}{cost_s:12.2f}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["tiny.en", "base"])
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--load", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=11)
    given = parser.parse_args()
    manifest()
    if why := lacking("peers"):
        print(f"Without peers: {why}.")
    for model in given.models:
        with Server(workers=2, ENGINE_THREADS="1", LOCAL_MODEL=model) as server:
            key = server.client.headers["Authorization"].split()[1]
            ours = Target(
                "this server, 2 workers of 1 thread",
                f"{server.url}/v1",
                key,
                model,
                given.seconds,
                partial(family, server.web.pid, server.runner.pid),
            )
            shown = f"{model}, {given.seconds} s"
            show_overhead(shown, *overhead(ours, given.requests))
            if why:
                continue
            with ExitStack() as running:
                targets = [ours]
                folder = str(Path(model_path(model, MODELS)).resolve())
                for name, (threads, processes) in PEERS.items():
                    peer = running.enter_context(
                        PeerServer(name, folder, threads=threads, processes=processes)
                    )
                    label = f"{name}, {processes} x {threads} threads"
                    processes = partial(family, peer.process.pid)
                    targets.append(Target(label, peer.url, KEY, peer.model, given.seconds, processes))
                show_single(shown, single(targets, given.requests))
                show_throughput(shown, *throughput(targets, given.clients, given.load, given.rounds))


if __name__ == "__main__":
    main()
