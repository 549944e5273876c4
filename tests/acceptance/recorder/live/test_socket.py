"""The connection of live words, without a server: every event in every state, and how it comes back."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.acceptance import test_browser_pages as pages
from tests.acceptance.recorder.live.scripted import FAKE_SOCKET, stop_clock

pytestmark = pages.pytestmark

# Events that lead to each state.
WAYS = {
    "off": [],
    "waiting": ["open", "ready", "die"],
    "connecting": ["open"],
    "live": ["open", "ready"],
    "ended": ["open", "ready", "taken_over"],
}
SAME = {state: state for state in WAYS}
NEXT = {
    "open": SAME | {"off": "connecting", "ended": "connecting"},
    "close": dict.fromkeys(WAYS, "off"),
    "ready": SAME | {"connecting": "live"},
    "die": SAME | {"connecting": "waiting", "live": "waiting"},
    "taken_over": SAME | {"connecting": "ended", "live": "ended"},
    "session_finished": SAME | {"connecting": "ended", "live": "ended"},
    "storage_full": SAME | {"connecting": "waiting", "live": "waiting"},
    "try_again": SAME | {"connecting": "waiting", "live": "waiting"},
    "server_stops": SAME | {"connecting": "waiting", "live": "waiting"},
    "too_many": SAME | {"connecting": "waiting", "live": "waiting"},
    "live_unavailable": SAME,
    "offline": SAME | {"connecting": "waiting", "live": "waiting"},
    "online": SAME | {"waiting": "connecting"},
    # A socket that was given up tells of its end at last.
    "old_dies": SAME,
}

BEGIN = """() => {
    let online = true;
    Object.defineProperty(navigator, "onLine", { get: () => online });
    window.begin = async () => {
        online = true;
        const { LiveSocket } = await import("/static/live/socket.js");
        sockets.length = 0;
        window.wanted = true;
        window.told = [];
        window.link = new LiveSocket({
            may: () => wanted,
            address: () => "ws://nowhere/",
            first: () => ({ type: "start" }),
            take: (message) => told.push(message.type),
            changed: () => {},
        });
    };
    window.happen = (event) => {
        const now = sockets.at(-1);
        if (event === "open" || event === "close") return link[event]();
        if (event === "offline" || event === "online") {
            online = event === "online";
            return window.dispatchEvent(new Event(event));
        }
        if (!now || now !== link.socket) return;
        if (event === "ready") return now.says({ type: "ready" });
        if (event === "die") return now.dies();
        if (event === "server_stops") return now.dies(1012);
        if (event === "live_unavailable") return now.says({ type: "error", code: event, detail: "" });
        now.refuses(event);
    };
    window.oldDies = () => sockets.slice(0, -1).forEach((socket) => socket.dies());
}"""


@pytest.fixture
def page(page: Page) -> Page:
    """A page whose clock stands until `clock.run_for`, and whose sockets the test plays."""
    stop_clock(page)
    page.evaluate(FAKE_SOCKET)
    page.evaluate(BEGIN)
    return page


def begin(page: Page, *events: str) -> None:
    page.evaluate("begin()")
    for event in events:
        happen(page, event)


def happen(page: Page, event: str) -> str:
    """What happens, and the state soon after."""
    if event == "old_dies":
        page.evaluate("oldDies()")
    else:
        page.evaluate("(event) => happen(event)", event)
    page.clock.run_for(5)
    return page.evaluate("link.state")


def look(page: Page) -> dict[str, Any]:
    return page.evaluate("({ state: link.state, n: sockets.length, blocked: link.blocked, lost: link.lost })")


def until_connecting(page: Page, *, within_s: int) -> None:
    for _ in range(within_s):
        if look(page)["state"] == "connecting":
            return
        page.clock.run_for(1000)
    raise AssertionError(look(page))


@pytest.mark.parametrize("state", WAYS)
def test_each_event_leads_where_the_table_says(page: Page, state: str):
    for event, following in NEXT.items():
        begin(page, *WAYS[state])
        assert page.evaluate("link.state") == state
        assert happen(page, event) == following[state], event


def test_a_connection_that_is_gone_is_tried_again_ever_more_seldom(page: Page):
    begin(page, "open", "ready", "die")
    waits = []
    for _ in range(7):
        before = look(page)["n"]
        waited = 0
        while look(page)["n"] == before:
            page.clock.run_for(250)
            waited += 250
            assert waited < 20_000
        waits.append(waited)
        happen(page, "die")
    assert waits[0] <= 750
    assert waits[:5] == sorted(waits[:5])
    assert 11_000 <= waits[-1] <= 15_250
    happen(page, "online")
    happen(page, "ready")
    assert look(page)["state"] == "live"


def test_people_are_told_of_a_connection_that_is_gone_for_three_seconds(page: Page):
    begin(page, "open", "ready")
    happen(page, "die")
    page.clock.run_for(2500)
    assert not look(page)["lost"]
    page.clock.run_for(1000)
    assert look(page)["lost"]
    happen(page, "ready")
    assert not look(page)["lost"]
    # While nothing is to be sent, nobody misses it; nor just after that.
    page.evaluate("wanted = false")
    happen(page, "die")
    page.clock.run_for(10_000)
    assert not look(page)["lost"]
    page.evaluate("wanted = true")
    page.clock.run_for(1000)
    assert look(page) == {"state": "connecting", "n": look(page)["n"], "blocked": False, "lost": False}


def test_who_only_listens_asks_whether_the_silent_server_is_there(page: Page):
    begin(page)
    page.evaluate("link.owner.listens = true")
    happen(page, "open")
    happen(page, "ready")
    asked = "sockets.at(-1).sent.filter(({ type }) => type === 'keep_alive').length"
    for n in range(1, 3):
        page.clock.run_for(15_000)
        page.evaluate("sockets.at(-1).says({ type: 'progress' })")
        page.clock.run_for(24_000)
        assert page.evaluate(asked) == n - 1
        page.clock.run_for(1500)
        assert page.evaluate(asked) == n
        page.evaluate("sockets.at(-1).says({ type: 'alive' })")
    assert look(page)["n"] == 1
    # The network is gone, and nobody tells.
    page.clock.run_for(36_000)
    assert page.evaluate("sockets[0].closed")
    assert look(page)["n"] == 2
    assert happen(page, "ready") == "live"


def test_where_sockets_do_not_pass_they_are_tried_once_a_minute(page: Page):
    begin(page, "open")
    page.clock.run_for(4900)
    assert look(page) == {"state": "connecting", "n": 1, "blocked": False, "lost": False}
    page.clock.run_for(200)
    assert look(page) == {"state": "waiting", "n": 1, "blocked": True, "lost": False}
    page.clock.run_for(44_000)
    assert look(page)["n"] == 1
    until_connecting(page, within_s=17)
    happen(page, "ready")
    assert not look(page)["blocked"]


def test_three_drops_within_a_minute_are_enough(page: Page):
    begin(page, "open", "ready")
    for n in range(3):
        assert not look(page)["blocked"]
        happen(page, "die")
        if n < 2:
            page.clock.run_for(600)
            assert happen(page, "ready") == "live"
    assert look(page)["blocked"]
    page.clock.run_for(40_000)
    assert look(page)["state"] == "waiting"
    until_connecting(page, within_s=21)
    assert happen(page, "ready") == "live"


def test_a_server_that_stops_is_tried_again_at_once_and_then_each_second(page: Page):
    begin(page, "open", "ready")
    happen(page, "server_stops")
    page.clock.run_for(500)
    for n in range(2, 14):
        assert look(page)["n"] == n
        happen(page, "die")
        page.clock.run_for(500)
        assert look(page)["n"] == n
        page.clock.run_for(500)
    assert page.evaluate("link.restarts")
    assert look(page) | {"blocked": False, "lost": True} == look(page)
    # Where it does not come back, the waits grow as for others.
    page.clock.run_for(20_000)
    assert not page.evaluate("link.restarts")
    assert not look(page)["blocked"]
    page.clock.run_for(60_000)
    assert look(page)["blocked"]


def test_servers_that_stop_do_not_make_sockets_suspicious(page: Page):
    begin(page, "open", "ready")
    for _ in range(4):
        happen(page, "server_stops")
        page.clock.run_for(1000)
        assert happen(page, "ready") == "live"
    assert not look(page)["blocked"]


def test_nothing_is_connected_while_there_is_nothing_to_send(page: Page):
    page.evaluate("begin()")
    page.evaluate("wanted = false")
    happen(page, "open")
    page.clock.run_for(10_000)
    assert look(page)["n"] == 0
    page.evaluate("wanted = true")
    page.clock.run_for(600)
    assert look(page)["n"] == 1
