"""Keys of the ASGI scope by which the server's handler and the views know of each other."""

from __future__ import annotations

CLIENT_GONE = "transcribe.client_gone"
"""The client has closed its connection."""

LET_GO = "transcribe.let_go"
"""A coroutine function that gives back the request's thread and connection."""
