"""HTTP/1.1 with a time limit for headers: `uvicorn --http transcribe_site.edge.header_clock:Protocol`.

Uvicorn closes a connection that is idle between two requests, but it waits for ever for the end of a header.
"""

from __future__ import annotations

import asyncio

import h11
from django.conf import settings
from uvicorn.protocols.http.h11_impl import H11Protocol


class Protocol(H11Protocol):
    _headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        """Start the clock if a header must come next, once for each header; otherwise stop it."""
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._headers_due is None:
            self._headers_due = self.loop.call_later(settings.STALLED_AFTER_S, self.transport.close)

    def _stop(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None
