"""What somebody prefers, through the API and on their page, and what it fills in."""

from __future__ import annotations

import base64
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from jobs_app.models import TranscriptionJob
from rest.refusals import FileTooLarge
from sessions_app.options.defaults import options_for
from sessions_app.options.forms import OptionsForm
from tests.samples import completed_job, words_on
from tests.sessions.uploads import refused, send

URL = "/api/preferences/"
NOTHING = {
    "time_zone": "",
    "language": "",
    "theme": "auto",
    "live": True,
    "known_voices": False,
    "defaults": {},
}

pytestmark = pytest.mark.django_db


@pytest.fixture
def prefers(alice):
    def change(**defaults):
        alice.job_defaults = defaults
        alice.save(update_fields=["job_defaults"])

    return change


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def posted(**changes: str) -> dict[str, str]:
    """What the page sends, with `changes`."""
    as_shown = {
        "time_zone": "",
        "theme": "auto",
        "live": "on",
        "new-language": "",
        "new-engine_model": "fake/fake",
        "new-fallback_engine_model": "",
        "new-priority": "normal",
        "new-audio_track": "auto",
        "new-prompt": "",
        "new-refine": "true",
        "new-keep_original": "true",
    }
    return as_shown | changes


# --- The API --------------------------------------------------------------------------------------


def test_nobody_prefers_anything_at_first(api):
    assert api.get(URL).json() == NOTHING


def test_what_is_named_is_changed_and_null_takes_a_default_away(api):
    first = {"theme": "dark", "defaults": {"language": "de", "prompt": "Ngozi"}}
    assert api.patch(URL, first).json() == NOTHING | first
    second = {"time_zone": "Europe/Berlin", "defaults": {"prompt": None, "priority": "low"}}
    expected = {
        "time_zone": "Europe/Berlin",
        "language": "",
        "theme": "dark",
        "live": True,
        "known_voices": False,
        "defaults": {"language": "de", "priority": "low"},
    }
    assert api.patch(URL, second).json() == expected
    assert api.get(URL).json() == expected


def test_live_words_and_the_second_hearing_are_switched_off_each_for_itself(api, page):
    off = {"live": False, "defaults": {"refine": False}}
    assert api.patch(URL, off).json() == NOTHING | off
    assert api.patch(URL, {"live": True}).json() == NOTHING | off | {"live": True}
    shown = page.get(reverse("account")).content.decode()
    assert 'id="id_live" checked' in shown
    labels = re.findall(r'<label class="check" for="id_(?:new-)?(\w+)"', shown)
    assert labels[labels.index("live") + 1] == "refine"
    sent = posted()
    del sent["live"]
    page.post(reverse("account"), sent)
    assert api.get(URL).json()["live"] is False
    assert 'id="id_live" checked' not in page.get(reverse("account")).content.decode()


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"colour": "red"}, "colour", "There is no preference 'colour'."),
        ({"defaults": {"langauge": "de"}}, "defaults", "There is no preference 'langauge'."),
        ({"time_zone": "Europe/Atlantis"}, "time_zone", "There is no such time zone."),
        ({"theme": "pink"}, "theme", "not a valid choice"),
        ({"live": "now and then"}, "live", "valid boolean"),
        ({"defaults": {"language": "Klingon"}}, "defaults", "Klingon"),
        ({"defaults": {"priority": "urgent"}}, "defaults", "not a valid choice"),
        ({"defaults": "de"}, "defaults", "dictionary"),
    ],
)
def test_what_is_not_known_is_refused_by_name(api, alice, given, field, said):
    answer = api.patch(URL, given)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert said in " ".join(answer.json()["fields"][field])
    alice.refresh_from_db()
    assert (alice.theme, alice.job_defaults) == ("auto", {})


def test_defaults_that_the_engine_cannot_do_are_refused(api, alice):
    refused(api.patch(URL, {"defaults": {"min_speakers": 3, "max_speakers": 2}}), 422, "not_supported")
    alice.refresh_from_db()
    assert alice.job_defaults == {}


def test_others_have_preferences_of_their_own(api, bobs_api, prefers):
    prefers(language="de")
    assert bobs_api.get(URL).json() == NOTHING


# --- What they fill in ----------------------------------------------------------------------------


def test_an_upload_and_a_recording_are_filled_in_and_what_they_name_counts(api, wav, prefers):
    prefers(prompt="Ngozi", priority="low")
    jobs = [send(api, wav).data["job"], api.post("/api/sessions/", {"title": "A talk"}).data["job"]]
    assert [job["priority"] for job in jobs] == ["low", "low"]
    assert {TranscriptionJob.objects.get(pk=job["id"]).options.prompt for job in jobs} == {"Ngozi"}
    named = send(api, wav, priority="high", prompt="").data["job"]
    assert named["priority"] == "high"
    assert TranscriptionJob.objects.get(pk=named["id"]).options.prompt == ""


def test_a_language_that_is_left_empty_on_purpose_is_found_out(api, wav, prefers):
    prefers(language="de")
    assert send(api, wav).data["job"]["language"] == "de"
    assert send(api, wav, language="").data["job"]["language"] == ""


def test_a_resumable_upload_is_filled_in(api, alice, wav, prefers):
    prefers(priority="low")
    name = base64.b64encode(b"talk.wav").decode()
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(wav)),
        "Upload-Metadata": f"filename {name}",
    }
    answer = api.post(
        "/api/uploads/tus/", wav, content_type="application/offset+octet-stream", headers=headers
    )
    assert TranscriptionJob.objects.get(pk=answer["Upload-Job"]).priority == "low"


def test_a_model_is_not_mixed_with_another_engine(alice):
    alice.job_defaults = {"engine": "local", "model": "tiny.en"}
    assert options_for(alice, {}).model == "tiny.en"
    assert options_for(alice, {"engine": "fake"}).model == "fake"


@pytest.mark.parametrize("defaults", [{"engine": "gone"}, {"language": "de"}, {"fallback_engine": "local"}])
def test_preferences_that_do_not_fit_refuse_no_upload(alice, defaults):
    """The site may have dropped an engine since, and a request may name a model that knows no German."""
    alice.job_defaults = defaults
    options = options_for(alice, {"engine": "local", "model": "tiny.en"} if "engine" not in defaults else {})
    assert options.language == ""


@pytest.mark.parametrize("model", ["model", "fallback_model"])
def test_a_preferred_model_that_is_gone_takes_nothing_else_with_it(api, alice, prefers, model):
    engine = model.replace("model", "engine")
    prefers(**{engine: "local", model: "removed-since"}, language="de", priority="low")
    options = options_for(alice, {})
    assert (options.language, options.priority) == ("de", "low")
    assert getattr(options, model) != "removed-since"
    # The rest can be changed; the model itself must be one that there is.
    assert api.patch(URL, {"defaults": {"language": "fr"}}).status_code == 200
    assert api.get(URL).json()["defaults"][model] == "removed-since"
    assert refused(api.patch(URL, {"defaults": {model: "gone-too"}}), 422, "not_supported")
    assert api.patch(URL, {"defaults": {model: None, engine: None}}).status_code == 200


def test_openais_clients_get_what_they_ask_for(api, wav, prefers, monkeypatch):
    prefers(priority="low", prompt="Ngozi")
    seen = []

    def store_upload(user, file, options, **more):
        seen.append(options)
        raise FileTooLarge

    monkeypatch.setattr("sessions_app.openai.api.store_upload", store_upload)
    file = SimpleUploadedFile("talk.wav", wav)
    api.post("/v1/audio/transcriptions", {"file": file, "model": "whisper-1"}, format="multipart")
    assert [(options.prompt, options.priority) for options in seen] == [("", "normal")]


# --- The page -------------------------------------------------------------------------------------


def test_the_page_keeps_what_differs_from_the_site(page, alice):
    alice.job_defaults = {"min_speakers": 2}
    alice.save()
    sent = posted(theme="dark", time_zone="Asia/Tokyo", **{"new-language": "de", "new-prompt": "Ngozi"})
    answer = page.post(reverse("account"), sent, follow=True)
    assert "Saved." in words_on(answer)
    alice.refresh_from_db()
    assert (alice.theme, alice.time_zone) == ("dark", "Asia/Tokyo")
    # No page offers the first one, so it stays; the engine is the site's.
    assert alice.job_defaults == {"min_speakers": 2, "language": "de", "prompt": "Ngozi"}
    page.post(reverse("account"), posted(**{"new-engine_model": "local/tiny.en"}))
    alice.refresh_from_db()
    assert alice.job_defaults == {"min_speakers": 2, "engine": "local", "model": "tiny.en"}
    sent = posted()
    del sent["new-refine"]
    page.post(reverse("account"), sent)
    alice.refresh_from_db()
    assert alice.job_defaults == {"min_speakers": 2, "refine": False}


def test_the_page_says_what_cannot_be(page, alice):
    answer = page.post(
        reverse("account"), posted(**{"new-engine_model": "local/tiny.en", "new-language": "de"})
    )
    assert answer.status_code == 422
    assert "tiny.en" in words_on(answer)
    alice.refresh_from_db()
    assert alice.job_defaults == {}


def test_forms_begin_with_what_somebody_prefers(page, alice, prefers):
    prefers(language="pt-BR", engine="local", prompt="Ngozi", translate_to="en")
    shown = OptionsForm(user=alice)
    assert {name: shown[name].value() for name in ("language", "engine_model", "prompt", "translate_to")} == {
        "language": "pt",
        "engine_model": "local/base",
        "prompt": "Ngozi",
        "translate_to": "en",
    }
    for name in ("upload", "record", "account"):
        assert "Ngozi</textarea>" in page.get(reverse(name)).content.decode()


def test_a_run_again_begins_with_the_options_of_the_run(page, alice, prefers):
    prefers(prompt="Ngozi")
    job = completed_job(alice)
    assert "Ngozi</textarea>" not in page.get(reverse("job", args=[job.pk])).content.decode()


def test_a_page_without_scripts_fills_in_what_it_does_not_offer(page, alice, prefers):
    prefers(temperature=0.5)
    form = OptionsForm({"language": ""}, user=alice)
    assert form.is_valid()
    assert form.options().temperature == 0.5
