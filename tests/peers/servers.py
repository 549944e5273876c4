"""The servers of others that speak OpenAI's API, each in a virtual environment of its own.

`make setup-peers` installs what requirements are pinned beside this file.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import httpx2
import psutil

from tests.services import PEERS

START_WITHIN_S = 60
# They finish what they do first; nobody waits for it here.
STOP_WITHIN_S = 3
INT8 = {"device": "cpu", "compute_type": "int8"}
KEY = "the-key-of-the-peer-servers"


class PeerServer:
    """One of `tests.services.PEER_NAMES` on a port of this machine, until the end of its `with`.

    `model` is a folder with a model for faster-whisper. Only open-asr-server asks for KEY. `threads` is for
    each of `processes`.
    """

    def __init__(self, name: str, model: str, *, threads: int = 1, processes: int = 1) -> None:
        self.name = name
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}/v1"
        self.model = f"faster-whisper:{model}" if name == "open-asr-server" else model
        self._folder = tempfile.TemporaryDirectory(prefix="peer-")
        self._command = self._arguments(model, processes)
        self._environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": str(threads),
            "OPEN_ASR_SERVER_API_KEY": KEY,
            "OPEN_ASR_SERVER_PRELOAD": self.model,
        }

    def _arguments(self, model: str, processes: int) -> list[str]:
        at = ["--host", "127.0.0.1", "--port", str(self._port)]
        programs = PEERS / self.name / "bin"
        if self.name == "faster-whisper-server":
            # It reads `model_name` instead of `model`, and takes it for whisper-1 when there is none. Without
            # this file it computes with floats, which is slower.
            served = {"name": "whisper-1", "path": model, "model_options": INT8}
            config = Path(self._folder.name) / "models.yaml"
            config.write_text(json.dumps({"models": [served]}))
            return [str(programs / self.name), "--config", str(config), *at, "--workers", str(processes)]
        if processes == 1:
            return [str(programs / self.name), "serve", *at]
        # Its own command starts one process only.
        app = ["--factory", "open_asr_server.app:create_app"]
        return [str(programs / "uvicorn"), *app, *at, "--workers", str(processes)]

    def __enter__(self) -> PeerServer:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            # Not in ours, where it would find packages of ours.
            cwd=self._folder.name,
        )
        self.process = psutil.Process(self._process.pid)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def log(self) -> str:
        """What it has said so far."""
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_text(errors="replace")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_WITHIN_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                httpx2.get(f"{self.url}/models", timeout=5)  # 401 and 404 are answers, too
                return
            except httpx2.TransportError:
                time.sleep(0.1)
        raise RuntimeError(f"{self.name} did not answer within {START_WITHIN_S} s:\n{self.log()[-4000:]}")

    def _stop(self) -> None:
        family = [self.process, *self.process.children(recursive=True)]
        self._process.terminate()
        _, left = psutil.wait_procs(family, timeout=STOP_WITHIN_S)
        for process in left:
            process.kill()
        self._process.wait()
        self._log.close()
        self._folder.cleanup()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
