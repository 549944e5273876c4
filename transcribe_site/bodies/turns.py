"""Limit how many requests may use threads at once.

Each thread has a connection to the database. Without a limit, a few hundred requests at once would take all
connections of the database and lock out the workers and everybody else. A request that waits costs only a
coroutine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

from transcribe_site.bodies.refusals import Busy

P = ParamSpec("P")
T = TypeVar("T")

# Django uses this thread for the little that it does for a request after its thread was given back.
_spare = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spare")


class Turns:
    """At most `most` threads, and at most `waiting` requests that wait for one, in the order they came."""

    def __init__(self, most: int, waiting: int) -> None:
        self._most = most
        self._most_waiting = waiting
        self._n_threads = 0
        self._waiting: deque[asyncio.Future[Executor]] = deque()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for a thread, and give it back at the end.

        Raises:
            Busy: too many requests wait already.
        """
        if self._n_threads >= self._most and len(self._waiting) >= self._most_waiting:
            raise Busy
        turn = Turn(self)
        await turn.again()
        try:
            yield turn
        finally:
            turn.give_back()

    async def thread(self) -> Executor:
        if self._n_threads < self._most:
            self._n_threads += 1
            return ThreadPoolExecutor(max_workers=1, thread_name_prefix="request")
        mine: asyncio.Future[Executor] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            return await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.take_back(mine.result())
            raise

    def take_back(self, thread: Executor) -> None:
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():
                first.set_result(thread)
                return
        # Threads that nobody waits for are ended, so that the memory of their stacks is free after a burst.
        self._n_threads -= 1
        thread.shutdown(wait=False)


class Turn(Executor):
    """The thread of one request. asgiref runs in it everything that must not run in the event loop."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._thread: Executor | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return (self._thread or _spare).submit(fn, *args, **kwargs)

    async def again(self) -> None:
        """Wait for a thread, if this request has none."""
        if self._thread is None:
            self._thread = await self._turns.thread()

    async def let_go(self) -> None:
        """Close the thread's connection and give the thread back, as the request waits for something else."""
        if self._thread is not None:
            await sync_to_async(connections.close_all)()
            self.give_back()

    def give_back(self) -> None:
        if self._thread is not None:
            thread, self._thread = self._thread, None
            self._turns.take_back(thread)
