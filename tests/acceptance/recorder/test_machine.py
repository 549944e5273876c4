"""The states of the recorder, without a microphone and without a page: every event in every state."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.acceptance import test_browser_pages as pages

pytestmark = pages.pytestmark

EVENTS = ("start", "pause", "resume", "lose", "stop", "end")
NEXT = {
    "idle": {"start": "recording"},
    "recording": {"pause": "paused", "lose": "paused", "stop": "sending"},
    "paused": {"resume": "recording", "stop": "sending"},
    "sending": {"end": "idle"},
}
# Events that lead to each state.
WAYS = {"idle": [], "recording": ["start"], "paused": ["start", "pause"], "sending": ["start", "stop"]}

# What comes of each of `then`: the state, or the mistake.
GO = """async ({way, then}) => {
    const { Machine } = await import("/static/recorder/machine.js");
    return then.map((event) => {
        const machine = new Machine(() => {});
        for (const one of way) machine.go(one);
        const may = machine.may(event);
        try {
            machine.go(event);
            return { may, state: machine.state };
        } catch (mistake) {
            return { may, state: machine.state, mistake: mistake.message };
        }
    });
}"""

# Each piece of work notes when it begins and ends; the second one is asked for while the first is under way.
ALONE = """async (fails) => {
    const { Machine } = await import("/static/recorder/machine.js");
    const notes = [];
    const machine = new Machine(() => notes.push(machine.busy ? "busy" : "free"));
    const work = (name) => async () => {
        notes.push(`${name} begins`);
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (fails) throw new Error(name);
        notes.push(`${name} ends`);
    };
    const first = machine.alone(work("first"));
    const second = machine.alone(work("second"));
    const failed = await first.then(() => "", (problem) => problem.message);
    await second.catch(() => {});
    await machine.alone(work("third")).catch(() => {});
    return { notes, failed, same: first === second };
}"""


@pytest.mark.parametrize("state", NEXT)
def test_each_event_leads_where_the_table_says_and_nowhere_else(page: Page, state: str):
    came: list[dict[str, Any]] = page.evaluate(GO, {"way": WAYS[state], "then": EVENTS})
    for event, found in zip(EVENTS, came, strict=True):
        assert found["may"] == (event in NEXT[state]), event
        assert found["state"] == NEXT[state].get(event, state), event
        assert ("mistake" in found) == (event not in NEXT[state]), event


def test_what_comes_while_a_change_is_under_way_counts_for_nothing(page: Page):
    done = page.evaluate(ALONE, False)
    assert done["same"]
    assert done["notes"] == [
        "busy",
        "first begins",
        "first ends",
        "free",
        "busy",
        "third begins",
        "third ends",
        "free",
    ]


def test_a_change_that_fails_does_not_hold_up_the_next(page: Page):
    done = page.evaluate(ALONE, True)
    assert done["failed"] == "first"
    assert done["notes"] == ["busy", "first begins", "free", "busy", "third begins", "free"]
