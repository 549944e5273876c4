"""Somebody who talks into a socket: numbers, one a second, by a client that resumes as a good client does."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.acceptance.conftest import wait_for
from tests.jobs.speaking import pcm, words

RATE_BYTES = 32_000
"""A second of sound: int16 at 16 kHz."""
FRAME_BYTES = RATE_BYTES // 10
PAUSE_S = 0.2
CATCH_UP = 4
"""What was said while there was no connection is sent so many times as fast as it is spoken."""


class Api:
    """The HTTP API of a site, for one person."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.headers = {"Authorization": f"Token {token}"}

    def call(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        """The status and the JSON of the answer."""
        headers = {**self.headers, "Content-Type": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}", body, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  always http
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def begin(self, **options: Any) -> str:
        """The id of a new recording."""
        status, session = self.call("POST", "sessions/", {"engine": "fake", **options})
        assert status == 201, session
        return str(session["id"])

    def connect(self, session_id: str, **more: Any) -> connect:
        url = f"ws://127.0.0.1:{self.port}/ws/sessions/{session_id}/live/"
        return connect(url, additional_headers=self.headers, open_timeout=10, **more)


class Talk:
    """A talk of `seconds` numbers, or of another `sound`, spoken `speed` times as fast as it is meant to be.

    It runs in a thread of its own from `start` on, and ends when the server says `done`, or with an error
    that is not in `again`. `finals` has each final by its id, in the order in which they came; `changed` has
    those that came once more with another text. `again_ms` has how much each connection but the first sent
    once more. `codes` has all errors. `behind` is true while more than a second was said that is not sent.
    """

    def __init__(
        self,
        api: Api,
        session_id: str,
        seconds: int,
        *,
        speed: float = 1.0,
        again: tuple[str, ...] = ("storage_full", "try_again", "going_away", "too_fast"),
        stop: bool = True,
        sound: bytes | None = None,
    ) -> None:
        self._api = api
        self.session_id = session_id
        self.seconds = seconds
        self._sound = pcm(0, seconds) if sound is None else sound
        self._speed = speed
        self._again = again
        self._stop = stop
        self.finals: dict[str, str] = {}
        self.changed: list[tuple[str, str, str]] = []
        self.interims = 0
        self.again_ms: list[int] = []
        self.codes: list[str] = []
        self.readies = 0
        self.received_ms = 0
        self.behind = False
        self.done: dict[str, Any] | None = None
        self._sent = 0
        self._began_at: float | None = None
        self._pause = threading.Event()
        self._gone = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._talk()), daemon=True)

    def start(self) -> Talk:
        self._thread.start()
        return self

    def pause(self) -> None:
        """Say nothing more, and stay connected."""
        self._pause.set()

    def leave(self) -> None:
        """Vanish, as a browser that crashes does."""
        self._gone.set()
        self._thread.join(30)

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    @property
    def text(self) -> str:
        return " ".join(self.finals.values())

    def wait_for_finals(self, seconds: int, *, within_s: float = 60) -> None:
        """Wait until the finals have come of so many seconds."""
        wanted = words(0, seconds)
        wait_for(
            lambda: self.text.startswith(wanted),
            within_s=within_s,
            what=f"{wanted} in {self.text!r}, {self.codes}",
        )

    def wait_for_end(self, *, within_s: float = 60) -> None:
        wait_for(
            lambda: self.has_ended, within_s=within_s, what=f"the talk ends: {self.text!r}, {self.codes}"
        )

    async def _talk(self) -> None:
        while self.done is None and not self._gone.is_set():
            try:
                async with self._api.connect(self.session_id) as socket:
                    if not await self._converse(socket):
                        return
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError):
                # The next connection goes on where the server is.
                await asyncio.sleep(PAUSE_S)

    async def _converse(self, socket: ClientConnection) -> bool:
        """Talk on this connection. Return whether to go on with another one."""
        start: dict[str, Any] = {"type": "start", "sample_rate": 16_000, "resume": self.readies > 0}
        if self.finals:
            start["have"] = list(self.finals)[-1]
        await socket.send(json.dumps(start))
        sending: asyncio.Task[None] | None = None
        try:
            async for said in socket:
                message = json.loads(said)
                match message["type"]:
                    case "ready":
                        sending = asyncio.create_task(self._send(socket, message["received_ms"]))
                        self.readies += 1
                    case "saved":
                        assert message["received_ms"] >= self.received_ms
                        self.received_ms = message["received_ms"]
                    case "segment":
                        self._hear(message)
                    case "error":
                        self.codes.append(message["code"])
                        if message["code"] not in (*self._again, "live_unavailable"):
                            return False
                    case "done":
                        self.done = message
                if self._gone.is_set():
                    socket.transport.abort()
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        await asyncio.sleep(PAUSE_S)
        return True

    def _hear(self, segment: dict[str, Any]) -> None:
        key, text = segment["id"], segment["text"]
        if segment["kind"] == "interim":
            self.interims += bool(text)
        elif self.finals.setdefault(key, text) != text:
            self.changed.append((key, self.finals[key], text))

    async def _send(self, socket: ClientConnection, received_ms: int) -> None:
        at = received_ms * RATE_BYTES // 1000
        if self.readies > 1:
            self.again_ms.append((self._sent - at) * 1000 // RATE_BYTES)
        first, ready_at = at, time.monotonic()
        if self._began_at is None:
            self._began_at = ready_at
        while at < len(self._sound):
            now = time.monotonic()
            spoken = int((now - self._began_at) * self._speed * RATE_BYTES)
            allowed = first + int((now - ready_at) * CATCH_UP * self._speed * RATE_BYTES)
            self.behind = spoken - at > RATE_BYTES
            if self._gone.is_set():
                socket.transport.abort()
                return
            if self._pause.is_set() or at + FRAME_BYTES > min(spoken, allowed):
                await asyncio.sleep(0.05)
                continue
            await socket.send(self._sound[at : at + FRAME_BYTES])
            at = min(at + FRAME_BYTES, len(self._sound))
            self._sent = max(self._sent, at)
        if self._stop:
            await socket.send('{"type": "stop"}')
