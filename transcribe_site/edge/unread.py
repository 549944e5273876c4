"""WebSockets that end: `uvicorn --ws transcribe_site.edge.unread:Protocol`.

Uvicorn closes a connection only after all that was said to the client has been sent. A client that reads
nothing would keep it for ever.
"""

from __future__ import annotations

import asyncio

from django.conf import settings
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class Protocol(WebSocketsSansIOProtocol):
    _abort_at: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self._abort_soon()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._abort_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._abort_at is not None:
            self._abort_at.cancel()

    def _abort_soon(self) -> None:
        if self._abort_at is None and not self.disconnected:
            self._abort_at = self.loop.call_later(settings.LIVE_UNREAD_S, self.transport.abort)
