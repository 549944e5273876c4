"""The pages in a real browser, served by the real ASGI application."""

from __future__ import annotations

import io
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import uvicorn
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from jobs_app.models import TranscriptionJob
from jobs_app.work import unit
from people_app.models import ApiToken
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE
from tests.acceptance.conftest import wait_for
from tests.samples import completed_job, make_job
from tests.sessions.options.more import add_the_option
from tests.sessions.pages.test_speakers import job as told  # noqa: F401

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    # WhiteNoise's, of static files.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
SIZES = {"phone": {"width": 360, "height": 740}, "desk": {"width": 1440, "height": 900}}


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator[Browser]:
    # Playwright runs an event loop in this thread, and Django would refuse to ask the database beside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def site(transactional_db, settings, tmp_path, monkeypatch) -> Iterator[str]:
    """The address of the site, with an engine that reads numbers from tones. Nothing works on jobs."""
    settings.MEDIA_ROOT, settings.WORK_DIR = tmp_path / "media", tmp_path / "work"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "tmp"
    for folder in (settings.MEDIA_ROOT, settings.WORK_DIR, settings.FILE_UPLOAD_TEMP_DIR):
        folder.mkdir()
    settings.MIN_FREE_DISK_BYTES = 0
    settings.DEFAULT_ENGINE = "fake"
    # static/ as it is, through the same middleware as in production.
    settings.WHITENOISE_USE_FINDERS = True
    monkeypatch.setattr("jobs_app.leases.queue.wake", lambda n=1: None)
    from transcribe_site.server import make_application

    server = uvicorn.Server(
        uvicorn.Config(
            make_application(), port=0, lifespan="off", log_level="warning", timeout_graceful_shutdown=3
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


class Watched:
    """A page, and everything that its console complained about."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.page = context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@pytest.fixture
def open_page(browser, site, alice, client):
    """Open a page as Alice, in a window of any kind; it must not complain until the test ends."""
    watched: list[Watched] = []
    contexts: list[BrowserContext] = []

    def open_one(url: str = "/", *, logged_in: bool = True, **window) -> Page:
        context = browser.new_context(base_url=site, **window)
        contexts.append(context)
        if logged_in:
            client.force_login(alice)
            context.add_cookies(
                [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}]
            )
        one = Watched(context)
        watched.append(one)
        one.page.set_default_timeout(15_000)
        one.page.goto(url)
        return one.page

    yield open_one
    for context in contexts:
        context.close()
    assert [complaint for one in watched for complaint in one.complaints] == []


@pytest.fixture
def open_page_that_may_complain(open_page, monkeypatch):
    """For answers that a browser writes into its console by itself."""
    monkeypatch.setattr(Watched, "_note", lambda self, message: None)
    return open_page


def wait_until(page: Page, expression: str) -> None:
    """Playwright's own wait_for_function evaluates text in the page, which its policy forbids."""
    wait_for(lambda: page.evaluate(expression), within_s=15, what=expression)


def numbered(seconds: int) -> bytes:
    wav = io.BytesIO()
    soundfile.write(wav, make_numbered_audio(0, seconds), SAMPLE_RATE, format="WAV")
    return wav.getvalue()


def drop(page: Page, *files: tuple[str, bytes]) -> None:
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
            return transfer;
        }""",
        [[name, list(content)] for name, content in files],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": transfer})


def choose(page: Page, name: str, content: bytes) -> None:
    page.set_input_files("#id_file", {"name": name, "mimeType": "audio/wav", "buffer": content})


# --- From the login to the transcript ------------------------------------------------------------


def test_a_dropped_file_becomes_a_transcript_on_a_page_that_moves_by_itself(open_page):
    page = open_page("/upload/", logged_in=False)
    page.fill("#id_username", "alice")
    page.fill("#id_password", "alices password")
    page.click("main button")
    expect(page.get_by_role("heading", name="Upload", exact=True)).to_be_visible()
    page.select_option("#id_engine_model", "fake/fake")
    drop(page, ("numbers.wav", numbered(8)))
    expect(page.locator(".file-name")).to_have_text("numbers.wav")
    page.get_by_role("button", name="Upload and transcribe").click()

    page.wait_for_url("**/jobs/*/")
    expect(page.get_by_role("heading", name="Waiting for a worker")).to_be_visible()
    assert unit.do_next()
    expect(page.get_by_role("heading", name="Transcribing")).to_be_visible()
    while unit.do_next():
        continue
    expect(page.get_by_role("heading", name="Transcript", exact=True)).to_be_visible()
    expect(page.locator("#transcript")).to_contain_text("w0000 w0001 w0002")


def test_each_of_several_files_has_its_own_fate(open_page_that_may_complain):
    page = open_page_that_may_complain("/upload/")
    page.select_option("#id_engine_model", "fake/fake")
    page.fill("#id_prompt", "Okafor")
    drop(page, ("good.wav", numbered(2)), ("notes.mp3", b"only text"))
    choose(page, "more.wav", numbered(1))
    page.get_by_role("button", name="Upload and transcribe 3 files").click()

    expect(page.locator(".file-done")).to_have_count(2)
    refused = page.locator(".file-refused")
    expect(refused).to_contain_text("notes.mp3")
    expect(refused.locator(".file-note")).to_contain_text("This")
    expect(refused.get_by_role("button", name="Try again")).to_be_hidden()
    expect(page.get_by_role("link", name="Go to your transcripts")).to_be_visible()
    assert {(job.session.title, job.options.prompt) for job in TranscriptionJob.objects.all()} == {
        ("good", "Okafor"),
        ("more", "Okafor"),
    }
    page.get_by_role("link", name="good.wav").click()
    page.wait_for_url("**/jobs/*/")


def test_a_tick_that_is_taken_away_says_no(open_page, monkeypatch):
    add_the_option(monkeypatch)
    page = open_page("/upload/")
    page.uncheck("#id_punctuate")
    choose(page, "talk.wav", numbered(1))
    page.get_by_role("button", name="Upload and transcribe").click()
    page.wait_for_url("**/jobs/*/")
    assert TranscriptionJob.objects.get().options.punctuate is False


def test_a_file_over_the_limit_is_not_even_sent(open_page, settings):
    settings.MAX_UPLOAD_BYTES = 20_000
    page = open_page("/upload/")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    drop(page, ("large.wav", numbered(2)))
    expect(page.locator(".file-refused")).to_contain_text("larger than 19.5 KB")
    assert "POST" not in sent


def test_an_upload_shows_how_far_it_is_and_can_be_cancelled_and_repeated(open_page_that_may_complain):
    page = open_page_that_may_complain("/upload/")
    page.select_option("#id_engine_model", "fake/fake")
    # A slow line, so that there is something to see.
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    choose(page, "numbers.wav", numbered(60))
    page.get_by_role("button", name="Upload and transcribe").click()
    wait_until(page, "document.querySelector('.file-sending progress')?.value > 5")
    page.get_by_role("button", name="Cancel numbers.wav").click()
    expect(page.locator(".file-note")).to_have_text("Cancelled. Nothing was stored.")
    assert not TranscriptionJob.objects.exists()

    network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url("**/jobs/*/")
    assert TranscriptionJob.objects.count() == 1


def test_the_list_moves_by_itself(open_page, alice):
    job = make_job(alice, status="processing", stage="transcribing", progress=12)
    page = open_page("/")
    expect(page.locator(".badge")).to_contain_text("12 %")
    TranscriptionJob.objects.filter(pk=job.pk).update(progress=57)
    expect(page.locator(".badge")).to_contain_text("57 %")
    expect(page.locator("progress")).to_have_attribute("value", "57")


# --- The transcript ------------------------------------------------------------------------------


@pytest.fixture
def transcript(alice, site):
    """Sentences of three seconds each, with audio of that length."""
    sentences = tuple(f"Sentence number {n} goes here." for n in range(6))
    return completed_job(alice, sentences=sentences, audio=numbered(18))


def position(page: Page) -> float:
    return page.evaluate("document.querySelector('audio').currentTime")


def test_a_time_and_a_word_lead_to_their_place_in_the_audio(open_page, transcript):
    page = open_page(reverse("job", args=[transcript.pk]))
    page.locator("[data-start='9000']").hover()
    page.locator("[data-start='9000'] [data-at]", has_text="goes").click()
    # The fourth word of five, at 9 s + 3 x 560 ms.
    wait_until(page, "document.querySelector('audio').currentTime >= 10.68")
    assert position(page) < 13
    expect(page.locator(".current")).to_have_count(1)
    expect(page.locator(".current-word")).to_have_count(1)
    page.locator(".time").first.click()
    wait_until(page, "document.querySelector('audio').currentTime < 3")
    expect(page.locator(".current")).to_contain_text("Sentence number 0")


def test_the_player_answers_to_the_keyboard_but_not_in_fields(open_page, transcript):
    page = open_page(reverse("job", args=[transcript.pk]))
    paused = "document.querySelector('audio').paused"
    wait_until(page, "document.querySelector('audio').readyState >= 1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    wait_until(page, "document.querySelector('audio').currentTime == 10")
    page.keyboard.press("ArrowLeft")
    wait_until(page, "document.querySelector('audio').currentTime == 5")
    page.keyboard.press("Space")
    wait_until(page, f"!{paused}")
    page.keyboard.press("Space")
    wait_until(page, paused)
    page.get_by_text("Rename").click()
    page.locator("#id_title").press("Space")
    assert page.evaluate(paused)
    page.select_option("#speed", "1.5")
    assert page.evaluate("document.querySelector('audio').playbackRate") == 1.5


def test_a_speaker_is_named_with_the_keyboard_on_a_narrow_page(open_page, told):  # noqa: F811
    page = open_page(reverse("job", args=[told.pk]), viewport={"width": 320, "height": 700})
    page.locator("#speaker-S1 summary").focus()
    name = page.locator("#name-S1")
    for last in ("Escape", "Enter"):
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(name).to_be_focused()
        page.keyboard.press("Control+a")
        page.keyboard.type("Zoe")
        page.keyboard.press(last)
        if last == "Escape":
            expect(name).to_be_hidden()
            expect(page.locator("#speaker-S1 summary")).to_be_focused()
            expect(name).to_have_value("Anna")
    # It is said, and the keyboard goes on where it was.
    expect(page.get_by_role("status").filter(has_text="The name is saved.")).to_be_visible()
    expect(page.locator("#speaker-S1 summary")).to_contain_text("Zoe")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#speakers') !== null")
    page.evaluate("for (const one of document.querySelectorAll('#speakers details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.get_by_role("radio", name="Exactly").bounding_box()["width"] < 30


def test_the_text_is_copied_without_times(open_page, transcript, site):
    page = open_page(reverse("job", args=[transcript.pk]), permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy text").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Sentence number 0 goes here. Sentence number 1")
    assert "0:00" not in copied


def test_downloads_have_the_name_of_the_recording(open_page, transcript):
    page = open_page(reverse("job", args=[transcript.pk]))
    with page.expect_download() as download:
        page.get_by_role("link", name="SRT").click()
    assert download.value.suggested_filename == "A talk.srt"
    assert "00:00:06,000 -->" in Path(download.value.path()).read_text()


def test_a_transcript_of_four_hours_is_there_at_once_and_answers(open_page, alice, site):
    sentence = "This is what somebody says in a sentence of eleven words."
    job = completed_job(alice, sentences=(sentence,) * 4800, audio=numbered(5))
    page = open_page(reverse("job", args=[job.pk]))
    expect(page.get_by_text("Transcript", exact=True)).to_be_visible()
    assert page.locator(".transcript [data-at]").count() == 0
    # Paragraphs get their real height when they come near, so one scroll may fall short.
    page.wait_for_function(
        """() => {
            const last = [...document.querySelectorAll(".time")].at(-1);
            const { top } = last.getBoundingClientRect();
            if (top >= 0 && top < innerHeight) return true;
            last.scrollIntoView();
            return false;
        }"""
    )


# --- The rest ------------------------------------------------------------------------------------


def test_the_example_on_the_token_page_works_as_it_stands(open_page, tmp_path):
    page = open_page("/account/")
    page.get_by_role("link", name="Make a token").click()
    page.get_by_label("Name").fill("A script")
    page.get_by_role("button", name="Make the token").click()
    key = page.locator("#token").inner_text()
    example = page.locator("#curl-upload").inner_text()
    (tmp_path / "recording.mp3").write_bytes(numbered(2))
    done = subprocess.run(
        ["sh", "-c", f"{example} -sS"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "TOKEN": key},
    )
    job = TranscriptionJob.objects.get()
    assert f'"id":"{job.pk}"' in done.stdout, done.stderr
    assert key not in example
    assert ApiToken.objects.with_key(key).name == "A script"


def test_times_are_those_of_the_browsers_zone(open_page, alice):
    job = completed_job(alice)
    TranscriptionJob.objects.filter(pk=job.pk).update(created_at="2026-01-05T23:30:00Z")
    page = open_page("/upload/", timezone_id="Asia/Tokyo")
    page.get_by_role("link", name="Transcripts").click()
    expect(page.locator("time")).to_have_text("6 Jan 2026, 08:30")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_its_window_in_light_and_dark(open_page, alice, transcript, size, scheme):
    long = "A_file_name_without_spaces_" * 5
    jobs = [
        transcript,
        make_job(alice, title=long, status="failed", error=f"It broke at {long}.", filename=f"{long}.wav"),
        make_job(alice, title=long, status="processing", stage="transcribing", progress=43),
        make_job(alice, status="cancelled"),
        completed_job(alice, sentences=()),
    ]
    urls = [
        "/",
        "/upload/",
        "/account/",
        "/account/tokens/new/",
        "/account/password/",
        *(f"/jobs/{job.pk}/" for job in jobs),
    ]
    page = open_page("/", viewport=SIZES[size], color_scheme=scheme)
    for url in urls:
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"], url
        red, green, blue = page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
        )
        assert (red + green + blue > 600) == (scheme == "light"), url


@pytest.mark.parametrize(("device", "chosen"), [("light", "dark"), ("dark", "light")])
def test_the_theme_of_the_account_comes_before_that_of_the_device(open_page, device, chosen):
    page = open_page("/account/", color_scheme=device)
    page.get_by_label("Theme").select_option(chosen)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("html")).to_have_css("color-scheme", chosen)
    ground = {"light": "rgb(245, 247, 248)", "dark": "rgb(14, 21, 24)"}[chosen]
    expect(page.locator("body")).to_have_css("background-color", ground)


def test_the_first_tab_leads_past_the_navigation(open_page):
    page = open_page("/upload/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_browser_without_javascript_can_upload_too(open_page):
    page = open_page("/upload/", java_script_enabled=False)
    expect(page.locator("#drop label")).to_be_hidden()
    page.select_option("#id_engine_model", "fake/fake")
    choose(page, "talk.wav", numbered(1))
    page.get_by_role("button", name="Upload and transcribe").click()
    page.wait_for_url("**/jobs/*/")
    expect(page.get_by_role("heading", name="talk")).to_be_visible()
