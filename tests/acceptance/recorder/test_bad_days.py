"""Networks, servers, tabs and browsers that go away while someone records: nothing is lost."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import soundfile
from django.utils import timezone
from playwright.sync_api import BrowserContext, Route, expect

from jobs_app.lifecycle.choices import cancel_job
from sessions_app.models import AudioChunk, RecordingSession
from sessions_app.sweeping import abandoned
from speech.types import SAMPLE_RATE
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.conftest import kill
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

pytestmark = pages.pytestmark


def test_a_network_that_was_away_for_a_while_costs_nothing(context, settings):
    settings.RECORDER_CUTS_S = (1,)
    page = open_recorder(context)
    record(page, seconds=1)
    context.set_offline(True)
    until_recorded(page, 18)
    expect(problems(page)).to_contain_text("The server cannot be reached")
    expect(page.locator("#sent")).to_have_text(re.compile(r"^1[5-9] pieces waiting to be sent$"))
    context.set_offline(False)
    # At once. The next try would be due 22 s after the first one, or later.
    expect(problems(page)).to_be_empty(timeout=5_000)
    expect(page.locator("#sent")).to_contain_text("on the server")
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_a_server_that_is_away_at_the_start_gets_it_later_and_once(page):
    # First it cannot be reached, then its answer gets lost.
    tries: list[str] = []

    def create(route: Route) -> None:
        if route.request.method != "POST":
            return route.continue_()
        tries.append(route.request.headers["idempotency-key"])
        if len(tries) == 2:
            route.fetch()
        if len(tries) < 3:
            return route.abort()
        return route.continue_()

    page.route("**/api/sessions/", create)
    record(page, seconds=7)
    wait_for_page(page, lambda: len(tries) == 3, what="the third try")
    counted = stop(page)
    assert len(set(tries)) == 1
    session = RecordingSession.objects.get()
    assert sum(stored_samples(session)) == counted


def test_a_closed_tab_loses_nothing_that_was_heard(context, page):
    record(page, seconds=1)
    context.set_offline(True)
    until_recorded(page, 8)
    counted = samples_of(page)
    page.close()
    context.set_offline(False)

    again = open_recorder(context)
    left = again.locator("#left .file")
    expect(left).to_have_count(1)
    expect(left).to_contain_text("not sent")
    left.get_by_role("button", name="Send the rest").click()
    again.wait_for_url("**/jobs/*/")
    session = RecordingSession.objects.get()
    # At most the second that was not yet written, or a little more than what was counted.
    assert -1.2 < (sum(stored_samples(session)) - counted) / SAMPLE_RATE < 2
    assert session.finished_at


def kill_browser(profile: Path) -> None:
    """All of its processes at once."""
    family = psutil.Process().children(recursive=True)
    mains = [process for process in family if f"--user-data-dir={profile}" in process.cmdline()]
    processes = [*mains, *(child for main in mains for child in main.children(recursive=True))]
    assert processes
    for process in processes:
        kill(process.pid)
    psutil.wait_procs(processes, timeout=10)


def test_a_killed_browser_loses_at_most_two_seconds(
    playwright, chromium, tone, tmp_path, site, alice, log_in
):
    def start() -> BrowserContext:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=chromium,
            args=[*pages.FLAGS, *microphone_flags(tone)],
            permissions=["microphone"],
            base_url=site,
        )
        log_in(context, alice)
        return context

    context = start()
    page = open_recorder(context)
    page.route("**/chunks/", lambda route: route.abort())
    record(page, seconds=13)
    counted = samples_of(page)
    kill_browser(tmp_path / "profile")

    context = start()
    page = open_recorder(context)
    page.get_by_role("button", name="Send the rest").click()
    page.wait_for_url("**/jobs/*/")
    context.close()
    lost_s = (counted - sum(stored_samples(RecordingSession.objects.get()))) / SAMPLE_RATE
    assert lost_s < 2


def test_what_is_left_can_be_saved_or_discarded(context, page):
    page.route("**/api/sessions/", lambda route: route.abort())
    page.fill("#title", "Left: behind")
    record(page, seconds=7)
    page.close()
    again = open_recorder(context)
    with again.expect_download() as download:
        press(again, "Download")
    assert download.value.suggested_filename == "Left behind.wav"
    assert soundfile.info(download.value.path()).duration == pytest.approx(7, abs=1.5)
    answers = ["no", "yes"]
    again.on("dialog", lambda dialog: dialog.accept() if answers.pop(0) == "yes" else dialog.dismiss())
    press(again, "Discard")
    expect(again.locator("#left .file")).to_have_count(1)
    press(again, "Discard")
    expect(again.locator("#left")).to_be_hidden()
    again.reload()
    expect(again.get_by_role("button", name="Record", exact=True)).to_be_enabled()
    expect(again.locator("#left")).to_be_hidden()


def test_what_is_left_is_shown_and_sent_for_its_owner_alone(context, page, alice, bob, log_in):
    page.route("**/api/sessions/", lambda route: route.abort())
    record(page, seconds=6)
    # Bob logs in in another tab: this one must not record into his account.
    log_in(context, bob)
    page.unroute("**/api/sessions/")
    expect(problems(page)).to_contain_text("Someone else is logged in. Log in as alice.", timeout=20_000)
    bobs = open_recorder(context)
    page.close()
    bobs.reload()
    expect(bobs.get_by_role("button", name="Record", exact=True)).to_be_enabled()
    bobs.wait_for_timeout(300)
    expect(bobs.locator("#left")).to_be_hidden()
    assert not RecordingSession.objects.exists()

    log_in(context, alice)
    alices = open_recorder(context)
    press(alices, "Send the rest")
    alices.wait_for_url("**/jobs/*/")
    assert RecordingSession.objects.get().owner == alice


def test_after_a_new_login_the_recording_goes_on_by_itself(context, page, alice, log_in):
    record(page, seconds=1)
    context.clear_cookies()
    until_recorded(page, 6)
    expect(problems(page)).to_contain_text("You are logged out. Log in as alice")
    log_in(context, alice)
    expect(problems(page)).to_be_empty(timeout=20_000)
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_what_comes_after_the_server_has_closed_a_recording_becomes_one_of_its_own(page):
    page.fill("#title", "Long")
    record(page, seconds=6)
    wait_for_page(page, AudioChunk.objects.exists, what="the first chunk")
    RecordingSession.objects.update(finished_at=timezone.now())
    until_recorded(page, 11)
    wait_for_page(page, lambda: RecordingSession.objects.count() == 2, what="another recording")
    counted = stop(page)
    first, second = RecordingSession.objects.order_by("started_at")
    assert (first.title, second.title) == ("Long", "Long (continued)")
    assert sum(stored_samples(first)) + sum(stored_samples(second)) == counted
    assert page.url.endswith(f"/jobs/{second.current_job.pk}/")


def test_a_long_pause_does_not_end_a_recording(context, settings):
    settings.ABANDONED_AFTER_S = 3
    page = open_recorder(context)
    record(page, seconds=1)
    wait_for_page(page, RecordingSession.objects.exists, what="the session")
    page.keyboard.press("Space")
    for _ in range(7):
        page.wait_for_timeout(1000)
        abandoned.sweep()
    page.keyboard.press("Space")
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_what_comes_after_the_recording_was_deleted_is_not_lost(page):
    record(page, seconds=6)
    wait_for_page(page, AudioChunk.objects.exists, what="the first chunk")
    RecordingSession.objects.all().delete()
    counted = stop(page)
    session = RecordingSession.objects.get()
    assert sum(stored_samples(session)) == counted - CHUNK_S * SAMPLE_RATE
    assert page.url.endswith(f"/jobs/{session.current_job.pk}/")


def test_a_recording_that_was_deleted_when_all_was_sent_can_be_discarded(page):
    finishing: list[Route] = []
    page.route("**/finish/", lambda route: finishing.append(route))
    record(page, seconds=2)
    press(page, "Stop")
    wait_for_page(page, lambda: finishing, what="the finish")
    RecordingSession.objects.all().delete()
    finishing[0].continue_()
    expect(problems(page)).to_contain_text("This recording was deleted on the server")
    expect(page.locator("#download")).to_be_hidden()
    press(page, "Discard")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_focused()
    expect(problems(page)).to_be_empty()
    page.reload()
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_enabled()
    expect(page.locator("#left")).to_be_hidden()


def test_what_the_server_will_never_take_can_be_discarded_after_the_stop(page):
    refusal = {"status": 422, "json": {"detail": "Not this one.", "code": "unreadable_audio"}}
    page.route("**/chunks/", lambda route: route.fulfill(**refusal))
    record(page, seconds=CHUNK_S + 1)
    expect(problems(page)).to_contain_text("Not this one. The recording is kept in this browser.")
    expect(page.locator("#discard")).to_be_hidden()
    press(page, "Stop")
    answers = ["no", "yes"]
    page.on("dialog", lambda dialog: dialog.accept() if answers.pop(0) == "yes" else dialog.dismiss())
    press(page, "Discard")
    expect(problems(page)).to_contain_text("Not this one.")
    press(page, "Discard")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_focused()
    assert answers == []


def test_a_transcript_that_is_cancelled_meanwhile_is_told(page):
    record(page, seconds=1)
    wait_for_page(page, RecordingSession.objects.exists, what="the session")
    cancel_job(RecordingSession.objects.get().current_job.pk)
    expect(problems(page)).to_contain_text("The transcript was cancelled.", timeout=20_000)


def test_refused_options_can_be_changed_while_the_recording_goes_on(page):
    page.select_option("#id_language", "de")
    page.get_by_text("More options").click()
    page.select_option("#id_engine_model", "local/tiny.en")
    record(page, seconds=2)
    expect(problems(page)).to_contain_text("English")
    page.select_option("#id_language", "en")
    expect(problems(page)).to_be_empty()
    counted = stop(page)
    session = RecordingSession.objects.get()
    assert session.current_job.language == "en"
    assert sum(stored_samples(session)) == counted


def test_what_the_server_refuses_is_kept_and_can_be_saved(page, settings):
    settings.MAX_AUDIO_S = 3
    record(page, seconds=6)
    expect(problems(page)).to_contain_text("The recording is kept in this browser.")
    press(page, "Stop")
    expect(page.locator("#state")).to_contain_text("Sending")
    counted = samples_of(page)
    with page.expect_download() as download:
        press(page, "Download what was not sent")
    assert soundfile.info(download.value.path()).frames == counted
    settings.MAX_AUDIO_S = 3600
    press(page, "Try again")
    page.wait_for_url("**/jobs/*/")
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_a_browser_without_room_says_so_and_sends_all_the_same(page):
    page.evaluate(
        """() => {
            const put = IDBObjectStore.prototype.put;
            IDBObjectStore.prototype.put = function (value) {
                if (value.wav || value.pcm) throw new DOMException("full", "QuotaExceededError");
                return put.call(this, value);
            };
        }"""
    )
    record(page, seconds=7)
    expect(problems(page)).to_contain_text("This browser has no room left")
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_a_server_that_has_too_much_to_do_is_asked_again_when_it_says(page):
    answers = [429, 503]
    asked: list[int] = []

    def busy(route: Route) -> None:
        asked.append(page.evaluate("performance.now()"))
        if not answers:
            return route.continue_()
        headers = {"Retry-After": "2", "Content-Type": "application/json"}
        return route.fulfill(
            status=answers.pop(0), headers=headers, body='{"detail": "Too much.", "code": "busy"}'
        )

    page.route("**/chunks/", busy)
    record(page, seconds=CHUNK_S + 1)
    expect(problems(page)).to_contain_text("Too much. What waits is sent by itself")
    wait_for_page(page, AudioChunk.objects.exists, what="the chunk")
    assert all(1900 < later - earlier < 3000 for earlier, later in pairwise(asked))
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_a_piece_that_the_server_itself_has_lost_does_not_hold_up_the_transcript(page):
    record(page, seconds=11)
    wait_for_page(page, lambda: AudioChunk.objects.count() == 2, what="two chunks")
    AudioChunk.objects.filter(number=0).delete()
    press(page, "Stop")
    page.wait_for_url("**/jobs/*/")
    session = RecordingSession.objects.get()
    assert session.finished_at
    assert list(session.chunks.values_list("number", flat=True)) == [1, 2]
