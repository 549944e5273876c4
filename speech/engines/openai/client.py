"""The connections of a process to providers: the official client, and the event loop that runs it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from speech.engines.providers import Provider

CONNECT_TIMEOUT_S = 10.0
POLL_S = 0.5
LARGEST_ANSWER = 8_000_000
"""In bytes. The words of two minutes, each with its times and tokens, take less than a tenth of it."""
NO_KEY = "none"
"""The key for servers that want none. Without a key, the client takes OpenAI's from the environment."""
_OF_THE_BODY = frozenset({"content-encoding", "content-length", "transfer-encoding"})

# One event loop in its own thread runs all requests of a process, so that each can be given up at once.
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_clients: dict[Provider, AsyncOpenAI] = {}


class AnswerTooLarge(httpx2.RequestError):
    """The answer is larger than any transcript. The rest of it was not read."""


class _HttpClient(DefaultAsyncHttpxClient):
    """An HTTP client that reads answers of at most `LARGEST_ANSWER` bytes, counted after decompression."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **more: Any) -> httpx2.Response:
        response = await super().send(request, stream=True, **more)
        if stream:
            return response
        body = bytearray()
        try:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > LARGEST_ANSWER:
                    raise AnswerTooLarge(f"more than {LARGEST_ANSWER} bytes", request=request)
        finally:
            await response.aclose()
        headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in _OF_THE_BODY]
        return httpx2.Response(
            response.status_code,
            headers=headers,
            content=bytes(body),
            request=request,
            extensions=response.extensions,
        )


def connect(provider: Provider) -> tuple[asyncio.AbstractEventLoop, AsyncOpenAI]:
    """Return the event loop of this process, which runs in a thread, and the provider's client for
    that loop.
    """
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="providers", daemon=True).start()
        if provider not in _clients:
            _clients[provider] = _client(provider)
        return _loop, _clients[provider]


def ask(
    provider: Provider,
    post: Callable[[AsyncOpenAI], Coroutine[Any, Any, bytes]],
    on_wait: Callable[[], None] | None,
) -> bytes:
    """Return what `post` returns. `on_wait` is called at least once a second while it waits.

    An exception from `on_wait` gives up the request and passes through.

    Raises:
        OpenAIError, TimeoutError: there is no answer, or it is an error.
    """
    loop, client = connect(provider)

    async def in_time() -> bytes:
        async with asyncio.timeout(provider.timeout_s):
            return await post(client)

    sending = asyncio.run_coroutine_threadsafe(in_time(), loop)
    try:
        while not wait([sending], POLL_S).done:
            if on_wait is not None:
                on_wait()
    except BaseException:
        # The lease is lost, the job is cancelled, or a signal came. The connection is closed and the
        # answer dropped.
        sending.cancel()
        raise
    return sending.result()


def _client(provider: Provider) -> AsyncOpenAI:
    # It logs whole addresses, which may hold a password or a key.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    url = urlsplit(provider.base_url)
    timeout = httpx2.Timeout(provider.timeout_s, connect=min(CONNECT_TIMEOUT_S, provider.timeout_s))
    key = provider.api_key or NO_KEY
    client = AsyncOpenAI(
        api_key=key,
        base_url=url._replace(query="", fragment="").geturl(),
        default_query=dict(parse_qsl(url.query)),
        # The values in the environment are meant for OpenAI, and must not go to another server.
        default_headers={"Authorization": f"Bearer {key}"},
        admin_api_key="",
        max_retries=0,
        timeout=timeout,
        # A redirect must not take the recording or the key to another server either.
        http_client=_HttpClient(follow_redirects=False, timeout=timeout),
    )
    if provider.name != "openai":
        client.organization = client.project = None
    return client


def _after_fork() -> None:
    """Drop the parent's loop and connections in a forked child, which lacks the thread that serves them."""
    global _lock, _loop
    _lock = threading.Lock()
    _loop = None
    _clients.clear()


os.register_at_fork(after_in_child=_after_fork)
