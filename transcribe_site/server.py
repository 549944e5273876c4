"""What is served: Django, with limits for bodies, and with what each product needs of the server."""

from __future__ import annotations

from sessions_app.live.application import LiveSockets
from sessions_app.openai.wait import answered
from sessions_app.tus.protocol import PART_TYPE, TUS_PATH, TUS_VERSION
from transcribe_site.bodies.handler import LimitedHandler, Parts


def make_application() -> LimitedHandler:
    """Return the ASGI application.

    `/v1` answers late, tus reads parts while they come, and live words have sockets.
    """
    return LimitedHandler(Parts(TUS_PATH, PART_TYPE, {"Tus-Resumable": TUS_VERSION}), answered, LiveSockets())
