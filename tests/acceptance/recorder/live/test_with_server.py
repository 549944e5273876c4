"""Words on the pages while they are spoken, with the real socket and a live host."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pytest
from playwright.sync_api import Page, Request, expect

from jobs_app.work import unit
from sessions_app.models import RecordingSession
from speech.types import SAMPLE_RATE
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.recorder.live.test_words import COUNT_ANNOUNCEMENTS
from tests.acceptance.recorder.page import (
    microphone_flags,
    open_recorder,
    press,
    record,
    samples_of,
    stored_samples,
    until_recorded,
    wait_for_page,
)
from tests.acceptance.tus.slow_line import SlowLine
from tests.speech.wer import wer

pytestmark = pages.pytestmark


def until(page: Page, condition: Callable[[], object], what: str) -> None:
    """Wait, and let a worker work meanwhile."""

    def look() -> object:
        unit.do_next()
        return condition()

    wait_for_page(page, look, what=what, within_s=30)


def numbers_in(page: Page, place: str) -> list[int]:
    """The numbers that stand there, without times."""
    texts = page.locator(f"{place} p").all_inner_texts()
    return [int(number) for number in re.findall(r"w(\d{4})", " ".join(texts))]


def until_finished(page: Page) -> None:
    finished = page.get_by_role("heading", name="Transcript", exact=True)
    until(page, finished.is_visible, "the transcript")


def transcript(page: Page) -> list[int]:
    """The numbers of the finished transcript."""
    page.wait_for_url("**/jobs/*/")
    until_finished(page)
    return numbers_in(page, "#transcript")


def test_everybody_reads_what_is_spoken_and_an_interruption_loses_nothing(context, numbers, live_host):
    page = open_recorder(context)
    posts: list[Request] = []
    page.on("request", lambda one: one.url.endswith("/chunks/") and posts.append(one))
    record(page, seconds=2)
    until(page, page.locator("#text .interim").is_visible, "words that are being said")
    assert 0 in numbers_in(page, "#text")
    until_recorded(page, 6)
    expect(page.locator("#text")).to_contain_text("w0000 w0001 w0002 w0003 w0004")
    assert posts == []

    viewer = context.new_page()
    viewer.goto(f"/jobs/{RecordingSession.objects.get().current_job_id}/")
    expect(viewer.locator("#growing")).to_contain_text("w0000 w0001 w0002 w0003 w0004")
    before = samples_of(page)
    page.bring_to_front()
    context.set_offline(True)
    expect(page.locator("#live-note")).to_have_text("Reconnecting. Everything is kept.")
    context.set_offline(False)
    expect(page.locator("#live-note")).to_be_empty()
    until_recorded(page, before / SAMPLE_RATE + 6)
    until(page, lambda: 9 in numbers_in(page, "#text"), "the words after it")
    until(page, lambda: 9 in numbers_in(viewer, "#growing"), "the same words for others")
    shown = numbers_in(page, "#text")
    assert shown == list(range(len(shown)))

    press(page, "Stop")
    counted = samples_of(page)
    found = transcript(page)
    assert found[: counted // SAMPLE_RATE] == list(range(counted // SAMPLE_RATE))
    assert len(found) - counted // SAMPLE_RATE in (0, 1)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted
    assert transcript(viewer) == found


def test_a_network_that_is_silent_for_twenty_seconds_loses_nothing(context, site, numbers, live_host):
    """Connections stand open and bring nothing, so that the browser itself notices nothing."""
    line = SlowLine(int(site.rpartition(":")[2]))
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{line.port}/record/")
    page.evaluate(COUNT_ANNOUNCEMENTS)
    record(page, seconds=3)
    until(page, lambda: 0 in numbers_in(page, "#text"), "words")
    line.stands = True
    away_s = samples_of(page) / SAMPLE_RATE
    calm = "Reconnecting. Everything is kept."
    expect(page.locator("#live-note")).to_have_text(calm, timeout=20_000)
    until_recorded(page, away_s + 20)
    expect(page.locator("#live-note")).to_have_text(calm)
    line.stands = False
    until(page, lambda: int(away_s) + 20 in numbers_in(page, "#text"), "the words after it")
    expect(page.locator("#live-note")).to_be_empty()
    shown = numbers_in(page, "#text")
    assert shown == list(range(len(shown)))

    press(page, "Stop")
    counted = samples_of(page)
    # Of what was read out, nothing was said twice. The second in which the line fell silent can be in two
    # utterances, because what came before it was heard meanwhile.
    announced = [int(number) for number in re.findall(r"w(\d{4})", " ".join(page.evaluate("announced")))]
    assert announced == sorted(announced)
    assert len(announced) - len(set(announced)) <= 1
    found = transcript(page)
    n_cut = len(found) - len(set(found))
    assert n_cut <= 1
    assert sorted(set(found)) == list(range(len(found) - n_cut))
    assert found == sorted(found)
    assert len(found) - n_cut - counted // SAMPLE_RATE in (0, 1)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted
    line.close()


def test_a_page_that_is_loaded_again_in_the_middle_loses_nothing(context, numbers, live_host):
    page = open_recorder(context)
    record(page, seconds=7)
    until(page, lambda: 4 in numbers_in(page, "#text"), "words")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    press(page, "Send the rest")
    found = transcript(page)
    assert found == list(range(len(found)))
    assert len(found) >= 6


@pytest.mark.recordings
def test_speech_is_read_while_it_is_spoken(
    playwright, chromium, recordings: Path, tmp_path, site, alice, log_in, settings, live_host
):
    sound = tmp_path / "speech.wav"
    convert = [
        "-i",
        recordings / "en_jfk_11s.flac",
        "-af",
        "apad=pad_dur=3",
        "-ac",
        "1",
        "-ar",
        "48000",
        sound,
    ]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *convert], check=True)
    settings.DEFAULT_ENGINE, settings.LOCAL_MODEL = "local", "tiny.en"
    flags = [*pages.FLAGS, *microphone_flags(f"{sound}%noloop")]
    browser = playwright.chromium.launch(executable_path=chromium, args=flags)
    context = browser.new_context(base_url=site, permissions=["microphone"])
    log_in(context, alice)
    page = open_recorder(context)
    page.select_option("#id_language", "en")
    page.get_by_text("More options").click()
    page.select_option("#id_engine_model", "local/tiny.en")
    record(page, seconds=12)
    expect(page.locator("#text")).to_contain_text("fellow Americans")
    press(page, "Stop")
    page.wait_for_url("**/jobs/*/")
    until_finished(page)
    shown = " ".join(page.locator("#transcript [data-copy-part]").all_inner_texts())
    browser.close()
    spoken = (
        "And so, my fellow Americans, ask not what your country can do for you, "
        "ask what you can do for your country."
    )
    # A busy machine may hear "Lock!" in place of "ask not".
    assert wer(spoken, shown) < 0.3, shown
