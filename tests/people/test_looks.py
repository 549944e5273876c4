"""How pages look to somebody: the theme and the time zone that they chose."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.urls import reverse

from people_app.timezones import TimeZoneMiddleware
from tests.samples import completed_job, words_on

HALF_PAST_ELEVEN = "2026-01-05T23:30:00Z"


@pytest.fixture
def in_tokyo(client, alice):
    """Alice's browser, which says that it is in Tokyo."""
    job = completed_job(alice)
    type(job).objects.filter(pk=job.pk).update(created_at=HALF_PAST_ELEVEN)
    client.force_login(alice)
    client.cookies["timezone"] = "Asia/Tokyo"
    return client


def test_times_are_in_the_zone_that_was_chosen_and_else_in_the_browsers(in_tokyo, alice):
    assert "6 Jan 2026, 08:30" in words_on(in_tokyo.get(reverse("home")))
    type(alice).objects.update(time_zone="America/New_York")
    assert "5 Jan 2026, 18:30" in words_on(in_tokyo.get(reverse("home")))


def test_nobody_is_looked_for_where_nobody_is_logged_in(rf):
    """A look would have caches keep the answer for each cookie; here it would raise AttributeError."""
    assert TimeZoneMiddleware(lambda request: HttpResponse("A page"))(rf.get("/")).status_code == 200


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_a_page_comes_in_the_theme_that_was_chosen(client, alice, theme):
    type(alice).objects.update(theme=theme)
    client.force_login(alice)
    assert f'data-theme="{theme}"' in client.get(reverse("upload")).content.decode()


@pytest.mark.parametrize("path", ["/login/", "/nowhere/"])
def test_strangers_see_pages_as_their_device_likes_them(client, db, path):
    assert 'data-theme="auto"' in client.get(path).content.decode()
