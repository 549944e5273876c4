"""The ASGI application of the live sockets: it lets clients in, or refuses them with an HTTP status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jobs_app.api.errors import refusal_of
from rest.errors import body
from rest.refusals import Refusal
from sessions_app.live import threads
from sessions_app.live.hub import COUNTS, Hub
from sessions_app.live.socket import Receive, Socket
from sessions_app.live.storing import Store
from sessions_app.live.telling import Send
from sessions_app.live.visitors import admit

REFUSED_BY_HTTP = "websocket.http.response"
"""The extension of ASGI by which the handshake gets an answer. Without it, the answer is 403."""


class LiveSockets:
    """The live sockets of one process."""

    def __init__(self) -> None:
        self._hub = Hub()
        self._store = Store()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one socket. The path in `scope` is the part below URL_PREFIX."""
        await receive()  # websocket.connect
        try:
            visitor, session_id = await threads.run(lambda: admit(scope))
        except Exception as problem:
            refused = refusal_of(problem, {})
            if refused is None:
                raise
            COUNTS.refused[refused.code] += 1
            await _refuse(refused, scope, send)
            return
        await Socket(self._hub, self._store, visitor, session_id, receive, send).serve()


async def _refuse(refused: Refusal, scope: Mapping[str, Any], send: Send) -> None:
    if REFUSED_BY_HTTP not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **refused.headers}
    lines = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": f"{REFUSED_BY_HTTP}.start", "status": refused.status, "headers": lines})
    content = json.dumps(body(refused)).encode()
    await send({"type": f"{REFUSED_BY_HTTP}.body", "body": content, "more_body": False})
