"""What is known of the languages of a person, and where a request says which may be spoken."""

from __future__ import annotations

import pytest

from jobs_app.models import TranscriptionJob
from people_app.models import User
from sessions_app.options.known import known_languages
from speech.languages.prior import read_odds
from tests.sessions.uploads import SESSIONS, refused, send

pytestmark = pytest.mark.django_db
BROWSER = {"HTTP_ACCEPT_LANGUAGE": "de-AT,de;q=0.9,en;q=0.5,tlh;q=0.1"}


def likely() -> dict[str, float]:
    return read_odds(TranscriptionJob.objects.latest("created_at").options.likely_languages)


def test_account_and_browser_tell_which_languages_are_likely():
    odds = read_odds(known_languages(User(language="en"), "de-AT,de;q=0.9,en;q=0.5")["likely_languages"])
    assert list(odds) == ["de", "en"]
    assert all(some > 1 for some in odds.values())


@pytest.mark.parametrize("header", ["", "*", "x" * 5000, "de;q=much", "\x00,,;", "tlh"])
def test_a_header_that_says_nothing_changes_nothing(header):
    assert known_languages(User(), header) == {}


def test_uploads_recordings_and_further_runs_know_the_browser(api, wav):
    created = send(api, wav, name="a.wav")
    assert likely() == {}
    api.defaults |= BROWSER
    send(api, wav, name="b.wav")
    assert list(likely()) == ["de", "en"]
    api.post(SESSIONS, {"title": "A word"})
    assert list(likely()) == ["de", "en"]
    TranscriptionJob.objects.update(status="cancelled", stage="ended", ended_at="2026-01-01T00:00Z")
    assert api.post(f"{SESSIONS}{created.data['session']['id']}/jobs/").status_code == 201
    assert list(likely()) == ["de", "en"]


def test_languages_are_taken_as_people_write_them(api, wav):
    assert send(api, wav, languages="German; en-US,pt").data["job"]["languages"] == "de,en,pt"
    assert refused(send(api, wav, languages="de, Klingon"), 400, "invalid")


def test_a_model_that_knows_one_language_says_so_before_the_work_starts(api, wav, settings):
    settings.ENGINES, settings.LOCAL_MODELS = ["fake", "local"], ["base", "tiny.en"]
    english = {"engine": "local", "model": "tiny.en"}
    assert refused(send(api, wav, **english, languages="de,fr"), 422, "not_supported")
    assert refused(send(api, wav, **english, language="de"), 422, "not_supported")
    assert send(api, wav, **english, languages="de,en").status_code == 201
    assert send(api, wav, **english).status_code == 201


def test_allowed_languages_are_a_preference_that_a_chosen_model_must_fit(api, wav, settings):
    settings.ENGINES, settings.LOCAL_MODELS = ["fake", "local"], ["base", "tiny.en"]
    assert api.patch("/api/preferences/", {"defaults": {"languages": "German"}}).status_code == 200
    assert send(api, wav).data["job"]["languages"] == "de"
    assert refused(send(api, wav, engine="local", model="tiny.en"), 422, "not_supported")
    assert send(api, wav, engine="local", model="tiny.en", languages="").status_code == 201
