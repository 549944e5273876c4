"""The web process is killed, and started again, while somebody speaks into the recorder page."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from sessions_app.models import RecordingSession
from speech.types import SAMPLE_RATE
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.recorder.live.test_with_server import numbers_in, transcript, until
from tests.acceptance.recorder.page import open_recorder, press, record, samples_of, stored_samples
from tests.acceptance.recordings.client import WebProcess

pytestmark = pages.pytestmark


@pytest.fixture
def web(child_environment, settings, tmp_path) -> Iterator[WebProcess]:
    settings.DEFAULT_ENGINE = "fake"
    environment = {
        **child_environment,
        # It serves static files that were not collected.
        "DEBUG": "True",
        "DEFAULT_ENGINE": "fake",
        "MIN_FREE_DISK_MB": "0",
    }
    process = WebProcess(environment, tmp_path / "web.log")
    process.start()
    yield process
    process.kill()
    # Shown by pytest when the test failed.
    sys.stdout.write(process.log[-6000:])


@pytest.fixture
def site(web) -> str:
    return f"http://127.0.0.1:{web.port}"


def test_a_server_that_is_killed_and_one_that_stops_lose_nothing(context, web, numbers, live_host):
    page = open_recorder(context)
    page.evaluate("window.codes = []")
    page.evaluate(
        """() => {
            const Plain = WebSocket;
            window.WebSocket = class extends Plain {
                constructor(url) {
                    super(url);
                    this.addEventListener("close", ({ code }) => codes.push(code));
                }
            };
        }"""
    )
    record(page, seconds=3)
    until(page, lambda: 1 in numbers_in(page, "#text"), "words")
    for end, code, calm in (
        (web.kill, 1006, "Reconnecting. Everything is kept."),
        (web.stop, 1012, "The server is being started again. Everything is kept."),
    ):
        page.evaluate("codes.length = 0")
        end()
        expect(page.locator("#live-note")).to_have_text(calm)
        assert page.evaluate("codes[0]") == code
        web.start()
        now = samples_of(page) // SAMPLE_RATE
        until(page, lambda now=now: now + 1 in numbers_in(page, "#text"), "the words after it")
        expect(page.locator("#live-note")).to_be_empty()
    shown = numbers_in(page, "#text")
    assert shown == list(range(len(shown)))

    press(page, "Stop")
    counted = samples_of(page)
    found = transcript(page)
    assert found[: counted // SAMPLE_RATE] == list(range(counted // SAMPLE_RATE))
    assert len(found) - counted // SAMPLE_RATE in (0, 1)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted
