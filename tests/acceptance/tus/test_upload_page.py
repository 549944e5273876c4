"""What people do on the upload page, in a real browser: many files, odd names, folders, second thoughts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from jobs_app.models import TranscriptionJob
from sessions_app.models import AudioChunk, ResumableUpload
from tests.acceptance.conftest import wait_for
from tests.acceptance.tus import test_browser
from tests.acceptance.tus.test_browser import note, press, slow_upload

pytestmark = [pytest.mark.browser, pytest.mark.slow]

browser = test_browser.browser
open_page = test_browser.open_page
open_anyhow = test_browser.open_anyhow
web = test_browser.web
line = test_browser.line
site = test_browser.site
noise = test_browser.noise


def test_nothing_begins_again_what_is_being_cancelled(open_anyhow, line, noise):
    page = slow_upload(open_anyhow, line, noise())
    line.cut()
    expect(note(page)).to_contain_text("Trying again in")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "DELETE":
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/uploads/tus/**", hold)
    line.mend()
    press(page, "Cancel noise.wav")
    wait_for(lambda: page.evaluate("1") and held, within_s=10, what="the server is being told")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(note(page)).to_have_text("Cancelling …")
    press(page, "Cancel noise.wav")
    held.pop().continue_()
    expect(note(page)).to_have_text("Cancelled. Nothing was stored.")
    assert not held
    assert not ResumableUpload.objects.exists()
    expect(page.get_by_role("button", name="Remove noise.wav")).to_be_focused()


def test_thirty_files_of_any_name_are_dropped_and_a_folder_among_them_is_named(
    open_anyhow, line, noise, tmp_path
):
    folder = tmp_path / "dropped"
    folder.mkdir()
    sound = noise(1).read_bytes()
    names = [
        "<img src=x onerror=alert(1)>.wav",
        "Gespräch über Öl 🎤.wav",
        "100% & co; a=b, c.wav",
        "'\".wav",
    ]
    names += [f"{number}.wav" for number in range(len(names), 30)]
    for name in names:
        (folder / name).write_bytes(sound)
    (folder / "album").mkdir()
    page = open_anyhow("/upload/")
    page.select_option("#id_engine_model", "fake/fake")
    box = page.locator("#drop").bounding_box()
    assert box is not None
    dropped = {"items": [], "files": [str(path) for path in folder.iterdir()], "dragOperationsMask": 1}
    at = {"x": box["x"] + 20, "y": box["y"] + 20, "data": dropped}
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, **at})
    expect(page.locator(".file")).to_have_count(31)
    expect(page.locator(".file-refused")).to_contain_text("This is a folder. Choose the files in it.")
    press(page, "Upload and transcribe 30 files")
    expect(page.locator(".file-done")).to_have_count(30, timeout=60_000)
    assert set(AudioChunk.objects.values_list("filename", flat=True)) == set(names)
    assert TranscriptionJob.objects.count() == 30
    assert set(page.locator("a.file-name").all_inner_texts()) == set(names)
