"""Recording on the page, from the first click to the transcript."""

from __future__ import annotations

import json
import subprocess

import imageio_ffmpeg
import pytest
import soundfile
from playwright.sync_api import Page, expect

from jobs_app.work import unit
from sessions_app.models import RecordingSession
from speech.types import SAMPLE_RATE
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.recorder.page import (
    CHUNK_S,
    microphone_flags,
    open_recorder,
    press,
    problems,
    record,
    samples_of,
    stop,
    stored_samples,
    until_recorded,
    wait_for_page,
)
from tests.speech.wer import wer

pytestmark = pages.pytestmark

# Longer than two windows of the engine.
SPEECH = ("en_two_cities_44s.m4a", "en_video_austen_28s.mp4")


def test_a_recording_arrives_whole_in_pieces_of_the_same_length(page):
    page.fill("#title", "Our meeting")
    page.select_option("#id_language", "en")
    record(page, seconds=12)
    expect(page.locator("#sent")).to_have_text("Up to 0:10 it is on the server.")
    counted = stop(page)
    session = RecordingSession.objects.get()
    lengths = stored_samples(session)
    assert sum(lengths) == counted
    assert lengths[:-1] == [CHUNK_S * SAMPLE_RATE] * 2
    assert (session.title, session.source, session.state) == ("Our meeting", "recorder", "processing")
    assert session.current_job.language == "en"
    assert page.url.endswith(f"/jobs/{session.current_job.pk}/")
    # Nothing of it stays in the browser.
    page.goto("/record/")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_enabled()
    expect(page.locator("#left")).to_be_hidden()


def test_a_pause_is_cut_out_and_nothing_before_it_is_lost(page):
    record(page, seconds=3)
    press(page, "Pause")
    expect(page.locator("#state")).to_have_text("Paused")
    before = samples_of(page)
    page.wait_for_timeout(1500)
    assert samples_of(page) == before
    press(page, "Resume")
    until_recorded(page, 6)
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted < 8 * SAMPLE_RATE


def test_a_title_that_is_given_while_recording_is_that_of_the_transcript(page):
    record(page, seconds=1)
    page.fill("#title", "Named late")
    stop(page)
    assert RecordingSession.objects.get().title == "Named late"


def test_a_title_that_is_being_typed_at_the_stop_is_kept(page):
    record(page, seconds=1)
    page.locator("#title").press_sequentially("Typed late")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/jobs/*/")
    assert RecordingSession.objects.get().title == "Typed late"


def test_stopping_before_anything_was_heard_leaves_nothing_behind(page):
    page.evaluate("AudioNode.prototype.connect = (to) => to")
    press(page, "Record")
    wait_for_page(page, RecordingSession.objects.exists, what="the session")
    press(page, "Stop")
    expect(problems(page)).to_contain_text("Nothing was recorded")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_focused()
    assert not RecordingSession.objects.exists()


def test_the_keyboard_records_pauses_and_stops(page):
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_enabled()
    page.keyboard.press("Control+Enter")
    until_recorded(page, 1)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.locator("#main").focus()
    page.keyboard.press("Space")
    expect(page.locator("#state")).to_have_text("Paused")
    # In a field a space is a space.
    page.locator("#title").press("Space")
    expect(page.locator("#state")).to_have_text("Paused")
    page.locator("#main").focus()
    page.keyboard.press("Space")
    expect(page.locator("#state")).to_have_text("Recording")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/jobs/*/")


def test_the_focus_follows_the_buttons(page):
    page.get_by_role("button", name="Record", exact=True).press("Enter")
    until_recorded(page, 1)
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Resume")).to_be_focused()


def test_back_from_the_transcript_another_recording_can_be_made(
    playwright, chromium, tone, site, alice, log_in
):
    # As browsers keep pages for the way back, which the tests' own browser does not.
    browser = playwright.chromium.launch(
        executable_path=chromium,
        args=[*pages.FLAGS, *microphone_flags(tone)],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    context = browser.new_context(base_url=site, permissions=["microphone"])
    log_in(context, alice)
    page = open_recorder(context)
    record(page, seconds=1)
    stop(page)
    page.evaluate("history.back()")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_enabled()
    expect(page.locator("#state")).to_have_text("Ready")
    browser.close()


def test_two_tabs_record_at_once_without_mixing(context, page):
    other = open_recorder(context)
    page.fill("#title", "One")
    other.fill("#title", "Two")
    record(page, seconds=2)
    record(other, seconds=7)
    until_recorded(page, 9)
    # What another tab is recording is not offered.
    third = open_recorder(context)
    expect(third.get_by_role("button", name="Record", exact=True)).to_be_enabled()
    third.wait_for_timeout(300)
    expect(third.locator("#left")).to_be_hidden()
    counted = {"Two": stop(other), "One": stop(page)}
    sessions = RecordingSession.objects.all()
    assert {session.title: sum(stored_samples(session)) for session in sessions} == counted


def test_a_wrong_clock_of_the_browser_changes_nothing(context, page):
    page.clock.set_fixed_time("2001-01-01T00:00:00Z")
    record(page, seconds=6)
    counted = stop(page)
    session = RecordingSession.objects.get()
    assert sum(stored_samples(session)) == counted
    assert session.started_at.year > 2001


# --- Speech --------------------------------------------------------------------------------------


@pytest.mark.recordings
def test_speech_is_read_while_it_is_recorded_and_after_stop(
    playwright, chromium, recordings, tmp_path, site, alice, log_in, settings
):
    known = {one["file"]: one for one in json.loads((recordings / "manifest.json").read_text())}
    spoken = " ".join(known[name]["text"] for name in SPEECH)
    sound = tmp_path / "speech.wav"
    join = "[0:a][1:a]concat=n=2:v=0:a=1,apad=pad_dur=3"
    files = [word for name in SPEECH for word in ("-i", recordings / name)]
    convert = [*files, "-filter_complex", join, "-ac", "1", "-ar", "48000", sound]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *convert], check=True)
    settings.RECORDER_CUTS_S = (10,)
    settings.DEFAULT_ENGINE, settings.LOCAL_MODEL = "local", "tiny.en"
    flags = [*pages.FLAGS, *microphone_flags(f"{sound}%noloop")]
    browser = playwright.chromium.launch(executable_path=chromium, args=flags)
    context = browser.new_context(base_url=site, permissions=["microphone"])
    log_in(context, alice)
    page = open_recorder(context)
    page.select_option("#id_language", "en")
    page.get_by_text("More options").click()
    page.select_option("#id_engine_model", "local/tiny.en")
    press(page, "Record")

    grown: list[int] = []
    while samples_of(page) < (soundfile.info(sound).duration - 1) * SAMPLE_RATE:
        unit.do_next()
        page.wait_for_timeout(300)
        length = len(page.locator("#text").inner_text().split())
        if length > (grown[-1] if grown else 0):
            grown.append(length)
    press(page, "Stop")
    page.wait_for_url("**/jobs/*/")
    while unit.do_next():
        continue
    expect(page.get_by_role("heading", name="Transcript", exact=True)).to_be_visible()
    shown = " ".join(page.locator("#transcript [data-copy-part]").all_inner_texts())
    browser.close()
    # It grew while it was recorded, and a window at most was not yet there.
    assert len(grown) >= 2
    # Where its windows end depends on when they were looked at. A lost piece would be an eighth of the words.
    assert wer(spoken, shown) < 0.08, shown


# --- How it looks --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", pages.SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window_in_every_state(browser, site, alice, log_in, settings, size, scheme):
    settings.RECORDER_CUTS_S = (CHUNK_S,)
    window = {"viewport": pages.SIZES[size], "color_scheme": scheme}
    context = browser.new_context(base_url=site, permissions=["microphone"], **window)
    log_in(context, alice)

    def fits(page: Page) -> bool:
        return page.evaluate("document.documentElement.scrollWidth") <= pages.SIZES[size]["width"]

    page = open_recorder(context)
    page.fill("#title", "A_title_without_spaces_" * 6)
    assert fits(page)
    page.route("**/chunks/", lambda route: route.abort())
    record(page, seconds=CHUNK_S + 1)
    expect(problems(page)).to_contain_text("The server cannot be reached")
    assert fits(page)
    page.close()
    page = open_recorder(context)
    expect(page.locator("#left")).to_be_visible()
    assert fits(page)
    context.close()
