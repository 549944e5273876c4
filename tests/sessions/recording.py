"""Recordings in chunks, as tests send them."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import av
import numpy as np
from django.db import connection

from sessions_app.arrival import chunks
from sessions_app.models import RecordingSession
from tests.sessions.conftest import sound

SESSIONS = "/api/sessions/"


def begin(client, **options) -> dict[str, Any]:
    response = client.post(SESSIONS, options)
    assert response.status_code == 201, response.data
    return response.data


def send_chunk(client, session_id, number, content: bytes, *, name: str = "part.wav", **more):
    file = io.BytesIO(content)
    file.name = name
    return client.post(
        f"{SESSIONS}{session_id}/chunks/", {"number": number, "file": file, **more}, format="multipart"
    )


def finish(client, session_id, **body):
    return client.post(f"{SESSIONS}{session_id}/finish/", body)


def session_row(session_id) -> RecordingSession:
    return RecordingSession.objects.get(pk=session_id)


def stream(seconds: int = 4, kind: str = "webm") -> bytes:
    """What a MediaRecorder makes: one header, then clusters."""
    file = io.BytesIO()
    options = {"cluster_time_limit": "500", "live": "1"} if kind == "webm" else {"page_duration": "200000"}
    with av.open(file, "w", format=kind, options=options) as container:
        track = container.add_stream("libopus", rate=48_000, layout="mono")
        rng = np.random.default_rng(1)
        for at in range(0, seconds * 48_000, 960):
            noise = rng.normal(0, 3000, (1, 960)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48_000, at
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return file.getvalue()


def cut(content: bytes, marker: bytes = b"\x1f\x43\xb6\x75") -> list[bytes]:
    """A stream before each second one of its clusters: the first piece alone can be opened."""
    starts, at = [], content.find(marker, 1)
    while at >= 0:
        starts.append(at)
        at = content.find(marker, at + 1)
    edges = [0, *starts[2::2], len(content)]
    return [content[a:b] for a, b in itertools.pairwise(edges)]


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """What the functions return that start at the same moment, each with its own connection."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait()
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def while_storing(monkeypatch, store: Callable[[], Any], meanwhile: Callable[[], Any]) -> list[Any]:
    """Begin `meanwhile` in the middle of the transaction in which `store` stores a chunk; what both return.

    The transaction stays open for a while after that.
    """
    in_the_middle, go_on = threading.Event(), threading.Event()
    really_arrived = chunks.audio_arrived

    def arrived(session: RecordingSession) -> None:
        if not in_the_middle.is_set():
            in_the_middle.set()
            assert go_on.wait(10)
        really_arrived(session)

    def begin() -> Any:
        assert in_the_middle.wait(10)
        threading.Timer(0.3, go_on.set).start()
        return meanwhile()

    monkeypatch.setattr(chunks, "audio_arrived", arrived)
    return at_once(store, begin)


PARTS = [sound(seconds) for seconds in (1.0, 1.5, 2.0)]
