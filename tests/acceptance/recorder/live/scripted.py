"""A server of live words that a test plays, in the place of the browser's WebSocket."""

from __future__ import annotations

from playwright.sync_api import Page

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
        dies() {
            this.onclose({ code: 1006 });
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
