"""Measure what live sockets cost the web process: many that are idle, and one that streams.

    python -m benchmarks.live_sockets [--idle 500] [--seconds 30]

First no live host runs, so nothing is heard: what is measured is to hold sockets, and to store what comes.
Then one does, with the fake engine, so that words come, too. Idle sockets watch one recording in which nobody
speaks, the streams send 100 ms of numbers ten times a second. Memory is the resident size of the web process,
divided by the sockets. Goals: 32 KiB for each idle one and 1 % of a core for 500; 0.5 % of a core for one
that streams.

Streams are measured when the short chunks of their beginning are over. The first one pays for what the
process does for all sockets, too. Beside them stands what the same messages cost where nobody does anything
with them: it is uvicorn's own share, and nothing here can get below it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.server import Server
from benchmarks.speaking import site_of
from sessions_app.management.live_client import FRAME, Message, Site
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE

STREAMS = (1, 10)
SETTLE_S = 3
SHORT_CHUNKS_S = 21
FRAMES_IN_PIECE = 5


class Web:
    """The web process, as the system sees it."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    @property
    def kib(self) -> float:
        return float(self._process.memory_info().rss) / 1024

    async def percent(self, seconds: float) -> float:
        """Return how much of a core it takes during the next `seconds`."""
        before, at = self._cpu_s(), time.monotonic()
        await asyncio.sleep(seconds)
        return 100 * (self._cpu_s() - before) / (time.monotonic() - at)

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


async def opened(site: Site, session_id: str, **first: object) -> tuple[ClientConnection, Message]:
    """Return a socket, and its `ready`."""
    socket = await connect(
        site.socket_url(session_id), additional_headers=site.headers, ping_interval=None, compression=None
    )
    await socket.send(json.dumps(first))
    while (message := json.loads(await socket.recv()))["type"] != "ready":
        pass
    return socket, message


def begun(site: Site) -> str:
    return str(site.post("/api/sessions/", {}, key=uuid.uuid4().hex)["id"])


async def reading(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


async def stream(socket: ClientConnection, sound: bytes) -> None:
    """Send the sound again and again as fast as it is spoken, for ever."""
    began, n, size = time.monotonic(), 0, 2 * FRAME
    while True:
        at = n * size % len(sound)
        await socket.send(sound[at : at + size])
        n += 1
        await asyncio.sleep(max(0.0, began + n * FRAME / SAMPLE_RATE - time.monotonic()))


async def idle(site: Site, web: Web, n: int, seconds: float, *, live: bool = False) -> tuple[float, float]:
    """Return the KiB of each of `n` sockets that watch, and the percent of a core of all."""
    session_id = begun(site)
    if live:
        # A live host has heard it, and nobody says more.
        sender, _ = await opened(site, session_id, type="start", sample_rate=SAMPLE_RATE)
        await sender.send(bytes(2 * FRAME))
        await sender.close()
    # What the first one loads is not a cost of each.
    first, _ = await opened(site, session_id, type="watch")
    await first.close()
    await asyncio.sleep(SETTLE_S)
    without = web.kib
    sockets = [(await opened(site, session_id, type="watch"))[0] for _ in range(n)]
    await asyncio.sleep(SETTLE_S)
    percent = await _while_reading(sockets, lambda: web.percent(seconds))
    kib = (web.kib - without) / n
    await asyncio.gather(*(socket.close() for socket in sockets))
    return kib, percent


async def empty(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Mapping[str, Any]]],
    send: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> None:
    """An application that reads all that sockets bring, and says as much as the product does."""
    if scope["type"] != "websocket":
        # uvicorn asks for a lifespan, and goes on without one.
        raise ValueError(f"Only sockets are served here, no {scope['type']}")
    await receive()
    await send({"type": "websocket.accept"})
    n = 0
    while (await receive())["type"] != "websocket.disconnect":
        if n % FRAMES_IN_PIECE == 0:
            said = {"type": "saved" if n else "ready", "received_ms": n, "saved_ms": 0}
            await send({"type": "websocket.send", "text": json.dumps(said)})
        n += 1


async def floor(server: Server, n: int, seconds: float) -> float:
    """Return the percent of a core that each of `n` streams takes where nobody does anything with it."""
    with server.other("benchmarks.live_sockets:empty") as (url, pid):
        web = Web(pid)
        site = Site(url, "none")
        nothing = await web.percent(seconds)
        sockets = [(await opened(site, "none", type="start"))[0] for _ in range(n)]
        sending = [asyncio.create_task(stream(socket, _sound())) for socket in sockets]
        await asyncio.sleep(SETTLE_S)
        percent = await _while_reading(sockets, lambda: web.percent(seconds))
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        await asyncio.gather(*(socket.close() for socket in sockets))
    return (percent - nothing) / n


def _sound() -> bytes:
    return bytes((make_numbered_audio(0, 60) * 32767).astype("<i2").tobytes())


async def streaming(site: Site, web: Web, n: int, seconds: float) -> float:
    """Return the percent of a core that each of `n` streams takes.

    Raises:
        RuntimeError: not all of the audio was stored.
    """
    sound = _sound()
    sessions = [begun(site) for _ in range(n)]
    sockets = [(await opened(site, one, type="start", sample_rate=SAMPLE_RATE))[0] for one in sessions]
    sending = [asyncio.create_task(stream(socket, sound)) for socket in sockets]

    async def measured() -> float:
        await asyncio.sleep(SHORT_CHUNKS_S)
        return await web.percent(seconds)

    percent = await _while_reading(sockets, measured)
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    await asyncio.gather(*(socket.close() for socket in sockets))
    again, ready = await opened(site, sessions[0], type="start", sample_rate=SAMPLE_RATE, resume=True)
    await again.close()
    if ready["received_ms"] < 1000 * (SHORT_CHUNKS_S + seconds - 1):
        raise RuntimeError(f"Of {SHORT_CHUNKS_S + seconds:g} s only {ready['received_ms']} ms were stored")
    return percent / n


async def _while_reading(sockets: list[ClientConnection], measure: Callable[[], Awaitable[float]]) -> float:
    readers = [asyncio.create_task(reading(socket)) for socket in sockets]
    try:
        return await measure()
    finally:
        ended = [task for task in readers if task.done()]
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        if ended:
            raise RuntimeError(f"{len(ended)} of {len(sockets)} sockets were closed by the server")


async def measure(server: Server, n: int, seconds: float, *, live: bool) -> None:
    site, web = site_of(server), Web(server.web.pid)
    nothing = await web.percent(seconds)
    kib, percent = await idle(site, web, n, seconds, live=live)
    heard = "with a live host" if live else "nothing is heard"
    print(f"\n{f'the web process, {heard}':44}{'measured':>12}{'goal':>8}")
    print(f"{'without a socket, % of a core':44}{nothing:12.2f}")
    print(f"{f'{n} idle sockets, KiB each':44}{kib:12.1f}{32:8}")
    print(f"{f'{n} idle sockets, % of a core in all':44}{percent:12.2f}{1:8}")
    each = [await streaming(site, web, streams, seconds) - nothing / streams for streams in STREAMS]
    for streams, one in zip(STREAMS, each, strict=True):
        print(f"{f'a stream, of {streams} at once, % of a core':44}{one:12.2f}{0.5:8}")
    one, ten = (streams * percent for streams, percent in zip(STREAMS, each, strict=True))
    print(f"{'each stream after the first, % of a core':44}{(ten - one) / (STREAMS[1] - STREAMS[0]):12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--idle", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30)
    asked = parser.parse_args()
    settings = {
        "ENGINES": "fake",
        "LIVE_SOCKETS": str(asked.idle + 100),
        "LIVE_SOCKETS_PER_USER": str(asked.idle + 100),
        "MAX_OPEN_RECORDINGS": "100",
    }
    for hosts in ("0", "1"):
        with Server(workers=1, LIVE_HOSTS=hosts, **settings) as server:
            if hosts != "0":
                server.wait_for_live_host()
            asyncio.run(measure(server, asked.idle, asked.seconds, live=hosts != "0"))
            if hosts == "0":
                for n in STREAMS:
                    percent = asyncio.run(floor(server, n, asked.seconds))
                    print(f"{f'of which uvicorn takes, of {n} at once':44}{percent:12.2f}")


if __name__ == "__main__":
    main()
