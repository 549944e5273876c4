"""The page of a running recording, with a socket that the test plays: everybody sees the same words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from sessions_app.models import RecordingSession
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.recorder.page import wait_for_page

pytestmark = pages.pytestmark


class Stage:
    """What is said to all that watch. Who comes late is told all final segments so far."""

    def __init__(self) -> None:
        self.sockets: list[WebSocketRoute] = []
        self.first: list[dict[str, Any]] = []
        self.finals: list[dict[str, Any]] = []

    def connected(self, socket: WebSocketRoute) -> None:
        socket.on_message(lambda data: self.came(socket, json.loads(data)))

    def came(self, socket: WebSocketRoute, message: dict[str, Any]) -> None:
        self.first.append(message)
        self.sockets.append(socket)
        socket.send(json.dumps({"type": "ready", "received_ms": 0, "saved_ms": 0}))
        seen = int(message.get("have", "u-1")[1:])
        for final in self.finals[seen + 1 :]:
            socket.send(json.dumps(final))

    def say(self, text: str, *, kind: str = "final") -> None:
        number = len(self.finals)
        start_ms = 1100 * number
        message = {"type": "segment", "id": f"u{number}", "kind": kind, "text": text, "confidence": None}
        message |= {"start_ms": start_ms, "end_ms": start_ms + 1000, "firm": 2}
        if kind == "final":
            self.finals.append(message)
        for socket in self.sockets:
            socket.send(json.dumps(message))


@pytest.fixture
def stage(context) -> Stage:
    stage = Stage()
    context.route_web_socket("**/ws/sessions/**", stage.connected)
    return stage


@pytest.fixture
def recording(context, page) -> RecordingSession:
    """A recording that goes on somewhere."""
    token = {one["name"]: one["value"] for one in context.cookies()}["csrftoken"]
    headers = {"X-CSRFToken": token, "Referer": page.url}
    answer = context.request.post("/api/sessions/", data={"source": "recorder"}, headers=headers)
    assert answer.status == 201, answer.text()
    return RecordingSession.objects.get()


def watch(context, recording: RecordingSession) -> Page:
    page = context.new_page()
    page.goto(f"/jobs/{recording.current_job_id}/")
    return page


def test_two_who_watch_see_the_same_and_one_who_comes_late_sees_all(context, stage, recording):
    one = watch(context, recording)
    wait_for_page(one, lambda: stage.sockets, what="a socket")
    stage.say("One two", kind="interim")
    expect(one.locator("#growing .interim")).to_have_text("One two")
    stage.say("One two three.")
    expect(one.locator("#growing")).to_contain_text("One two three.")
    other = watch(context, recording)
    expect(other.locator("#growing")).to_contain_text("One two three.")
    stage.say("Four", kind="interim")
    for page in (one, other):
        expect(page.locator("#growing p")).to_have_text("One two three. Four")
    stage.say("Four five.")
    for page in (one, other):
        expect(page.locator("#growing p")).to_have_text("One two three. Four five.")
    # Without the socket the text is asked for, and what was shown stays.
    asked: list[str] = []
    one.on("request", lambda request: "/segments/" in request.url and asked.append(request.url))
    one.wait_for_timeout(2500)
    assert asked == []
    stage.sockets.pop(0).close(code=1011)
    wait_for_page(one, lambda: len(stage.sockets) == 2, what="another socket")
    assert stage.first[-1] == {"type": "watch", "have": "u1"}
    stage.say("Six.")
    expect(one.locator("#growing p")).to_have_text("One two three. Four five. Six.")


def test_text_from_right_to_left_stands_as_it_is_written(context, stage, recording):
    page = watch(context, recording)
    wait_for_page(page, lambda: stage.sockets, what="a socket")
    stage.say("שלום עולם.")
    stage.say("ועוד", kind="interim")
    expect(page.locator("#growing p")).to_have_text("שלום עולם. ועוד")
    assert page.locator("#growing p").evaluate("(p) => getComputedStyle(p).direction") == "rtl"
