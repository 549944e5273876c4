"""How many requests may be in threads at once. Asked as an ASGI server asks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable

import pytest
from django.http import HttpResponse, JsonResponse
from django.urls import path

from transcribe_site.bodies.handler import LimitedHandler
from transcribe_site.server import make_application
from transcribe_site.watching import health

pytestmark = pytest.mark.django_db(transaction=True)

go_on = threading.Event()
inside: set[int] = set()
most_inside = 0


def slow(request):
    global most_inside
    inside.add(threading.get_ident())
    most_inside = max(most_inside, len(inside))
    go_on.wait(20)
    inside.discard(threading.get_ident())
    return HttpResponse("done")


def large(request):
    return JsonResponse({"text": "x" * 300_000})


urlpatterns = [path("slow", slow), path("large", large), path("healthz", health.healthz)]
urlpatterns.append(path("record/", slow, name="record"))
handler500 = "transcribe_site.edge.error_pages.server_error"


@pytest.fixture(autouse=True)
def views(settings):
    settings.ROOT_URLCONF = __name__
    settings.SECURE_SSL_REDIRECT = False
    # What asks the database would open a connection in each of these threads.
    settings.MIDDLEWARE = ["transcribe_site.edge.slashes.SlashMiddleware"]
    go_on.clear()
    inside.clear()
    yield
    go_on.set()


async def get(
    application: LimitedHandler, where: str, send: Callable[[dict], Awaitable[None]] | None = None
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent = []

    async def receive():
        if not sent and not receive.asked:
            receive.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return await asyncio.get_running_loop().create_future()

    async def keep(message):
        sent.append(message)
        if send is not None:
            await send(message)

    receive.asked = False
    scope = {"type": "http", "method": "GET", "path": where, "query_string": b"", "scheme": "http"}
    scope |= {"headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("localhost", 80)}
    await application(scope, receive, keep)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_two_hundred_at_once_are_in_few_threads_and_health_is_answered(settings):
    settings.WEB_THREADS = 5
    global most_inside
    most_inside, threads = 0, threading.active_count()

    async def all_of_them():
        application = make_application()
        asked = [asyncio.create_task(get(application, "/slow")) for _ in range(200)]
        await until(lambda: len(inside) == 5)
        status, _, _ = await asyncio.wait_for(get(application, "/healthz"), 5)
        at_once = threading.active_count() - threads
        go_on.set()
        return status, at_once, await asyncio.gather(*asked)

    status, at_once, answers = asyncio.run(all_of_them())
    assert status == 200
    assert {status for status, _, _ in answers} == {200}
    assert most_inside == 5
    # Beside theirs: of the probe, and those that the event loop shares.
    assert at_once <= 5 + 4


def test_whoever_comes_when_too_many_wait_is_told_to_come_again(settings):
    settings.WEB_THREADS, settings.WEB_WAITING = 1, 2

    async def four():
        application = make_application()
        asked = [asyncio.create_task(get(application, "/slow")) for _ in range(3)]
        await until(lambda: len(inside) == 1)
        refused = await get(application, "/api/jobs/")
        go_on.set()
        return refused, await asyncio.gather(*asked)

    (status, headers, body), others = asyncio.run(four())
    assert (status, json.loads(body)["code"]) == (503, "busy")
    assert int(headers[b"retry-after"]) > 0
    assert [status for status, _, _ in others] == [200, 200, 200]


def test_who_does_not_take_a_large_answer_keeps_nobody_from_a_thread(settings):
    settings.WEB_THREADS = 1

    async def both():
        application, never = make_application(), asyncio.get_running_loop().create_future()
        started = asyncio.Event()

        async def stop(message):
            if message["type"] == "http.response.body":
                started.set()
                await never

        lazy = asyncio.create_task(get(application, "/large", stop))
        await asyncio.wait_for(started.wait(), 10)
        status, _, body = await asyncio.wait_for(get(application, "/large"), 10)
        never.set_result(None)
        await lazy
        return status, len(body)

    assert asyncio.run(both()) == (200, len(json.dumps({"text": "x" * 300_000})))


def test_a_turn_that_is_given_up_while_it_waits_is_anothers(settings):
    settings.WEB_THREADS = 1

    async def three():
        application = make_application()
        first = asyncio.create_task(get(application, "/slow"))
        await until(lambda: len(inside) == 1)
        gone = asyncio.create_task(get(application, "/slow"))
        last = asyncio.create_task(get(application, "/slow"))
        await asyncio.sleep(0)
        gone.cancel()
        go_on.set()
        return [(await task)[0] for task in (first, last)]

    assert asyncio.run(three()) == [200, 200]
