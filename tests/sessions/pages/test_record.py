"""The recorder page, as the server gives it. tests/acceptance/recorder/ records with it."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs_app.models import LiveHost
from sessions_app.templatetags.scripts import needed_by
from tests.samples import words_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def test_a_stranger_is_sent_to_the_login(client):
    response = client.get(reverse("record"))
    assert response.status_code == 302
    assert response.url == f"{reverse('login')}?next={reverse('record')}"


def test_a_second_hearing_can_be_chosen_where_the_site_allows_one(page, settings):
    box = 'name="refine" value="true"'
    assert box in page.get(reverse("record")).content.decode()
    assert box not in page.get(reverse("upload")).content.decode()
    settings.LIVE_REFINE = False
    assert box not in page.get(reverse("record")).content.decode()


def test_live_words_are_on_unless_their_speaker_prefers_otherwise(page, alice):
    def switch() -> str:
        html = page.get(reverse("record")).content.decode()
        return html[html.index('id="live"') :].partition(">")[0]

    assert "disabled" in switch()  # nobody hears anything live
    LiveHost.objects.create(name="here:1", beat_at=timezone.now())
    assert "checked" in switch()
    alice.live = False
    alice.save(update_fields=["live"])
    assert "checked" not in switch()
    assert "disabled" not in switch()


def test_the_page_tells_its_scripts_whose_it_is_and_where_the_api_is(page, alice, settings):
    settings.RECORDER_CUTS_S = (3, 17)
    response = page.get(reverse("record"))
    html = response.content.decode()
    assert f'data-user="{alice.pk}"' in html
    assert 'data-user-name="alice"' in html
    assert 'data-cuts-s="3 17"' in html
    for name in ("session-list", "job-list", "record-who", "preferences", "home"):
        assert f'="{reverse(name)}"' in html
    # The scripts send it with each request.
    assert "csrftoken" in response.cookies


def test_the_languages_are_those_of_uploads(page):
    def languages(name: str) -> str:
        html = page.get(reverse(name)).content.decode()
        return html[html.index('<select name="language"') :].partition("</select>")[0]

    assert languages("record") == languages("upload")
    assert 'value="de"' in languages("record")


def test_nothing_on_the_page_is_inline(page):
    html = page.get(reverse("record")).content.decode()
    assert "<script>" not in html
    assert "style=" not in html
    assert "onclick" not in html


def test_without_javascript_it_leads_to_the_upload(page):
    html = page.get(reverse("record")).content.decode()
    without = html[html.index("<noscript>") :].partition("</noscript>")[0]
    assert f'href="{reverse("upload")}"' in without


@pytest.mark.parametrize("name", ["home", "upload", "account"])
def test_every_page_leads_to_it(page, name):
    response = page.get(reverse(name))
    assert f'href="{reverse("record")}"' in response.content.decode()
    assert "Record" in words_on(response)


def test_who_is_logged_in_is_told_to_scripts_and_not_kept_by_browsers(page, alice, client):
    response = page.get(reverse("record-who"))
    assert response.json() == {"user": str(alice.pk)}
    assert "no-store" in response["Cache-Control"]
    assert "csrftoken" in response.cookies
    client.logout()
    response = client.get(reverse("record-who"))
    assert (response.status_code, response.json()) == (200, {"user": None})


def test_the_page_hints_at_every_module_that_its_script_leads_to(page):
    html = page.get(reverse("record")).content.decode()
    hints = re.findall(r'<link rel="modulepreload" href="/static/([^"]+)">', html)
    assert len(hints) == len(set(hints))
    # The page imports the desk, the desk the recording, and that what a WAV is.
    assert {"recorder/desk.js", "recorder/recording.js", "recorder/sound/wav.js", "lib/ask.js"} <= set(hints)
    assert "recorder/page.js" not in hints
    # What is loaded in another way is not needed before it is.
    assert "recorder/sound/capture-worklet.js" not in hints


def test_a_module_that_imports_what_is_not_there_is_refused(tmp_path, settings):
    settings.STATICFILES_DIRS = [tmp_path]
    (tmp_path / "one.js").write_text('import { two } from "./two.js";\n')
    with pytest.raises(FileNotFoundError, match=r"two\.js"):
        needed_by("one.js")
