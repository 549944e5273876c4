"""Many who watch, and one who does not read: somebody who speaks is heard all the same."""

from __future__ import annotations

import asyncio
import json
import socket as sockets

import psutil
import pytest
from websockets.asyncio.client import ClientConnection

from jobs_app.models import JobStatus, TranscriptionJob
from jobs_app.models.transcripts import Segment
from tests.acceptance.live.talk import Api, Talk
from tests.jobs.speaking import words

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

LIMIT = 500
"""LIVE_SOCKETS, as it is without settings."""
AT_ONCE = 25
KIB_EACH = 64
LONG_TEXT = "so he said and went on " * 200
MANY = 4_000


async def watch(api: Api, session_id: str, **more) -> ClientConnection:
    socket = await api.connect(session_id, **more)
    await socket.send('{"type": "watch"}')
    return socket


async def fill_up(api: Api, session_id: str, n: int) -> list[ClientConnection]:
    """Open so many sockets that watch, until each has been told how far the recording is."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one() -> ClientConnection:
        async with places:
            socket = await watch(api, session_id)
            assert json.loads(await socket.recv())["type"] == "ready"
            return socket

    return await asyncio.gather(*(one() for _ in range(n)))


async def code_of_another(api: Api, session_id: str) -> str | None:
    """The code with which one more is refused; None if it is let in. It leaves at once."""
    async with api.connect(session_id) as socket:
        try:
            async with asyncio.timeout(1):
                return str(json.loads(await socket.recv())["code"])
        except TimeoutError:
            return None


def small_buffer(port: int) -> sockets.socket:
    """A connection of which the system keeps little until it is read."""
    line = sockets.socket()
    line.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", port))
    line.setblocking(False)
    return line


def test_five_hundred_who_watch_and_one_who_does_not_read_cost_a_speaker_nothing(site):
    site.web.environment["LIVE_SOCKETS_PER_USER"] = "1000"
    site.start()
    api, web = site.api, psutil.Process(site.web.pid)
    idle, long = api.begin(), api.begin()
    job = TranscriptionJob.objects.get(session=long)
    Segment.objects.bulk_create(
        Segment(job=job, number=n, start_ms=n * 1000, end_ms=n * 1000 + 1000, raw_text=LONG_TEXT)
        for n in range(MANY)
    )
    TranscriptionJob.objects.filter(pk=job.pk).update(next_segment=MANY)
    talk = Talk(api, api.begin(), 30).start()
    talk.wait_for_finals(5)

    async def crowd() -> None:
        line = small_buffer(site.web.port)
        # It does not even read pings.
        deaf = await watch(api, long, sock=line, max_queue=1, ping_interval=None)
        before = web.memory_info().rss
        sockets_open = await fill_up(api, idle, LIMIT - 2)
        grown = web.memory_info().rss - before
        assert grown < LIMIT * KIB_EACH * 1024
        assert await code_of_another(api, idle) == "too_many"
        # Who does not read loses the place after a while.
        async with asyncio.timeout(60):
            while await code_of_another(api, idle) == "too_many":
                await asyncio.sleep(0.5)
        await asyncio.gather(*(one.close() for one in sockets_open))
        deaf.transport.abort()

    asyncio.run(crowd())
    talk.wait_for_end()
    assert talk.done is not None and talk.done["status"] == JobStatus.COMPLETED
    assert talk.text == words(0, 30)
    assert talk.readies == 1
