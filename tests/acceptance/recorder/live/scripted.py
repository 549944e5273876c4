"""A server of live words that a test plays, in the place of the browser's WebSocket."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, WebSocketRoute

from sessions_app.models import AudioChunk
from tests.acceptance.recorder.page import CHUNK_S

CUTS_MS = [5000, 10_000, 15_000, 20_000, 25_000]

FAKE_SOCKET = """() => {
    window.sockets = [];
    window.WebSocket = class {
        constructor(url) {
            Object.assign(this, { url, sent: [], samples: [], closed: false });
            sockets.push(this);
        }
        send(data) {
            if (typeof data === "string") this.sent.push(JSON.parse(data));
            else this.samples.push(...data);
        }
        close() {
            this.closed = true;
        }
        opens() {
            this.onopen({});
        }
        says(message) {
            this.onmessage({ data: JSON.stringify(message) });
        }
        dies(code = 1006) {
            this.onclose({ code });
        }
        refuses(code) {
            this.says({ type: "error", code, detail: "No." });
            this.dies();
        }
    };
}"""
"""Puts sockets into the page that do nothing by themselves. `window.sockets` has them, in order."""


def stop_clock(page: Page) -> None:
    """Let the clocks and timers of the page stand until `page.clock.run_for`."""
    page.clock.install(time="2030-01-01T00:00:00Z")
    page.clock.pause_at("2030-01-01T00:01:00Z")


class Words:
    """The server's side of the socket: it takes all audio, and says what the test wants."""

    def __init__(self) -> None:
        self.sockets: list[WebSocketRoute] = []
        self.messages: list[dict[str, Any]] = []
        self.received_bytes = 0
        self.refusal: tuple[str, str] | None = None
        self.deaf = False

    def connected(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda data: self.came(socket, data))

    def came(self, socket: WebSocketRoute, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self.received_bytes += len(data)
            received_ms = self.received_bytes // 32
            saved_ms = max([0, *(cut for cut in CUTS_MS if cut <= received_ms)])
            return self.say(type="saved", received_ms=received_ms, saved_ms=saved_ms)
        self.messages.append(json.loads(data))
        if self.deaf:
            return None
        saved_ms = AudioChunk.objects.count() * CHUNK_S * 1000
        self.received_bytes = max(self.received_bytes, saved_ms * 32)
        received_ms = self.received_bytes // 32
        self.say(type="ready", received_ms=received_ms, saved_ms=saved_ms, cuts_ms=CUTS_MS)
        if self.refusal:
            code, detail = self.refusal
            self.say(type="error", code=code, detail=detail)
        return None

    def say(self, **message: Any) -> None:
        """Say it to the socket that came last."""
        self.sockets[-1].send(json.dumps(message))

    def final(self, number: int, start_ms: int, text: str) -> None:
        self.segment(number, start_ms, text, kind="final", confidence=0.9)

    def interim(self, number: int, start_ms: int, text: str, firm: int = 0) -> None:
        self.segment(number, start_ms, text, kind="interim", confidence=None, firm=firm)

    def segment(self, number: int, start_ms: int, text: str, **more: Any) -> None:
        place = {"start_ms": start_ms, "end_ms": start_ms + 1000}
        self.say(type="segment", id=f"u{number}", text=text, **place, **more)

    def die(self) -> None:
        self.sockets[-1].close(code=1011)
