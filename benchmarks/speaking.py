"""Stream recordings to a server as they are spoken, and note when its words come and what they cost."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field

import numpy as np
import psutil

from benchmarks.server import Server
from sessions_app.management.live_client import Live, Message, Site, Sound
from speech.samples import Samples
from speech.types import SAMPLE_RATE
from tests.acceptance.tus.slow_line import SlowLine


@dataclass
class Spoken:
    """What came of one recording. Moments are of its own clock: at 3.0 its third second was spoken."""

    session_id: str = ""
    job_id: str = ""
    audio_s: float = 0.0
    events: list[tuple[float, Message]] = field(default_factory=list)

    def of(self, kind: str) -> list[tuple[float, Message]]:
        return [(at, message) for at, message in self.events if message.get("kind", message["type"]) == kind]

    @property
    def text(self) -> str:
        return " ".join(message["text"] for _, message in self.of("final"))

    @property
    def most_lag_s(self) -> float:
        return max((message["ms"] for _, message in self.of("lag")), default=0) / 1000

    @property
    def is_refused(self) -> bool:
        return bool(self.of("error"))


def site_of(server: Server, port: int | None = None) -> Site:
    """Return the site as a client sees it, through another port of this machine where one is given."""
    url = f"http://127.0.0.1:{port}" if port else server.url
    return Site(url, str(server.client.headers["Authorization"]).removeprefix("Token "))


def speak(
    site: Site, samples: Samples, language: str, line: SlowLine | None = None, away_s: float = 0
) -> Spoken:
    """Stream a recording as it is spoken, and return all that the server said.

    A `line` is cut for `away_s` in the middle.
    """
    sound = Sound()
    sound.write((samples * 32767).astype(np.int16).tobytes())
    sound.end()
    session = site.post("/api/sessions/", {"language": language}, key=uuid.uuid4().hex)
    spoken = Spoken(session["id"], session["job"]["id"], len(samples) / SAMPLE_RATE)
    live = Live(site, spoken.session_id, sound)
    if line is not None:
        threading.Timer(spoken.audio_s / 2 - away_s / 2, line.cut).start()
        threading.Timer(spoken.audio_s / 2 + away_s / 2, line.mend).start()
    for message in live.events():
        spoken.events.append((time.monotonic() - (live.began_at or time.monotonic()), message))
    return spoken


def ends_of(spoken: Spoken) -> list[float]:
    """Return how long after its end each final was there that a pause follows."""
    finals = spoken.of("final")
    starts = [message["start_ms"] for _, message in finals[1:]] + [1 << 40]
    return [
        at - message["end_ms"] / 1000
        for (at, message), next_ms in zip(finals, starts, strict=True)
        if next_ms - message["end_ms"] >= 300
    ]


def interims_share(spoken: Spoken) -> float:
    speech_s = sum(message["end_ms"] - message["start_ms"] for _, message in spoken.of("final")) / 1000
    shown = sum(bool(message["text"]) for _, message in spoken.of("interim"))
    return shown / max(speech_s, 1)


class Costs:
    """Processor seconds of the live hosts and of the web process, within a `with`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.hosts_s = self.web_s = self.seconds = 0.0

    def __enter__(self) -> Costs:
        self._began = (self._now(), time.monotonic())
        psutil.cpu_percent()
        return self

    def __exit__(self, *_: object) -> None:
        (hosts, web), at = self._began
        hosts_now, web_now = self._now()
        self.hosts_s, self.web_s = hosts_now - hosts, web_now - web
        self.seconds = time.monotonic() - at
        self.machine = psutil.cpu_percent()

    def _now(self) -> tuple[float, float]:
        hosts = [p for p in self._server.worker_processes() if "livehost" in " ".join(p.cmdline())]
        return sum(map(_cpu_s, hosts)), _cpu_s(psutil.Process(self._server.web.pid))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def quantiles(seconds: list[float]) -> str:
    p50, p95 = np.percentile(seconds or [float("nan")], (50, 95))
    return f"{p50:6.2f}/{p95:6.2f}"
