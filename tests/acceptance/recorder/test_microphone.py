"""Microphones: which one, and what is said when there is none."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from sessions_app.models import RecordingSession
from speech.types import SAMPLE_RATE
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.recorder.page import (
    CHUNK_S,
    press,
    problems,
    record,
    samples_of,
    stop,
    stored_samples,
    until_recorded,
)

pytestmark = pages.pytestmark


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


def test_sound_that_never_begins_is_told_and_can_be_stopped(page):
    page.evaluate("() => { AudioContext.prototype.resume = () => new Promise(() => {}); }")
    page.evaluate("AudioNode.prototype.connect = (to) => to")
    press(page, "Record")
    expect(problems(page)).to_contain_text("No sound comes from the microphone.", timeout=10_000)
    press(page, "Stop")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()


def test_a_lost_network_is_not_taken_for_a_microphone_in_use(page):
    page.evaluate(
        """() => {
            AudioWorklet.prototype.addModule = async () => {
                throw new DOMException("Unable to load a worklet's module.", "AbortError");
            };
        }"""
    )
    press(page, "Record")
    expect(problems(page)).to_contain_text("Check the network")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); }", "store"),
        ("IDBFactory.prototype.open = () => ({})", "does not answer"),
        ("Object.defineProperty(window, 'indexedDB', { get: () => { throw Error('no'); } })", "broke (no)"),
        ("MediaDevices.prototype.enumerateDevices = async () => { throw Error('no'); }", "broke (no)"),
    ],
)
def test_a_browser_that_cannot_keep_a_recording_begins_none(context, broken, told):
    page = context.new_page()
    page.add_init_script(broken)
    page.goto("/record/")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_disabled()
    expect(problems(page)).to_contain_text(told, timeout=15_000)


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
