"""What goes through the socket of live words and what in pieces, without a server or a microphone."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.acceptance import test_browser_pages as pages
from tests.acceptance.recorder.live.scripted import FAKE_SOCKET, stop_clock

pytestmark = pages.pytestmark

CUTS_MS = [5000, 10_000, 20_000, 40_000, 70_000]

# Sample n of the recording has the value n % 30011, so that each place can be told.
BEGIN = """async () => {
    const { Recording } = await import("/static/recorder/recording.js");
    const { Live } = await import("/static/recorder/live.js");
    const { openStore } = await import("/static/recorder/store.js");
    window.store = await openStore();
    const cutSamples = [5, 5, 10, 20, 30].map((s) => s * 16000);
    window.recording = Recording.begin(store, { user: "nobody", title: "", options: {}, cutSamples });
    recording.row.session = "one";
    window.taken = [];
    window.live = new Live(recording, {
        sockets: "/ws/sessions/",
        have: () => window.have,
        take: (message) => taken.push(message),
        onChange: () => {},
        poke: () => {},
    });
    recording.onChange = () => live.heard();
    let n = 0;
    window.speak = (seconds) => {
        const end = n + seconds * 16000;
        while (n < end) {
            recording.add(Int16Array.from({ length: Math.min(1600, end - n) }, () => n++ % 30011));
            live.heard();
        }
    };
    window.answer = (receivedMs, savedMs, cuts) =>
        sockets.at(-1).says({ type: "ready", received_ms: receivedMs, saved_ms: savedMs, cuts_ms: cuts });
}"""


@pytest.fixture
def page(page: Page) -> Page:
    stop_clock(page)
    page.evaluate(FAKE_SOCKET)
    page.evaluate(BEGIN)
    return page


def speak(page: Page, seconds: float) -> None:
    page.evaluate("(seconds) => speak(seconds)", seconds)


def run(page: Page, ms: int) -> None:
    """Let time go by in steps, because what is stored is written in between."""
    for _ in range(ms // 250):
        page.clock.run_for(250)
        page.evaluate("recording.saving")


def connect(page: Page, received_ms: int = 0, saved_ms: int = 0, cuts: list[int] = CUTS_MS) -> None:
    """Let the page connect, and answer that so much is there."""
    page.evaluate("live.open()")
    before = page.evaluate("sockets.length")
    for _ in range(10):
        if page.evaluate("live.link.state") == "connecting":
            break
        run(page, 250)
    page.evaluate("sockets.at(-1).opens()")
    page.evaluate("([r, s, c]) => answer(r, s, c)", [received_ms, saved_ms, cuts])
    assert page.evaluate("sockets.length") >= before


def save(page: Page, received_ms: int, saved_ms: int) -> None:
    page.evaluate(
        "(message) => sockets.at(-1).says(message)",
        {"type": "saved", "received_ms": received_ms, "saved_ms": saved_ms},
    )


def sent(page: Page) -> list[int]:
    return page.evaluate("sockets.at(-1).samples")


def look(page: Page) -> dict[str, Any]:
    return page.evaluate(
        "({ state: live.link.state, carries: live.carries, arrived: live.arrived, short: recording.short, "
        "waiting: [...recording.waiting], ends: recording.row.ends.map((end) => end / 16000) })"
    )


def test_everything_is_sent_from_the_beginning_and_forgotten_when_it_is_saved(page: Page):
    speak(page, 1)
    connect(page)
    assert page.evaluate("sockets.at(-1).url").endswith("/ws/sessions/one/live/")
    assert page.evaluate("sockets.at(-1).sent") == [{"type": "start", "sample_rate": 16_000, "resume": False}]
    for _ in range(11):
        speak(page, 1)
        run(page, 250)
    assert sent(page) == [n % 30011 for n in range(12 * 16_000)]
    assert look(page)["waiting"] == [0, 1]
    save(page, 9_000, 5_000)
    assert look(page)["waiting"] == [1]
    save(page, 12_000, 10_000)
    state = look(page)
    assert (state["waiting"], state["arrived"], state["carries"]) == ([], True, True)


def test_after_a_drop_it_goes_on_where_the_server_is_at_four_times_the_speed_of_speech(page: Page):
    speak(page, 1)
    connect(page)
    save(page, 1000, 0)
    page.evaluate("sockets.at(-1).dies()")
    page.evaluate("window.have = 'u3'")
    # Three pieces are cut meanwhile.
    page.context.set_offline(True)
    speak(page, 20)
    page.context.set_offline(False)
    connect(page, 700, 0)
    assert page.evaluate("sockets.at(-1).sent") == [
        {"type": "start", "sample_rate": 16_000, "resume": True, "have": "u3"}
    ]
    run(page, 2000)
    # A second each quarter of one, and the first at once.
    assert 7 * 16_000 <= len(sent(page)) <= 10 * 16_000
    run(page, 4000)
    assert sent(page) == [n % 30011 for n in range(int(0.7 * 16_000), 21 * 16_000)]
    assert look(page)["carries"]


def test_a_socket_that_brings_nothing_more_does_not_hold_up_the_pieces(page: Page):
    speak(page, 6)
    connect(page)
    assert look(page)["carries"]
    run(page, 9000)
    assert look(page)["carries"]
    run(page, 2000)
    state = look(page)
    assert (state["carries"], state["waiting"]) == (False, [0])


def test_after_the_stop_the_pieces_are_held_up_for_three_seconds_at_most(page: Page):
    speak(page, 6)
    connect(page)
    run(page, 1000)
    page.evaluate("recording.finish()")
    run(page, 500)
    # It asks that the rest is stored at once.
    assert page.evaluate("sockets.at(-1).sent.at(-1)") == {"type": "keep_alive"}
    assert look(page)["carries"]
    assert not look(page)["arrived"]
    run(page, 3000)
    assert not look(page)["carries"]
    # Then nothing is left for a socket.
    run(page, 20_000)
    assert page.evaluate("sockets.length") == 1


def test_where_sockets_do_not_pass_pieces_are_short_until_one_passes(page: Page):
    speak(page, 21)
    page.evaluate("live.open()")
    run(page, 7000)
    assert look(page)["short"]
    speak(page, 11)
    assert look(page)["ends"] == [5, 10, 20, 25, 30]
    run(page, 70_000)
    assert page.evaluate("sockets.length") == 1
    # The server gets all of them, and then knows where they end.
    page.evaluate("[...recording.waiting].forEach((number) => recording.sent(number))")
    connect(page, 30_000, 30_000, [5000, 10_000, 20_000, 25_000, 30_000, 60_000, 90_000])
    speak(page, 40)
    state = look(page)
    assert not state["short"]
    assert state["ends"] == [5, 10, 20, 25, 30, 60]


@pytest.mark.parametrize(
    ("received_ms", "cuts"),
    [
        # The server cuts elsewhere; it has not got what is not here any more; it has more than was recorded.
        (0, [30_000, 60_000]),
        (100, CUTS_MS),
        (60_000, CUTS_MS),
    ],
)
def test_a_server_that_has_other_pieces_gets_all_of_these_first(page: Page, received_ms, cuts):
    speak(page, 12)
    page.evaluate("recording.sent(0)")
    connect(page, received_ms, 0, cuts)
    run(page, 250)
    assert sent(page) == []
    assert look(page)["short"]
    assert not look(page)["carries"]
    tried = page.evaluate("sockets.length")
    run(page, 5000)
    assert page.evaluate("sockets.length") == tried
    page.evaluate("[...recording.waiting].forEach((number) => recording.sent(number))")
    speak(page, 1)
    connect(page, 10_000, 10_000)
    assert look(page)["carries"]
    run(page, 1000)
    assert sent(page) == [n % 30011 for n in range(10 * 16_000, 13 * 16_000)]


def test_a_new_session_is_sent_from_its_own_beginning(page: Page):
    speak(page, 12)
    connect(page)
    run(page, 1000)
    save(page, 12_000, 10_000)
    page.evaluate("sockets.at(-1).refuses('session_finished')")
    assert look(page)["state"] == "ended"
    page.evaluate("recording.row.base = 2; recording.row.session = 'two'; live.heard()")
    connect(page, 0, 0)
    assert page.evaluate("sockets.at(-1).url").endswith("/two/live/")
    run(page, 500)
    assert sent(page) == [n % 30011 for n in range(10 * 16_000, 12 * 16_000)]
    speak(page, 10)
    # Its pieces begin anew with short ones.
    assert look(page)["ends"] == [5, 10, 15, 20]


@pytest.mark.parametrize("code", ["taken_over", "session_finished", "too_many", "storage_full"])
def test_what_the_server_refuses_by_the_socket_goes_in_pieces(page: Page, code: str):
    speak(page, 6)
    connect(page)
    page.evaluate("(code) => sockets.at(-1).refuses(code)", code)
    assert not look(page)["carries"]
    run(page, 5000)
    assert page.evaluate("sockets.length") == 1


def test_without_live_words_the_socket_still_brings_the_audio(page: Page):
    speak(page, 2)
    connect(page)
    page.evaluate("sockets.at(-1).says({ type: 'error', code: 'live_unavailable', detail: 'Too much.' })")
    run(page, 500)
    assert page.evaluate("[live.speaks, live.unavailable]") == [True, "Too much."]
    assert len(sent(page)) == 2 * 16_000
    assert look(page)["carries"]


def test_switched_off_everything_goes_in_pieces(page: Page):
    speak(page, 6)
    connect(page)
    page.evaluate("live.close()")
    run(page, 5000)
    state = look(page)
    assert (state["state"], state["carries"]) == ("off", False)
    assert page.evaluate("sockets.length") == 1
