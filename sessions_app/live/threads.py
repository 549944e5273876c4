"""The threads in which sockets use the database, so that they take none of those of requests.

A socket itself is a coroutine, and the event loop must not wait for the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")

DATABASE_AWAY = (OperationalError, InterfaceError)

# These two keep their connections. The first stores what all sockets bring, the second looks for what they
# have to be told.
storing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live-storing")
looking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live-looking")
# What is seldom: to let somebody in, to begin, to make a chunk, to finish.
working = ThreadPoolExecutor(max_workers=4, thread_name_prefix="live-working")


async def run(call: Callable[[], T], threads: ThreadPoolExecutor = working) -> T:
    """Return what `call` returns in one of `threads`.

    Raises:
        OperationalError, InterfaceError: the database does not answer; and what `call` raises.
    """
    return await asyncio.get_running_loop().run_in_executor(threads, _called, call, threads is not working)


def _called(call: Callable[[], T], keep: bool) -> T:
    try:
        return call()
    except DATABASE_AWAY:
        connection.close()
        raise
    finally:
        if not keep:
            connection.close()


def end_connections() -> None:
    """Close the connections that the threads keep. They are opened again when they are needed."""
    for kept in (storing, looking):
        kept.submit(lambda: connection.close()).result()
