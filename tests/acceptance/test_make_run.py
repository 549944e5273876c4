"""`make run` as a newcomer meets it: real processes, the real model, the real API."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import jiwer
import psutil
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from tests.services import ROOT
from tests.settings import names

pytestmark = pytest.mark.slow


class Site:
    """`make run` with a data folder of its own."""

    def __init__(
        self,
        data_dir: Path,
        log: Path,
        *,
        under: tuple[str, ...] = (),
        program: tuple[str, ...] = ("-m", "deploy.run"),
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        given = {"DATA_DIR": str(data_dir), "PORT": str(self.port), "WORKERS": "2"}
        own = {k: v for k, v in os.environ.items() if k.removesuffix("_FILE") not in names()}
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*under, sys.executable, *program],
                cwd=ROOT,
                env={**own, **given},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Whoever runs the tests may have been told to ignore it.
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, words: str, *, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while words not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"not within {within_s} s: {words}\n{self.output}"
            time.sleep(0.1)

    def get(self, path: str) -> tuple[int, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            return response.status, response.read().decode()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[[], Site]]:
    sites: list[Site] = []

    def start() -> Site:
        sites.append(Site(tmp_path / "data of the site", tmp_path / f"log{len(sites)}"))
        return sites[-1]

    yield start
    for site in sites:
        if site.process.poll() is None:
            family = site.family()
            site.process.kill()
            for process in family:
                if process.is_running():
                    process.kill()


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_the_sample_becomes_a_transcript_and_a_second_start_keeps_everything(start):
    first = start()
    first.wait_for("Ctrl-C stops everything", within_s=180)

    password = re.search(r"Your account: +admin\n +Its password: +(\S+)\n", first.output)
    assert password
    shown = first.output.split("100 %  completed\n")[1].split("\nOpen http")[0]
    spoken = (ROOT / "tests" / "audio" / "sample.txt").read_text(encoding="utf-8")
    normal = EnglishTextNormalizer()
    assert jiwer.wer(normal(spoken), normal(shown)) < 0.1, shown
    percent = [int(n) for n in re.findall(r"^ +(\d+) %", first.output, flags=re.MULTILINE)]
    assert percent == sorted(percent)

    assert first.get("/readyz")[0] == 200
    login = first.get("/login/")
    assert login[0] == 200
    # Served from collected files, with their hash in the name.
    style = re.search(r'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"', login[1])
    assert style
    assert first.get(style[1])[0] == 200

    family = first.family()
    assert len(family) > 3
    assert first.stop(signal.SIGINT) == 0
    assert running(family) == []
    assert first.output.endswith("Stopped.\n")
    assert "Traceback" not in first.output

    began = time.monotonic()
    second = start()
    second.wait_for("Ctrl-C stops everything", within_s=60)
    assert time.monotonic() - began < 30
    assert "password" not in second.output
    assert "Sending" not in second.output
    family = second.family()
    # As when the signal goes to make's whole process group, and make passes it on as well.
    second.process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    assert second.stop(signal.SIGTERM) == 0
    assert running(family) == []


def test_whatever_ends_it_leaves_nothing_that_stops_the_next_start(start):
    # The first while the sample is transcribed.
    for number in (signal.SIGKILL, signal.SIGHUP):
        site = start()
        site.wait_for("The site is up", within_s=120)
        family = site.family()
        site.stop(number)
        psutil.wait_procs(family, timeout=60)
        assert running(family) == []

    # When the web server dies everything ends, and says so.
    site = start()
    site.wait_for("The site is up", within_s=120)
    family = site.family()
    web = next(p for p in family if "uvicorn" in " ".join(p.cmdline()))
    web.kill()
    assert site.process.wait(60) == 1
    assert "the web server ended with exit code -9" in site.output
    assert running(family) == []
