"""Ask a provider which models it has."""

from __future__ import annotations

import asyncio
import json

import httpx2
from openai import OpenAIError

from speech.engines.openai.client import connect
from speech.engines.providers import Provider

TIMEOUT_S = 10.0


def listed_models(provider: Provider) -> frozenset[str] | None:
    """Return the models that a provider lists; None if it lists none, as many compatible servers do."""
    loop, client = connect(provider)

    async def ask() -> bytes:
        async with asyncio.timeout(TIMEOUT_S):
            return (await client.get("/models", cast_to=httpx2.Response)).content

    try:
        body = json.loads(asyncio.run_coroutine_threadsafe(ask(), loop).result())
        return frozenset(model["id"] for model in body["data"] if isinstance(model["id"], str)) or None
    except (OpenAIError, TimeoutError, ValueError, KeyError, TypeError, RecursionError):
        return None
