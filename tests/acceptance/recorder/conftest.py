"""A browser with a microphone that hears a file, and the site."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from django.db import connection
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from jobs_app.models import LiveHost
from jobs_app.workers.live.host import Host
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.conftest import wait_for
from tests.acceptance.recorder.live.numbers import NUMBERS
from tests.acceptance.recorder.page import CHUNK_S, microphone_flags, open_recorder

site = pages.site


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as one:
        yield one
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="package")
def tone(tmp_path_factory) -> Path:
    """What the microphone hears where it does not matter: a tone, again and again."""
    path = tmp_path_factory.mktemp("microphone") / "tone.wav"
    time_s = np.arange(10 * 48_000) / 48_000
    soundfile.write(path, 0.25 * np.sin(2 * np.pi * 440 * time_s), 48_000)
    return path


@pytest.fixture(scope="package")
def browser(playwright, chromium, tone) -> Iterator[Browser]:
    args = [*pages.FLAGS, *microphone_flags(tone)]
    browser = playwright.chromium.launch(executable_path=chromium, args=args)
    yield browser
    browser.close()


@pytest.fixture
def log_in(client, site) -> Callable[[BrowserContext, Any], None]:
    def log_in(context: BrowserContext, user: Any) -> None:
        client.force_login(user)
        cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}
        context.add_cookies([cookie])

    return log_in


@pytest.fixture
def context(browser, site, alice, log_in, settings) -> Iterator[BrowserContext]:
    """A window of Alice's. Its pages must not break, whatever happens to them."""
    settings.RECORDER_CUTS_S = (CHUNK_S,)
    broken: list[str] = []
    context = browser.new_context(base_url=site, permissions=["microphone"])
    context.set_default_timeout(15_000)
    context.on("weberror", lambda error: broken.append(str(error.error)))
    log_in(context, alice)
    yield context
    context.close()
    assert broken == []


@pytest.fixture
def live_host(site) -> Iterator[None]:
    """A live host, as a thread of this process."""
    host = Host()

    def run() -> None:
        try:
            host.run()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(LiveHost.objects.alive().exists, within_s=10, what="the live host")
    yield
    host.stop()
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def numbers(context) -> None:
    """The microphone hears numbers from 0 on, one a second, which the fake engine reads."""
    script = {"body": NUMBERS, "content_type": "text/javascript"}
    context.route("**/recorder/sound/capture.js", lambda route: route.fulfill(**script))


@pytest.fixture
def page(context) -> Page:
    return open_recorder(context)
