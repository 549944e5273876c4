"""A client of live words (docs/live.md): it streams a recording to a server and gives what the server says.

It knows the protocol and nothing of the server's code, so the server may be another one. A lost connection
costs nothing: audio is kept until it has been sent, and each connection goes on where the server has
received it.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from math import inf
from os import pread
from typing import Any, TypeAlias

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from speech.types import SAMPLE_RATE

Message: TypeAlias = dict[str, Any]

SAMPLE_BYTES = 2
FRAME = SAMPLE_RATE // 10
"""Samples in one message: 100 ms."""
FRAMES_AT_ONCE = 20
"""Between so many frames it is looked at what the server says."""
CATCH_UP = 20
"""What was not sent while there was no connection follows so many times as fast as it was spoken."""
AHEAD_S = 25
"""A server takes 30 s of audio more than the time since `ready`."""
KEEP_ALIVE_S = 20
"""A server ends a connection on which nothing comes for a minute."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0

# What ends a connection and not the recording.
_AGAIN = {"too_fast", "storage_full", "idle", "try_again", "not_read", "internal_error"}


class Refused(Exception):
    """The server has said no, and would say so again."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Unreachable(Exception):
    """There was no connection for as long as one is waited for."""


class _Lost(Exception):
    """A connection has ended before the recording has."""


def _refusal(status: int, body: bytes) -> Refused:
    """What a server answers with, in the form of its API where it is one."""
    try:
        answer = dict(json.loads(body))
        return Refused(str(answer["code"]), str(answer["detail"]))
    except (ValueError, TypeError, KeyError):
        return Refused("refused", f"The server answers {status}.")


class Site:
    """A server, at the address under which its pages are, and a token for it."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.headers = {"Authorization": f"Token {token}"}

    def socket_url(self, session_id: str) -> str:
        return f"{self.url.replace('http', 'ws', 1)}/ws/sessions/{session_id}/live/"

    def post(self, path: str, content: Message, key: str) -> Message:
        """Send JSON, and return the answer. A second time with the same `key` does nothing more.

        Raises:
            Refused: the server says no.
            Unreachable: it does not answer.
        """
        headers = {**self.headers, "Content-Type": "application/json", "Idempotency-Key": key}
        # Whoever gives the address decides which server this is.
        request = urllib.request.Request(self.url + path, json.dumps(content).encode(), headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return dict(json.load(answer))
        except urllib.error.HTTPError as e:
            raise _refusal(e.code, e.read()) from e
        except (OSError, ValueError) as e:
            raise Unreachable(f"{self.url} does not answer as such a server does: {e}") from e


class Sound:
    """Audio that is being recorded: int16, little endian, mono, 16 kHz. It grows until it has ended.

    One thread writes it and another one reads it. It is kept in a file, however long the network is away.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it is closed with its last reader
        self._written = 0
        self._ends_at: int | None = None
        self.error: Exception | None = None

    @property
    def samples(self) -> int:
        return self._written if self._ends_at is None else self._ends_at

    @property
    def ended(self) -> bool:
        return self._ends_at is not None

    def write(self, block: bytes) -> None:
        self._file.write(block)
        self._file.flush()
        self._written += len(block) // SAMPLE_BYTES

    def end(self, error: Exception | None = None) -> None:
        """Nothing follows what was written. With an `error` something should have."""
        self.error = error
        if self._ends_at is None:
            self._ends_at = self._written

    def cut(self, sample: int) -> None:
        """Nothing follows `sample`, whatever was written and will be."""
        self._ends_at = sample

    def read(self, first: int, samples: int) -> bytes:
        return pread(self._file.fileno(), samples * SAMPLE_BYTES, first * SAMPLE_BYTES)


class Live:
    """A recording that is streamed to a server, or watched there if there is no `sound`.

    The sound is sent `speed` times as fast as it is spoken, as far as it is there. `patience_s`: how long a
    server may be away.
    """

    def __init__(
        self,
        site: Site,
        session_id: str,
        sound: Sound | None = None,
        *,
        speed: float = 1.0,
        patience_s: float = 300.0,
        resume: bool = False,
    ) -> None:
        self._site = site
        self._session_id = session_id
        self._sound = sound
        self._patience_s = patience_s
        # The last final that was told, and its job.
        self._shown: Message = {}
        self.speed = speed
        self.resumes = resume
        # When the first sample of the recording was spoken, had it been spoken `speed` times as fast.
        self.began_at: float | None = None
        self.stopping = False
        # By the clock of the day, for those who compare it with what a server says.
        self.stopped_at: float | None = None

    def stop(self) -> None:
        """End the recording with what has been sent. May be called from a signal handler."""
        self.stopping = True

    def events(self) -> Iterator[Message]:
        """Yield what the server says until it is done, and `{"type": "lost", "detail": ...}` for each lost
        connection.

        Raises:
            Refused: the server has ended it for a reason that remains.
            Unreachable: no connection for `patience_s`.
        """
        lost_at = time.monotonic()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                for message in self._connection():
                    if message["type"] == "ready":
                        pause_s = FIRST_PAUSE_S
                    lost_at = time.monotonic()
                    yield message
                    if message["type"] == "done":
                        return
            except _Lost as e:
                if time.monotonic() - lost_at + pause_s > self._patience_s:
                    raise Unreachable(f"No connection for {self._patience_s:g} s: {e}") from e
                yield {"type": "lost", "detail": str(e)}
            # Not all clients at once, when a server is back.
            time.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _connection(self) -> Iterator[Message]:
        """Yield the messages of one connection. Raises _Lost and Refused."""
        url = self._site.socket_url(self._session_id)
        try:
            with connect(url, additional_headers=self._site.headers, max_size=None) as socket:
                yield from self._messages(socket)
        except InvalidStatus as e:
            if e.response.status_code >= 500:
                raise _Lost(f"the server answers {e.response.status_code}") from e
            raise _refusal(e.response.status_code, bytes(e.response.body)) from e
        except (ConnectionClosed, InvalidHandshake, OSError, EOFError) as e:
            raise _Lost(str(e) or type(e).__name__) from e

    def _messages(self, socket: ClientConnection) -> Iterator[Message]:
        socket.send(json.dumps(self._first_message()))
        wait_s = 60.0
        sending: _Sending | None = None
        while True:
            if sending is not None:
                wait_s = sending.send_due()
            try:
                message = dict(json.loads(socket.recv(timeout=wait_s)))
            except TimeoutError:
                continue
            match message["type"]:
                case "ready" if self._sound is not None:
                    sending = _Sending(self, self._sound, socket, message["received_ms"])
                case "job" if message["job"] != self._shown.get("job"):
                    self._shown = {"job": message["job"]}
                case "segment" if message["kind"] == "final":
                    self._shown["have"] = message["id"]
                case "error" if message["code"] in _AGAIN or (message["code"] == "too_many" and self.resumes):
                    raise _Lost(message["detail"])
                case "error" if message["code"] == "session_finished" and self.stopped_at:
                    # The server had heard it, and the answer was lost. What is left to be said is watched.
                    self._sound = None
                    raise _Lost(message["detail"])
                case "error" if message["code"] != "live_unavailable":
                    raise Refused(message["code"], message["detail"])
            yield message

    def _first_message(self) -> Message:
        message: Message = {"type": "watch"}
        if self._sound is not None:
            message = {"type": "start", "sample_rate": SAMPLE_RATE}
            if self.resumes:
                message["resume"] = True
        return message | self._shown


class _Sending:
    """One connection on which a recording is sent, from `received_ms` on."""

    def __init__(self, live: Live, sound: Sound, socket: ClientConnection, received_ms: int) -> None:
        self._live = live
        self._sound = sound
        self._socket = socket
        self._ready_at = time.monotonic()
        self._first = self._sent = received_ms * SAMPLE_RATE // 1000
        # Where more was missed, the server ends the connection, and takes as much again on the next one.
        self._ahead_s = inf if live.resumes else AHEAD_S
        self._said_at = self._ready_at
        self._stopped = False
        live.resumes = True
        # A lost connection does not stop the clock, because who speaks does not wait for it.
        self._began_at = live.began_at = (
            live.began_at or self._ready_at - self._first / SAMPLE_RATE / live.speed
        )

    def send_due(self) -> float:
        """Send what is due by now. Return for how many seconds nothing more will be."""
        if self._stopped:
            return 60.0
        if self._live.stopping:
            self._live.stopping = False
            self._sound.cut(self._sent)
        ended, now = self._sound.ended, time.monotonic()
        speed, elapsed_s = self._live.speed, now - self._ready_at
        spoken = int((now - self._began_at) * speed * SAMPLE_RATE)
        allowed_s = min(max(CATCH_UP, speed) * elapsed_s, elapsed_s + self._ahead_s)
        end = min(self._sound.samples, spoken, self._first + int(allowed_s * SAMPLE_RATE))
        for _ in range(FRAMES_AT_ONCE):
            rest = ended and self._sent < end == self._sound.samples
            if end - self._sent < FRAME and not rest:
                break
            frame = self._sound.read(self._sent, min(FRAME, end - self._sent))
            self._say(frame)
            self._sent += len(frame) // SAMPLE_BYTES
        if ended and self._sent >= self._sound.samples:
            self._stopped = True
            self._live.stopped_at = time.time()
            self._say('{"type": "stop"}')
        elif now - self._said_at > KEEP_ALIVE_S:
            self._say('{"type": "keep_alive"}')
        missing_s = (self._sent + FRAME - spoken) / SAMPLE_RATE / speed
        return min(max(missing_s, 0.01), 0.1)

    def _say(self, message: str | bytes) -> None:
        self._socket.send(message)
        self._said_at = time.monotonic()
