"""The recorder page in Firefox. Its microphone is one of PulseAudio's, in a room with a tone.

Firefox has no sound at all without a sound server, and its own fake microphone would not go through one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, expect

from sessions_app.models import RecordingSession
from speech.types import SAMPLE_RATE
from tests import services
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.conftest import wait_for
from tests.acceptance.recorder import test_bad_days, test_microphone, test_recording, test_samples
from tests.acceptance.recorder.live import test_with_server
from tests.acceptance.recorder.page import (
    open_recorder,
    problems,
    record,
    samples_of,
    stop,
    stored_samples,
    until_recorded,
)
from tests.conftest import need

pytestmark = pages.pytestmark

# The loudspeaker is Firefox's: what it plays is not heard in the room.
ROOM = """
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
load-module module-null-sink sink_name=loudspeaker rate=48000
load-module module-null-sink sink_name=room rate=48000
load-module module-sine sink=room frequency=440
set-default-sink loudspeaker
set-default-source room.monitor
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Iterator[Path]:
    """The socket of a sound server."""
    need("firefox")
    folder = tmp_path_factory.mktemp("room")
    socket, script, log = folder / "socket", folder / "room.pa", folder / "log"
    script.write_text(ROOM.format(socket=socket))
    options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "-F", script]
    place = {**os.environ, "HOME": str(folder), "PULSE_RUNTIME_PATH": str(folder)}
    with log.open("wb") as output:
        server = subprocess.Popen(["pulseaudio", *options], env=place, stdout=output, stderr=output)
    wait_for(socket.exists, within_s=20, what="the sound server")
    yield socket
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def browser(playwright, room) -> Iterator[Browser]:
    browser = playwright.firefox.launch(
        # Firefox as it is, not the one that Playwright builds.
        channel="moz-firefox",
        executable_path=services.FIREFOX,
        firefox_user_prefs={"media.navigator.permission.disabled": True},
        env={**os.environ, "PULSE_SERVER": f"unix:{room}"},
    )
    yield browser
    browser.close()


def test_what_the_microphone_hears_is_stored_in_pieces_without_a_gap(context, settings):
    settings.RECORDER_CUTS_S = (2,)
    page = open_recorder(context)
    record(page, seconds=9)
    counted = stop(page)
    session = RecordingSession.objects.get()
    lengths = stored_samples(session)
    assert sum(lengths) == counted
    assert set(lengths[:-1]) == {2 * SAMPLE_RATE}
    assert len(lengths) >= 5
    sound = np.concatenate(
        [soundfile.read(chunk.file.path)[0] for chunk in session.chunks.order_by("number")]
    )
    seconds = sound[: len(sound) // SAMPLE_RATE * SAMPLE_RATE].reshape(-1, SAMPLE_RATE)
    heard = [int(np.abs(np.fft.rfft(second)).argmax()) for second in seconds]
    # The sound server of a busy machine may miss some of it, which moves the tone a little.
    assert sum(425 <= hz <= 442 for hz in heard) > len(heard) / 2, heard


def test_a_network_that_is_away_for_a_while_costs_nothing(context, page):
    record(page, seconds=1)
    context.set_offline(True)
    until_recorded(page, 11)
    expect(problems(page)).to_contain_text("The server cannot be reached")
    expect(page.locator("#sent")).to_have_text("2 pieces waiting to be sent")
    context.set_offline(False)
    expect(problems(page)).to_be_empty(timeout=5_000)
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_a_microphone_that_is_muted_meanwhile_is_silence_and_told(page):
    page.evaluate(
        """() => {
            const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wanted) => (window.opened = await open(wanted));
        }"""
    )
    record(page, seconds=2)
    page.evaluate("() => { opened.getAudioTracks()[0].enabled = false; }")
    until_recorded(page, samples_of(page) / SAMPLE_RATE + 3)
    expect(page.locator("#hint")).to_contain_text("Nothing is heard", timeout=15_000)
    counted = stop(page)
    assert sum(stored_samples(RecordingSession.objects.get())) == counted


def test_two_windows_record_at_once_without_mixing(context, page):
    other = open_recorder(context)
    page.fill("#title", "One")
    other.fill("#title", "Two")
    # A window that is not in front gets no microphone.
    page.bring_to_front()
    record(page, seconds=2)
    other.bring_to_front()
    record(other, seconds=6)
    until_recorded(page, samples_of(page) / SAMPLE_RATE + 1)
    counted = {"Two": stop(other), "One": stop(page)}
    sessions = RecordingSession.objects.all()
    assert {session.title: sum(stored_samples(session)) for session in sessions} == counted


# The same as in Chromium.
test_a_recording_arrives_whole = test_recording.test_a_recording_arrives_whole_in_pieces_of_the_same_length
test_a_pause_is_cut_out = test_recording.test_a_pause_is_cut_out_and_nothing_before_it_is_lost
test_a_typed_title_is_kept = test_recording.test_a_title_that_is_being_typed_at_the_stop_is_kept
test_nothing_heard_leaves_nothing = (
    test_recording.test_stopping_before_anything_was_heard_leaves_nothing_behind
)
test_the_keyboard_is_enough = test_recording.test_the_keyboard_records_pauses_and_stops
test_the_focus_follows_the_buttons = test_recording.test_the_focus_follows_the_buttons
test_a_closed_tab_loses_nothing = test_bad_days.test_a_closed_tab_loses_nothing_that_was_heard
test_a_new_login_goes_on = test_bad_days.test_after_a_new_login_the_recording_goes_on_by_itself
test_a_deleted_one_is_not_lost = test_bad_days.test_what_comes_after_the_recording_was_deleted_is_not_lost
test_another_microphone_can_be_taken = test_microphone.test_another_microphone_can_be_taken_while_recording
test_no_sample_is_lost_at_borders = test_samples.test_no_sample_is_lost_or_doubled_at_the_borders_of_pieces
test_another_rate_gives_one_tone = test_samples.test_a_microphone_of_another_rate_gives_one_unbroken_tone
test_everybody_reads_what_is_spoken = (
    test_with_server.test_everybody_reads_what_is_spoken_and_an_interruption_loses_nothing
)
