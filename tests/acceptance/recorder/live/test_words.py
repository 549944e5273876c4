"""Words on the recorder page while they are spoken, as a server tells them that the test plays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from jobs_app.models import LiveHost
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.recorder.live.scripted import Words
from tests.acceptance.recorder.page import open_recorder, press, problems, record, wait_for_page

pytestmark = pages.pytestmark


@pytest.fixture
def words(context) -> Words:
    LiveHost.objects.create(name="here:1", beat_at=timezone.now())
    words = Words()
    context.route_web_socket("**/ws/sessions/**", words.connected)
    return words


@pytest.fixture
def page(context, words) -> Page:
    return open_recorder(context)


def until(page: Page, condition: Callable[[], object], what: str) -> None:
    wait_for_page(page, condition, what=what)


def text_of(page: Page) -> list[str]:
    """The paragraphs, without their times."""
    return page.locator("#text .paragraph p").all_inner_texts()


COUNT_ANNOUNCEMENTS = """() => {
    window.announced = [];
    const box = document.getElementById("text");
    new MutationObserver((changes) => {
        if (box.ariaLive !== "polite") return;
        for (const { addedNodes, target, type } of changes) {
            const element = (node) => (node.nodeType === 1 ? node : node.parentElement);
            const read = (node) => node.isConnected && !element(node).closest("[aria-hidden=true]");
            if (type === "characterData" && read(target)) announced.push(target.data);
            for (const node of addedNodes) if (read(node)) announced.push(node.textContent);
        }
    }).observe(box, { childList: true, subtree: true, characterData: true });
}"""


def test_words_appear_while_they_are_spoken_and_only_final_ones_are_read_out(page, words):
    page.evaluate(COUNT_ANNOUNCEMENTS)
    record(page, seconds=1)
    until(page, lambda: words.sockets, "the socket")
    words.interim(0, 0, "And so my", firm=0)
    expect(page.locator("#text .interim")).to_have_text("And so my")
    words.interim(0, 0, "And so, my fellow", firm=7)
    expect(page.locator("#text .interim-tail")).to_have_text("my fellow")
    words.final(0, 0, "And so, my fellow Americans,")
    expect(page.locator("#text .interim")).to_have_count(0)
    words.interim(1, 1100, "ask not")
    expect(page.locator("#text .interim")).to_have_text("ask not")
    assert text_of(page) == ["And so, my fellow Americans, ask not"]
    words.final(1, 1100, "ask not.")
    words.interim(2, 9000, "Far behind")
    expect(page.locator("#text .paragraph")).to_have_count(2)
    words.segment(2, 9000, "", kind="interim", firm=0, confidence=None)
    expect(page.locator("#text .paragraph")).to_have_count(1)
    words.final(2, 9000, "Far behind it.")
    expect(page.locator("#text .paragraph")).to_have_count(2)
    assert text_of(page) == ["And so, my fellow Americans, ask not.", "Far behind it."]
    read = " ".join(page.evaluate("announced"))
    assert [read.count(one) for one in ("Americans", "ask not.", "Far behind it.")] == [1, 1, 1]
    assert "my fellow Americans" in read
    assert read.count("fellow") == 1
    # All of it went by the socket.
    requests: list[str] = []
    page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
    page.wait_for_timeout(6000)
    assert not [one for one in requests if one.endswith("/chunks/") or "/segments/" in one]


def test_a_reconnection_is_told_after_three_seconds_and_the_words_go_on(page, words):
    record(page, seconds=1)
    until(page, lambda: words.sockets, "the socket")
    words.final(0, 0, "One.")
    expect(page.locator("#text")).to_contain_text("One.")
    words.deaf = True
    words.die()
    expect(page.locator("#live-note")).to_have_text("Reconnecting. Everything is kept.", timeout=6000)
    words.deaf = False
    until(page, lambda: len(words.messages) >= 3, "another connection")
    assert words.messages[-1] | {"resume": True, "have": "u0"} == words.messages[-1]
    expect(page.locator("#live-note")).to_be_empty()
    words.final(1, 1100, "Two.")
    expect(page.locator("#text")).to_contain_text("One. Two.")


def test_without_live_words_for_this_recording_the_reason_is_told(page, words):
    words.refusal = ("live_unavailable", "Too much is going on for live words; the text follows.")
    record(page, seconds=1)
    expect(page.locator("#live-note")).to_have_text("Too much is going on for live words; the text follows.")


def test_live_words_can_be_switched_off_and_that_is_kept_for_the_person(page, words, context, alice):
    def prefers() -> bool:
        alice.refresh_from_db(fields=["live"])
        return alice.live

    switch = page.get_by_role("switch", name="Live words")
    expect(switch).to_be_checked()
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).not_to_be_checked()
    expect(page.locator("#live-note")).to_have_text("The text follows some seconds after what is said.")
    until(page, lambda: not prefers(), "the preference")
    page.evaluate("localStorage.clear()")
    page.reload()
    expect(switch).not_to_be_checked()
    record(page, seconds=1.5)
    assert words.sockets == []
    # What cannot be kept is said, and counts here all the same.
    context.set_offline(True)
    switch.check()
    expect(problems(page)).to_contain_text("counts for this page, and is not kept for the next one")
    context.set_offline(False)
    until(page, lambda: words.sockets, "the socket")
    switch.uncheck()
    switch.check()
    expect(problems(page)).to_be_empty()
    until(page, prefers, "the preference")


def test_where_nobody_listens_the_switch_says_so(context):
    page = open_recorder(context)
    expect(page.get_by_role("switch", name="Live words")).to_be_disabled()
    expect(page.locator("#live-note")).to_contain_text("Live words are not available at the moment.")


def test_nothing_moves_under_a_reader(page, words):
    page.set_viewport_size(pages.SIZES["phone"])
    record(page, seconds=1)
    until(page, lambda: words.sockets, "the socket")
    for n in range(40):
        words.final(n, 4000 * n, f"Sentence {n} that is long enough for more than a line of a phone.")
    expect(page.locator("#text .paragraph")).to_have_count(40)
    box = page.locator("#text")
    # At its end it follows.
    assert box.evaluate("(box) => box.scrollTop + box.clientHeight + 2 >= box.scrollHeight")
    box.evaluate("(box) => (box.scrollTop = 100)")
    place = "(box) => [box.scrollTop, JSON.stringify(box.getBoundingClientRect())]"
    before = box.evaluate(place)
    words.interim(40, 160_000, "something that is being said for quite a while now " * 3)
    expect(page.locator("#text .interim")).to_have_count(1)
    words.segment(40, 160_000, "", kind="interim", firm=0, confidence=None)
    expect(page.locator("#text .interim")).to_have_count(0)
    words.final(40, 160_000, "Something.")
    expect(page.locator("#text .paragraph")).to_have_count(41)
    assert box.evaluate(place) == before
    assert page.evaluate("document.documentElement.scrollWidth") <= pages.SIZES["phone"]["width"]
    press(page, "Pause")
