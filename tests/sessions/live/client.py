"""A client of the live socket that speaks to the application in this process, without a network.

The application runs in an event loop of its own thread, as it does in a server. So a test uses the database
as every other test does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np

from people_app.models import ApiToken
from sessions_app.live import threads
from transcribe_site.server import make_application

WITHIN_S = 20


class Loop:
    """An event loop in a thread, with one application."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.application = make_application()

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(WITHIN_S)

    def call(self, function: Callable[[], Any]) -> Any:
        async def called() -> Any:
            return function()

        return self.run(called())

    def close(self) -> None:
        self.run(self._end_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        threads.end_connections()

    async def _end_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Connection:
    """One socket. `closed` is the code of the server's close, `status` that of its refusal over HTTP."""

    def __init__(self, loop: Loop, path: str, headers: dict[str, str], *, extensions: bool = True) -> None:
        self._loop = loop
        self.closed: int | None = None
        self.status: int | None = None
        self.body = b""
        self.reads = True
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "server": ("testserver", 80),
            "client": ("127.0.0.1", 1),
            "headers": [
                (b"host", b"testserver"),
                *((k.lower().encode(), v.encode()) for k, v in headers.items()),
            ],
            "extensions": {"websocket.http.response": {}} if extensions else {},
        }
        loop.run(self._open(scope))

    async def _open(self, scope: dict[str, Any]) -> None:
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._to_server.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self._loop.application(scope, self._to_server.get, self._sent))
        answer = await self._from_server.get()
        match answer["type"]:
            case "websocket.accept":
                return
            case "websocket.close":
                self.status = 403
            case "websocket.http.response.start":
                self.status = answer["status"]
                self.body = (await self._from_server.get())["body"]

    async def _sent(self, event: dict[str, Any]) -> None:
        await self._may_send.wait()
        self._from_server.put_nowait(event)

    def say(self, **message: Any) -> None:
        self.give(text=json.dumps(message))

    def give(self, **content: Any) -> None:
        event = {"type": "websocket.receive", **content}
        self._loop.call(lambda: self._to_server.put_nowait(event))

    def hear(self, within_s: float = WITHIN_S) -> dict[str, Any] | None:
        """What the server says next; None if it closes the socket."""

        async def next_event() -> dict[str, Any]:
            async with asyncio.timeout(within_s):
                return await self._from_server.get()

        event = self._loop.run(next_event())
        if event["type"] == "websocket.close":
            self.closed = event["code"]
            return None
        return json.loads(event["text"])

    def hear_until(self, type: str, **wanted: Any) -> list[dict[str, Any]]:
        """All that is said up to the first message of a type, and with these values."""
        heard = []
        while True:
            message = self.hear()
            assert message is not None, (self.closed, heard)
            heard.append(message)
            if message["type"] == type and wanted.items() <= message.items():
                return heard

    def hear_all(self) -> list[dict[str, Any]]:
        """All that is said until the server closes the socket."""
        heard = []
        while (message := self.hear()) is not None:
            heard.append(message)
        self._loop.run(self._ended())
        return heard

    async def _ended(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            await self.task

    def stop_reading(self) -> None:
        self._loop.call(self._may_send.clear)

    def leave(self) -> None:
        self._loop.call(lambda: self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1006}))
        self._loop.run(self._ended())

    # --- A sender ----------------------------------------------------------------------------------

    def start(self, **more: Any) -> dict[str, Any]:
        self.say(type="start", **{"sample_rate": 16_000, **more})
        ready = self.hear()
        assert ready is not None and ready["type"] == "ready", ready
        return ready

    def send(self, samples: np.ndarray, frame: int = 1600) -> None:
        for at in range(0, len(samples), frame):
            self.give(bytes=samples[at : at + frame].astype("<i2").tobytes())

    def send_until_saved(self, samples: np.ndarray, upto_ms: int) -> dict[str, Any]:
        self.send(samples)
        while True:
            saved = self.hear_until("saved")[-1]
            if saved["received_ms"] >= upto_ms:
                return saved


@contextlib.contextmanager
def loop() -> Iterator[Loop]:
    running = Loop()
    try:
        yield running
    finally:
        running.close()


def by_token(user, **more: Any) -> dict[str, str]:
    return {"Authorization": f"Token {ApiToken.objects.issue(user, **more).key}"}


def noise(seconds: float, seed: int = 1, rate: int = 16_000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-20_000, 20_000, int(seconds * rate), dtype=np.int16)


def within(seconds: float, there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)
