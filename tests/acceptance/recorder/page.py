"""What a person does on the recorder page, and what came of it."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, Locator, Page, Route

from sessions_app.models import RecordingSession
from speech.types import SAMPLE_RATE
from tests.acceptance.conftest import wait_for

CHUNK_S = 5


def microphone_flags(sound: Path | str) -> list[str]:
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
    ]


def open_recorder(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/record/")
    return page


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def record(page: Page, *, seconds: float) -> None:
    """Start, and go on until so much is recorded."""
    press(page, "Record")
    until_recorded(page, seconds)


def until_recorded(page: Page, seconds: float) -> None:
    wait_for(lambda: samples_of(page) >= seconds * SAMPLE_RATE, within_s=seconds + 20, what="the recording")


def samples_of(page: Page) -> int:
    """What the audio thread of this page has given."""
    return int(page.locator("#recorder").get_attribute("data-samples") or 0)


def stored_samples(session: RecordingSession) -> list[int]:
    """Of each chunk, in order. Its numbers must have no gap."""
    chunks = list(session.chunks.order_by("number"))
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    lengths = []
    for chunk in chunks:
        with wave.open(chunk.file.path) as piece:
            lengths.append(piece.getnframes())
    return lengths


def stop(page: Page) -> int:
    """Stop, and wait for the page of the transcript; how many samples were recorded."""
    finishing: list[Route] = []
    page.route("**/finish/", lambda route: finishing.append(route))
    press(page, "Stop")
    wait_for_page(page, lambda: finishing, what="the finish")
    counted = samples_of(page)
    finishing[0].continue_()
    page.wait_for_url("**/jobs/*/")
    return counted


def wait_for_page(page: Page, condition: Callable[[], object], *, what: str, within_s: float = 20) -> None:
    """Like wait_for, and lets the browser's messages come in."""

    def one_look() -> object:
        page.wait_for_timeout(50)
        return condition()

    wait_for(one_look, within_s=within_s, what=what)


def problems(page: Page) -> Locator:
    return page.locator("#problems")
