"""What is shown of an utterance that goes on."""

from __future__ import annotations

import pytest

from speech.live.draft import Draft, without_last_word


def test_the_last_word_is_held_back_while_somebody_speaks():
    draft = Draft()
    assert draft.hear("And so my fel", 1_000, speaks=True) == "And so my"
    assert draft.hear("And so my fellow Americans", 2_000, speaks=False) == "And so my fellow Americans"


def test_what_two_hearings_agree_on_is_firm():
    draft = Draft()
    draft.hear("And so my fellow", 1_000, speaks=True)
    assert draft.firm == 0
    shown = draft.hear("And so, my fellow Americans", 2_000, speaks=True)
    assert shown[: draft.firm] == "And"
    shown = draft.hear("And so, my fellow Americans, ask", 3_000, speaks=True)
    assert shown[: draft.firm] == "And so, my fellow Americans"


def test_a_hearing_that_came_out_badly_changes_nothing():
    draft = Draft()
    shown = draft.hear("And so my fellow Americans", 1_000, speaks=True)
    assert draft.hear("", 2_000, speaks=True) == shown
    assert draft.heard_ms == 2_000


def test_text_before_a_soft_cut_is_kept():
    draft = Draft()
    draft.hear("And so my fellow Americans, ask", 5_000, speaks=True)
    draft.keep("And so, my fellow Americans,", 4_500)
    assert draft.cut_ms == 4_500
    assert draft.hear("ask not what", 6_000, speaks=True) == "And so, my fellow Americans, ask not"


def test_nothing_is_kept_of_a_stretch_that_came_out_badly():
    draft = Draft()
    draft.keep("", 4_500)
    assert draft.cut_ms == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("One", ""), ("One two", "One"), ("今天天气怎么样", "今天天气怎"), ("안녕 하세요", "안녕")],
)
def test_a_word_is_what_its_script_writes_as_one(text, shown):
    assert without_last_word(text) == shown
