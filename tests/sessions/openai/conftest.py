"""A whole server, as production starts it, and OpenAI's own client of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import soundfile

from benchmarks.server import Server
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE

# The names of OpenAI's models stand for the fake engine, which reads numbered tones.
SETTINGS = {
    "ENGINES": "fake,local",
    "LOCAL_MODEL": "tiny.en",
    "LOCAL_MODELS": "tiny.en",
    "MAX_ATTEMPTS": "1",
}


@pytest.fixture(scope="session")
def server(new_server) -> Iterator[Server]:
    with new_server(**SETTINGS) as running:
        yield running


def key_of(server: Server) -> str:
    return str(server.client.headers["Authorization"]).removeprefix("Token ")


def client_of(server: Server, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key_of(server), **options)


@pytest.fixture
def client(server) -> Iterator[openai.OpenAI]:
    with client_of(server, max_retries=0) as client:
        yield client


def numbers(seconds: int, name: str = "numbers.wav") -> tuple[str, bytes]:
    """A file of numbered tones, in which the fake engine reads `words(seconds)`."""
    file = io.BytesIO()
    soundfile.write(file, make_numbered_audio(0, seconds), SAMPLE_RATE, format="WAV")
    return name, file.getvalue()


def words(seconds: int) -> str:
    return " ".join(f"w{n:04d}" for n in range(seconds))


def newest_job(server: Server) -> dict[str, Any]:
    return dict(server.client.get("/api/jobs/").raise_for_status().json()["results"][0])


SLOW = "fake:slow=20"


def slow(name: str = "numbers.wav") -> tuple[str, bytes]:
    """With the prompt SLOW it takes longer than any test waits; a cancel is noticed in 5 s all the same."""
    return numbers(40, name)
