"""The recorder page in a real browser, with a microphone that hears a file."""

from __future__ import annotations

import io
import json
import os
import subprocess
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import psutil
import pytest
import soundfile
from django.utils import timezone
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Playwright,
    Route,
    expect,
    sync_playwright,
)

from jobs_app import work
from sessions_app.models import AudioChunk, RecordingSession
from speech.types import SAMPLE_RATE
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.conftest import kill, wait_for
from tests.speech.wer import wer

pytestmark = pages.pytestmark

CHUNK_S = 5
# Longer than two windows of the engine.
SPEECH = ("en_two_cities_44s.m4a", "en_video_austen_28s.mp4")
site = pages.site


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as one:
        yield one
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


def microphone_flags(sound: Path | str) -> list[str]:
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
    ]


@pytest.fixture(scope="session")
def tone(tmp_path_factory) -> Path:
    """What the microphone hears where it does not matter: a tone, again and again."""
    path = tmp_path_factory.mktemp("microphone") / "tone.wav"
    time_s = np.arange(10 * 48_000) / 48_000
    soundfile.write(path, 0.25 * np.sin(2 * np.pi * 440 * time_s), 48_000)
    return path


@pytest.fixture(scope="module")
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
    settings.RECORDER_CHUNK_S = CHUNK_S
    broken: list[str] = []
    context = browser.new_context(base_url=site, permissions=["microphone"])
    context.set_default_timeout(15_000)
    context.on("weberror", lambda error: broken.append(str(error.error)))
    log_in(context, alice)
    yield context
    context.close()
    assert broken == []


@pytest.fixture
def page(context) -> Page:
    return open_recorder(context)


def open_recorder(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/record/")
    return page


# --- The resampler -------------------------------------------------------------------------------

RESAMPLE = """async ({rate, hz, samples, block}) => {
    const { Resampler } = await import("/static/recorder/resample.js");
    const resampler = new Resampler(rate, 16000);
    const output = [];
    for (let at = 0; at < samples; at += block) {
        const length = Math.min(block, samples - at);
        const input = Float32Array.from({ length }, (_, n) => Math.sin((2 * Math.PI * hz * (at + n)) / rate));
        for (const sample of resampler.process(input)) output.push(sample);
    }
    for (const sample of resampler.flush()) output.push(sample);
    return output;
}"""


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("block", [128, 441])
def test_blocks_of_another_rate_become_the_same_sine_at_16_khz(page, rate, block):
    samples = 2 * rate + 77
    out = np.array(page.evaluate(RESAMPLE, {"rate": rate, "hz": 997, "samples": samples, "block": block}))
    assert len(out) == -(-samples * SAMPLE_RATE // rate)
    expected = np.sin(2 * np.pi * 997 * np.arange(len(out)) / SAMPLE_RATE)
    # Before the beginning and after the end there is silence, which the filter hears too.
    inner = slice(200, -200)
    assert np.abs(out - expected)[inner].max() < 2e-4


@pytest.mark.parametrize(("hz", "gain"), [(100, 1), (6_000, 1), (8_500, 0), (12_000, 0), (20_000, 0)])
def test_what_16_khz_cannot_hold_is_left_out_instead_of_folded_back(page, hz, gain):
    given = {"rate": 48_000, "hz": hz, "samples": 48_000, "block": 128}
    out = np.array(page.evaluate(RESAMPLE, given))[200:-200]
    assert np.abs(out).max() == pytest.approx(gain, abs=2e-3)


# --- From samples to pieces ----------------------------------------------------------------------

# A context that computes faster than time goes by runs the same worklet on a known signal.
RECORD_OFFLINE = """async ({rate, samples, chunkSamples, hz}) => {
    const { captureNode } = await import("/static/recorder/capture.js");
    const { Recording } = await import("/static/recorder/recording.js");
    const { openStore } = await import("/static/recorder/store.js");
    const store = await openStore();
    const recording = Recording.begin(store, { user: "nobody", title: "", options: {}, chunkSamples });
    await recording.save();
    const context = new OfflineAudioContext(1, samples, rate);
    const buffer = context.createBuffer(1, samples, rate);
    const channel = buffer.getChannelData(0);
    const sine = (n) => 0.5 * Math.sin((2 * Math.PI * hz * n) / rate);
    const ramp = (n) => ((n % 32749) - 16000) / 32768;
    for (let n = 0; n < samples; n++) channel[n] = hz ? sine(n) : ramp(n);
    const source = new AudioBufferSourceNode(context, { buffer });
    const node = await captureNode(context);
    source.connect(node).connect(context.destination);
    let counted = 0;
    let held;
    const done = new Promise((resolve) => (held = resolve));
    node.port.onmessage = ({ data }) => {
        counted = data.counted;
        if (data.samples) recording.add(data.samples);
        if (data.held) held();
    };
    node.port.postMessage("run");
    await new Promise((resolve) => setTimeout(resolve, 100));
    source.start();
    await context.startRendering();
    node.port.postMessage("hold");
    await done;
    await recording.finish();
    const lengths = [];
    const all = [];
    for (const number of [...recording.waiting]) {
        const piece = await store.chunk(recording.row.id, number);
        lengths.push(piece.samples);
        all.push(Array.from(new Int16Array(piece.wav, 44)));
    }
    const tails = (await store.kept(recording.row.id)).tails.length;
    const wav = Array.from(new Uint8Array((await store.chunk(recording.row.id, 0)).wav));
    await recording.forget();
    return { counted, lengths, samples: all.flat(), tails, wav };
}"""


def record_offline(page: Page, **given: Any) -> dict[str, Any]:
    return page.evaluate(RECORD_OFFLINE, {"chunkSamples": CHUNK_S * SAMPLE_RATE, "hz": 0, **given})


def test_no_sample_is_lost_or_doubled_at_the_borders_of_pieces(page):
    samples = 23 * SAMPLE_RATE + 1234
    done = record_offline(page, rate=SAMPLE_RATE, samples=samples)
    full = CHUNK_S * SAMPLE_RATE
    # The context computes in blocks of 128, and what is behind the end of the file is silence.
    assert samples <= done["counted"] < samples + 128
    assert sum(done["lengths"]) == done["counted"]
    assert done["lengths"][:-1] == [full] * 4
    assert 0 < done["lengths"][-1] < full
    expected = np.arange(samples) % 32749 - 16000
    np.testing.assert_array_equal(done["samples"][:samples], expected)
    assert done["tails"] == 0


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_microphone_of_another_rate_gives_one_unbroken_tone(page, rate):
    samples = 12 * rate
    done = record_offline(page, rate=rate, samples=samples, hz=440)
    assert sum(done["lengths"]) == done["counted"] == len(done["samples"])
    assert 12 * SAMPLE_RATE <= done["counted"] <= 12 * SAMPLE_RATE + 128
    n = np.arange(200, 12 * SAMPLE_RATE - 200)
    expected = 16384 * np.sin(2 * np.pi * 440 * n / SAMPLE_RATE)
    assert np.abs(np.array(done["samples"])[n] - expected).max() < 6


def test_a_piece_is_a_wav_that_can_be_read_by_itself(page):
    done = record_offline(page, rate=SAMPLE_RATE, samples=6 * SAMPLE_RATE)
    with wave.open(io.BytesIO(bytes(done["wav"]))) as piece:
        assert (piece.getframerate(), piece.getnchannels(), piece.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        assert piece.getnframes() == CHUNK_S * SAMPLE_RATE


# --- Recording -----------------------------------------------------------------------------------


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
    assert session.newest_job.language == "en"
    assert page.url.endswith(f"/jobs/{session.newest_job.pk}/")
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


def test_stopping_before_anything_was_heard_leaves_nothing_behind(page):
    page.evaluate("AudioNode.prototype.connect = (to) => to")
    press(page, "Record")
    wait_for_page(page, RecordingSession.objects.exists, what="the session")
    press(page, "Stop")
    expect(problems(page)).to_contain_text("Nothing was recorded")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_focused()
    assert not RecordingSession.objects.exists()


def test_the_keyboard_records_pauses_and_stops(page):
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
    settings.RECORDER_CHUNK_S = 10
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
        work.run_one()
        page.wait_for_timeout(300)
        length = len(page.locator("#text").inner_text().split())
        if length > (grown[-1] if grown else 0):
            grown.append(length)
    press(page, "Stop")
    page.wait_for_url("**/jobs/*/")
    while work.run_one():
        continue
    expect(page.get_by_role("heading", name="Transcript", exact=True)).to_be_visible()
    shown = " ".join(page.locator("#transcript [data-copy-part]").all_inner_texts())
    browser.close()
    # It grew while it was recorded, and a window at most was not yet there.
    assert len(grown) >= 2
    assert wer(spoken, shown) < 0.05, shown


# --- Bad days ------------------------------------------------------------------------------------


def test_a_network_that_was_away_for_two_minutes_costs_nothing(context, page):
    record(page, seconds=1)
    context.set_offline(True)
    until_recorded(page, 122)
    expect(problems(page)).to_contain_text("The server cannot be reached")
    expect(page.locator("#sent")).to_have_text("24 pieces waiting to be sent")
    context.set_offline(False)
    # At once, not when the next try would be due.
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
    record(page, seconds=33)
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
    assert page.url.endswith(f"/jobs/{second.newest_job.pk}/")


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
    assert session.newest_job.language == "en"
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


# --- The microphone ------------------------------------------------------------------------------


def test_the_microphones_are_named_and_the_last_one_is_remembered(page):
    names = page.locator("#microphone option")
    expect(names.filter(has_text="Fake")).not_to_have_count(0)
    label = names.filter(has_text="Fake").last.inner_text()
    page.select_option("#microphone", label=label)
    page.reload()
    expect(page.locator("#microphone option:checked")).to_have_text(label)
    record(page, seconds=1)
    stop(page)


def test_another_microphone_can_be_taken_while_recording(page):
    record(page, seconds=2)
    page.select_option("#microphone", index=1)
    before = samples_of(page)
    until_recorded(page, before / SAMPLE_RATE + 2)
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_an_unplugged_microphone_keeps_what_was_recorded(page):
    page.evaluate(
        """() => {
            const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wanted) => (window.opened = await open(wanted));
        }"""
    )
    record(page, seconds=2)
    page.evaluate("opened.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
    expect(problems(page)).to_contain_text("The microphone is gone. What was recorded is kept.")
    expect(page.locator("#state")).to_have_text("Paused")
    before = samples_of(page)
    press(page, "Resume")
    until_recorded(page, before / SAMPLE_RATE + 1)
    expect(problems(page)).to_be_empty()
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


KEEP_THE_CONTEXT = """() => {
    const connect = AudioContext.prototype.createMediaStreamSource;
    AudioContext.prototype.createMediaStreamSource = function (stream) {
        window.context = this;
        return connect.call(this, stream);
    };
}"""


def test_sound_that_the_system_takes_away_for_a_moment_comes_back(page):
    page.evaluate(KEEP_THE_CONTEXT)
    record(page, seconds=1)
    page.evaluate("context.suspend()")
    until_recorded(page, 3)
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_sound_that_the_system_takes_away_for_good_is_told_and_the_rest_is_kept(page):
    page.evaluate(KEEP_THE_CONTEXT)
    record(page, seconds=2)
    refuse = "() => { context.resume = async () => { throw new Error('A call has the microphone.'); }; }"
    page.evaluate(refuse)
    page.evaluate("context.suspend()")
    expect(problems(page)).to_contain_text("No sound comes from the microphone.")
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted >= 2 * SAMPLE_RATE


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("NotAllowedError", "Allow it"),
        ("NotFoundError", "Connect one"),
        ("NotReadableError", "Close that program"),
        ("OverconstrainedError", "choose another one"),
    ],
)
def test_a_microphone_that_cannot_be_opened_is_explained(page, name, remedy):
    page.evaluate(
        """name => {
            navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", name); };
        }""",
        name,
    )
    press(page, "Record")
    expect(problems(page)).to_contain_text(remedy)
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_enabled()
    assert not RecordingSession.objects.exists()


def test_a_page_without_https_says_what_is_missing(context):
    page = context.new_page()
    page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'mediaDevices', { get: () => undefined });"
    )
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', { get: () => false });")
    page.goto("/record/")
    expect(problems(page)).to_contain_text("Open this site by https")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_disabled()


def test_a_browser_that_refuses_the_rate_records_at_its_own(page):
    # As Firefox does.
    page.evaluate(
        """() => {
            const connect = AudioContext.prototype.createMediaStreamSource;
            AudioContext.prototype.createMediaStreamSource = function (stream) {
                if (this.sampleRate === 16000) throw new DOMException("rates", "NotSupportedError");
                window.rate = this.sampleRate;
                return connect.call(this, stream);
            };
        }"""
    )
    record(page, seconds=7)
    assert page.evaluate("rate") > 16000
    counted = stop(page)
    session = RecordingSession.objects.get()
    lengths = stored_samples(session)
    assert sum(lengths) == counted
    assert lengths[0] == CHUNK_S * SAMPLE_RATE
    # Every second of it is the tone that the microphone hears.
    sound = np.concatenate([soundfile.read(chunk.file.path)[0] for chunk in session.chunks.all()])
    for second in sound[: len(sound) // SAMPLE_RATE * SAMPLE_RATE].reshape(-1, SAMPLE_RATE):
        assert np.abs(np.fft.rfft(second)).argmax() in (439, 440, 441)


def test_silence_is_told_to_eyes_and_ears(page):
    page.evaluate(
        """() => {
            const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wanted) => {
                const stream = await open(wanted);
                stream.getAudioTracks()[0].enabled = false;
                return stream;
            };
        }"""
    )
    record(page, seconds=2)
    expect(page.locator("#hint")).to_have_text("")
    expect(page.locator("#hint[role=status]")).to_contain_text("Nothing is heard", timeout=15_000)


# --- How it looks --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", pages.SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window_in_every_state(browser, site, alice, log_in, settings, size, scheme):
    settings.RECORDER_CHUNK_S = CHUNK_S
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
