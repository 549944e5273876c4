"""The upload page in a real browser and with a real web process, on lines and days that are not good.

What is sent is noise, so that a byte that is lost, doubled or out of order changes the file's sha256.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from playwright.sync_api import Locator, Page, expect

from jobs_app.models import TranscriptionJob
from sessions_app.models import AudioChunk, ResumableUpload
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.conftest import wait_for
from tests.acceptance.recordings.client import WebProcess
from tests.acceptance.tus.slow_line import SlowLine

pytestmark = [pytest.mark.browser, pytest.mark.slow]

browser = pages.browser
open_page = pages.open_page
# Of a request that fails the browser itself writes into the console.
open_anyhow = pages.open_page_that_may_complain

MB = 1024 * 1024
SLOW = 8 * MB
# What a broken connection may cost: what was in the buffers of both sides and of the line.
LOST = 4 * MB


@pytest.fixture
def web(child_environment, prepared, tmp_path) -> Iterator[WebProcess]:
    (Path(child_environment["DATA_DIR"]) / "static").symlink_to(prepared / "static")
    process = WebProcess({**child_environment, "MIN_FREE_DISK_MB": "0"}, tmp_path / "web.log")
    process.start()
    yield process
    process.kill()
    # Shown by pytest when the test failed.
    sys.stdout.write(process.log[-6000:])


@pytest.fixture
def line(web) -> Iterator[SlowLine]:
    line = SlowLine(web.port)
    yield line
    line.close()


@pytest.fixture
def site(line) -> str:
    return f"http://127.0.0.1:{line.port}"


@pytest.fixture
def noise(tmp_path) -> Callable[..., Path]:
    def make(megabytes: int = 40, name: str = "noise.wav") -> Path:
        path = tmp_path / name
        with wave.open(str(path), "wb") as wav:
            wav.setparams((2, 2, 48_000, 0, "NONE", ""))
            wav.writeframes(np.random.default_rng(megabytes).bytes(megabytes * MB))
        return path

    return make


def start(page: Page, *files: Path) -> None:
    page.select_option("#id_engine_model", "fake/fake")
    page.set_input_files("#id_file", list(files))
    page.get_by_role("button", name="Upload and transcribe").click()


def slow_upload(open_page: Callable[..., Page], line: SlowLine, file: Path, **window) -> Page:
    """A page of Alice's that has sent about a third of the file, slowly, and goes on."""
    page = open_page("/upload/", **window)
    line.bytes_per_s = SLOW
    start(page, file)
    reach(page, 33)
    return page


def reach(page: Page, percent: int) -> None:
    pages.wait_until(page, f"document.querySelector('.file progress')?.value >= {percent}")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def opened_anew(page: Page) -> Page:
    """The upload page in a new tab, after its tab was closed."""
    other = page.context.new_page()
    page.close()
    other.goto("/upload/")
    return other


def note(page: Page) -> Locator:
    return page.locator("#files .file-note")


def assert_stored(page: Page, line: SlowLine, file: Path, *, lost: int = LOST) -> None:
    """The transcript's page opens; the whole file is stored, and hardly a byte of it was sent twice."""
    line.bytes_per_s = 0
    page.wait_for_url("**/jobs/*/")
    job = TranscriptionJob.objects.get()
    assert str(job.pk) in page.url
    chunk = AudioChunk.objects.get(session=job.session_id)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert chunk.sha256 == sha256
    with chunk.file.open("rb") as stored:
        assert hashlib.sha256(stored.read()).hexdigest() == sha256
    assert chunk.filename == file.name
    assert line.sent < file.stat().st_size + lost
    assert page.evaluate("Object.keys(localStorage)") == []


def test_an_upload_arrives_whole_with_its_options_and_leads_to_its_transcript(open_page, line, noise):
    file = noise()
    page = open_page("/upload/")
    page.fill("#id_prompt", "Okafor, Łódź")
    page.select_option("#id_priority", "high")
    page.select_option("#id_fallback_engine_model", "local/base")
    start(page, file)
    assert_stored(page, line, file, lost=MB // 2)
    job = TranscriptionJob.objects.get()
    assert (job.options.prompt, job.priority) == ("Okafor, Łódź", "high")
    assert (job.engine, job.model) == ("fake", "fake")
    assert (job.options.fallback_engine, job.options.fallback_model) == ("local", "base")
    assert (job.session.title, job.session.source) == ("noise", "upload")


def test_the_page_says_how_fast_it_goes_and_how_long_it_takes(open_page, line, noise):
    page = slow_upload(open_page, line, noise())
    expect(note(page)).to_contain_text("MB/s")
    percent, speed, left = note(page).inner_text().split(", ")
    assert 33 <= int(percent.removesuffix(" %")) < 100
    assert 3 < float(speed.removesuffix(" MB/s")) < 13
    assert 1 <= int(left.removesuffix(" s left")) < 12


def test_a_line_that_is_cut_costs_nothing_but_time(open_anyhow, line, noise):
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    line.cut()
    expect(note(page)).to_contain_text("The server cannot be reached. Trying again in")
    expect(page.locator("#upload-status")).to_contain_text("It is tried again by itself.")
    line.mend()
    reach(page, 66)
    line.cut()
    expect(note(page)).to_contain_text("Trying again in")
    line.mend()
    press(page, "Try now")
    assert_stored(page, line, file, lost=2 * LOST)


def test_the_upload_goes_on_as_soon_as_the_browser_is_online_again(open_anyhow, line, noise):
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    page.context.set_offline(True)
    line.cut()
    # After some tries it waits so long that it cannot be the next one.
    expect(note(page)).to_contain_text(re.compile(r"again in [6-8] s"), timeout=30_000)
    line.mend()
    page.context.set_offline(False)
    expect(page.locator(".file-sending")).to_be_visible(timeout=2000)
    assert_stored(page, line, file)


def test_a_computer_that_slept_goes_on_where_it_was(open_anyhow, line, noise, site, client, alice):
    file = noise()
    page = open_anyhow("about:blank")
    page.clock.install()
    page.goto("/upload/")
    line.bytes_per_s = SLOW
    start(page, file)
    reach(page, 33)
    # The connection is there and nothing comes of it, as after a night in a bag.
    line.stands = True
    page.clock.fast_forward("08:00:00")
    # The waiting for the next try is on the page's clock, too.
    expect(note(page)).to_contain_text("The connection stands still.")
    line.cut()
    line.stands = False
    line.mend()
    page.clock.run_for(2000)
    page.clock.resume()
    assert_stored(page, line, file)


def test_a_server_that_is_killed_and_comes_back_gets_only_the_rest(open_anyhow, web, line, noise):
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    web.kill()
    expect(note(page)).to_contain_text("Trying again in")
    web.start()
    assert_stored(page, line, file)


def test_a_reloaded_page_asks_for_the_same_file_and_sends_the_rest(open_anyhow, line, noise):
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    assert asked == ["beforeunload"]
    unfinished = page.get_by_role("region", name="Unfinished uploads")
    expect(unfinished).to_contain_text("noise.wav")
    expect(unfinished.locator(".file-note")).to_contain_text("% is on the server and kept until")

    again = unfinished.get_by_label("Choose noise.wav again")
    again.set_input_files(noise(1, "other.wav"))
    expect(unfinished.locator(".file-note")).to_contain_text("other.wav is another file.")
    before = line.sent
    again.set_input_files(file)
    expect(unfinished).to_be_hidden()
    assert_stored(page, line, file)
    assert line.sent - before < 0.75 * file.stat().st_size


def test_a_file_that_is_chosen_in_the_usual_way_goes_on_too(open_anyhow, line, noise):
    file = noise()
    page = opened_anew(slow_upload(open_anyhow, line, file))
    expect(page.get_by_role("region", name="Unfinished uploads")).to_be_visible()
    page.set_input_files("#id_file", file)
    expect(note(page)).to_contain_text("A part of it is on the server already.")
    expect(page.get_by_role("region", name="Unfinished uploads")).to_be_hidden()
    press(page, "Upload and transcribe")
    assert_stored(page, line, file)


def test_what_another_tab_sends_is_not_offered_and_the_same_file_is_an_upload_of_its_own(
    open_anyhow, line, noise
):
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    press(page, "Pause")
    other = page.context.new_page()
    other.goto("/upload/")
    expect(other.get_by_role("heading", name="Upload", exact=True)).to_be_visible()
    other.set_input_files("#id_file", file)
    expect(other.locator(".file")).to_have_class("file file-chosen")
    expect(other.get_by_role("region", name="Unfinished uploads")).to_be_hidden()
    line.bytes_per_s = 0
    press(other, "Upload and transcribe")
    other.wait_for_url("**/jobs/*/")
    press(page, "Go on")
    page.wait_for_url("**/jobs/*/")
    assert page.url != other.url
    assert len(set(AudioChunk.objects.values_list("sha256", flat=True))) == 1


def test_an_unfinished_upload_can_be_discarded(open_anyhow, line, noise, django_user_model):
    page = opened_anew(slow_upload(open_anyhow, line, noise()))
    assert ResumableUpload.objects.count() == 1
    press(page, "Discard noise.wav")
    expect(page.get_by_role("region", name="Unfinished uploads")).to_be_hidden()
    assert not ResumableUpload.objects.exists()
    page.reload()
    expect(page.get_by_role("region", name="Unfinished uploads")).to_be_hidden()
    assert page.evaluate("Object.keys(localStorage)") == []


def test_cancel_takes_it_off_the_server_and_trying_again_begins_anew(open_anyhow, line, noise):
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    press(page, "Cancel noise.wav")
    expect(note(page)).to_have_text("Cancelled. Nothing was stored.")
    assert not ResumableUpload.objects.exists()
    folders = [Path(django_settings.MEDIA_ROOT), Path(django_settings.FILE_UPLOAD_TEMP_DIR)]
    assert [path for folder in folders for path in folder.rglob("*") if path.is_file()] == []
    press(page, "Try again")
    assert_stored(page, line, file, lost=file.stat().st_size)


def test_a_paused_upload_stands_still_and_goes_on_by_the_keyboard(open_page, line, noise):
    file = noise()
    page = slow_upload(open_page, line, file)
    page.get_by_role("button", name="Pause noise.wav").focus()
    page.keyboard.press("Enter")
    expect(note(page)).to_contain_text("Paused at")
    go_on = page.get_by_role("button", name="Go on noise.wav")
    expect(go_on).to_be_focused()
    at = line.sent
    page.wait_for_timeout(1000)
    assert line.sent - at < LOST
    page.keyboard.press("Enter")
    assert_stored(page, line, file)


def test_who_is_logged_out_in_the_middle_logs_in_elsewhere_and_it_goes_on(open_anyhow, line, noise, bob):
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    press(page, "Pause")
    Session.objects.all().delete()
    press(page, "Go on")
    expect(note(page)).to_contain_text("You are logged out. Log in as alice in another tab")

    log_in(page, "bob", "bobs password")
    page.bring_to_front()
    expect(note(page)).to_contain_text("Someone else is logged in. Log in as alice in another tab")
    assert ResumableUpload.objects.get().owner.get_username() == "alice"
    page.context.clear_cookies()
    log_in(page, "alice", "alices password")
    assert_stored(page, line, file)


def log_in(page: Page, name: str, password: str) -> None:
    """In another tab of the same browser."""
    other = page.context.new_page()
    other.goto("/upload/")
    other.fill("#id_username", name)
    other.fill("#id_password", password)
    other.click("main button")
    expect(other.get_by_role("heading", name="Upload", exact=True)).to_be_visible()
    expect(other.get_by_role("region", name="Unfinished uploads")).to_be_hidden()
    other.close()


def test_an_upload_that_the_server_has_forgotten_begins_anew_by_itself(open_anyhow, line, noise):
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    press(page, "Pause")
    expect(note(page)).to_contain_text("Paused")
    wait_for(lambda: ResumableUpload.objects.all().delete()[0], within_s=10, what="it is forgotten")
    press(page, "Go on")
    assert_stored(page, line, file, lost=file.stat().st_size)


def test_a_server_that_is_busy_when_it_is_asked_for_the_offset_is_asked_again(open_anyhow, line, noise):
    """tus-js-client alone would send everything anew after such an answer."""
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    press(page, "Pause")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method) if "/tus/" in request.url else None)
    # The first two; a PATCH that the test passes on would take long.
    busy = {"status": 502, "body": "<h1>Bad gateway</h1>"}
    page.route("**/api/uploads/tus/**", lambda route: route.fulfill(**busy), times=2)
    press(page, "Go on")
    expect(note(page)).to_contain_text("The server answered with status 502. Trying again in")
    assert_stored(page, line, file)
    assert asked == ["HEAD", "HEAD", "HEAD", "PATCH"]


@pytest.mark.parametrize(("status", "code"), [(507, "storage_full"), (422, "too_many_unfinished")])
def test_what_a_person_must_clear_away_first_is_said_and_tried_again_by_hand(
    open_anyhow, line, noise, status, code
):
    file = noise(1)
    page = open_anyhow("/upload/")
    why = {"detail": "There is no room. Delete something.", "code": code}
    page.route("**/api/uploads/tus/", lambda route: route.fulfill(status=status, json=why), times=1)
    start(page, file)
    expect(page.locator(".file-failed .file-note")).to_have_text("There is no room. Delete something.")
    press(page, "Try again")
    assert_stored(page, line, file)


def test_options_that_the_server_refuses_are_refused_before_anything_is_sent(open_anyhow, line, noise):
    page = open_anyhow("/upload/")
    page.evaluate("document.querySelector('#id_priority').add(new Option('', 'urgent', true, true))")
    start(page, noise())
    expect(page.locator(".file-refused .file-note")).to_contain_text('"urgent" is not a valid choice.')
    assert line.sent < MB


def test_a_browser_without_storage_and_locks_uploads_too(open_anyhow, line, noise):
    """As over plain http, and where the person has forbidden that pages store anything."""
    file = noise()
    page = open_anyhow("about:blank")
    page.add_init_script(
        """Object.defineProperty(window, "localStorage", {
            get() { throw new DOMException("Forbidden", "SecurityError"); },
        });
        Object.defineProperty(navigator, "locks", { value: undefined });"""
    )
    page.goto("/upload/")
    line.bytes_per_s = SLOW
    start(page, file)
    reach(page, 33)
    line.cut()
    expect(note(page)).to_contain_text("Trying again in")
    line.mend()
    line.bytes_per_s = 0
    page.wait_for_url("**/jobs/*/")
    assert AudioChunk.objects.get().sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert line.sent < file.stat().st_size + LOST


def test_a_file_that_changes_on_the_disk_is_not_sent_again_and_again(open_anyhow, line, noise):
    file = noise()
    page = slow_upload(open_anyhow, line, file)
    file.write_bytes(b"something else")
    line.cut()
    line.mend()
    expect(page.locator(".file-refused .file-note")).to_have_text(
        "The file has changed on your disk, or is gone. Choose it again."
    )


def test_two_files_are_sent_at_once_and_one_that_is_refused_stops_no_other(
    open_anyhow, line, noise, tmp_path
):
    text = tmp_path / "notes.mp3"
    text.write_bytes(b"only text " * 1000)
    files = [noise(20, "one.wav"), text, noise(21, "two.wav"), noise(1, "three.wav")]
    page = open_anyhow("/upload/")
    line.bytes_per_s = SLOW
    start(page, *files)
    expect(page.locator(".file-sending")).to_have_count(2)
    expect(page.locator(".file-queued .file-note").last).to_have_text("Waiting for its turn")
    refused = page.locator(".file-refused")
    expect(refused).to_contain_text("notes.mp3")
    line.bytes_per_s = 0
    expect(page.locator(".file-done")).to_have_count(3)
    expect(page.locator("#upload-status")).to_have_text("3 of 4 files are uploaded.")
    assert sorted(TranscriptionJob.objects.values_list("session__title", flat=True)) == [
        "one",
        "three",
        "two",
    ]
    page.get_by_role("link", name="two.wav").click()
    page.wait_for_url("**/jobs/*/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", pages.SIZES)
def test_the_page_fits_its_window_while_files_are_on_their_way(open_anyhow, line, noise, size, scheme):
    width = pages.SIZES[size]["width"]
    window = {"viewport": pages.SIZES[size], "color_scheme": scheme}
    file = noise(name="A_file_name_without_spaces_" * 4 + ".wav")
    page = slow_upload(open_anyhow, line, file, **window)
    for state, act in (
        ("sending", lambda: None),
        ("waiting", line.cut),
        ("paused", lambda: (line.mend(), press(page, "Try now"), press(page, "Pause"))),
    ):
        act()
        expect(page.locator("#files .file")).to_have_class(f"file file-{state}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, state
        picture(page, f"{size}-{scheme}-{state}")
    page.reload()
    expect(page.locator("#unfinished .file-note")).to_contain_text("% is on the server")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture(page, f"{size}-{scheme}-unfinished")


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
