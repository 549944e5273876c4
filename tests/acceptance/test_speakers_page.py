"""The speakers on the page of a transcript, in a real browser with a keyboard alone."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests.acceptance.test_browser_pages import browser, open_page, site  # noqa: F401
from tests.sessions.pages.test_speakers import job  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_name_is_given_and_given_up_with_the_keyboard_on_a_narrow_page(open_page, job):  # noqa: F811
    page = open_page(reverse("job", args=[job.pk]), viewport={"width": 320, "height": 700})
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
