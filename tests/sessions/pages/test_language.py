"""The language that was found out, on the page of a transcript: how sure it is, and how it is corrected."""

from __future__ import annotations

import pytest
from django.urls import reverse

from jobs_app.models import TranscriptionJob
from tests.job_rows import change_job
from tests.samples import completed_job, words_on
from tests.sessions.conftest import sound
from tests.sessions.pages.conftest import show

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def models(settings):
    settings.ENGINES, settings.LOCAL_MODELS = ["fake", "local"], ["base", "tiny.en"]


def heard_as_german(owner, **columns) -> TranscriptionJob:
    found = {"engine": "local", "model": "base", "detected_language": "de", "language_confidence": 0.62}
    return completed_job(owner, **{**found, **columns})


def correct(client, job, **posted):
    return client.post(reverse("transcribe-in-language", args=[job.pk]), posted)


def test_the_page_says_what_was_detected_and_asks_whether_it_is_right(page, alice):
    words = words_on(show(page, heard_as_german(alice)))
    assert "Detected: German (62 %). Not right?" in words


def test_a_guess_is_called_one_and_the_choice_is_open(page, alice):
    response = show(page, heard_as_german(alice, language_is_guess=True))
    assert "Probably German \N{EN DASH} not right? Choose another" in words_on(response)
    assert 'language-found" open' in response.content.decode()


@pytest.mark.parametrize(
    "columns",
    [
        {"language": "de"},
        {"detected_language": ""},
        {"model": "tiny.en", "detected_language": "en"},
        {"engine": "gone", "model": "gone"},
    ],
)
def test_where_the_language_was_not_found_out_nothing_is_asked(page, alice, columns):
    job = heard_as_german(alice, **columns)
    assert "Not right?" not in words_on(show(page, job))
    assert correct(page, job, language="en").status_code == 302
    assert TranscriptionJob.objects.count() == 1


def test_one_click_transcribes_it_again_with_the_same_options(page, alice):
    job = heard_as_german(alice, prompt="Ngozi Okafor", priority="low")
    response = correct(page, job, language="en")
    again = TranscriptionJob.objects.exclude(pk=job.pk).get()
    assert response.url == reverse("job", args=[again.pk])
    options = again.options
    assert (options.language, options.engine, options.model) == ("en", "local", "base")
    assert (options.prompt, options.priority) == ("Ngozi Okafor", "low")


def test_a_language_that_the_model_does_not_know_is_refused(page, alice):
    job = heard_as_german(alice)
    for language in ("tlh", "de", ""):
        assert correct(page, job, language=language).status_code == 422
    assert TranscriptionJob.objects.count() == 1


def test_likely_languages_come_first(page, alice):
    text = show(page, heard_as_german(alice, likely_languages="en=6.0 de=2.0")).content.decode()
    choices = text[text.index('id="found_language"') :]
    assert choices.index('label="Likely"') < choices.index('value="en"') < choices.index('label="All"')


def test_a_recording_of_somebody_else_is_not_there(page, bob):
    assert correct(page, heard_as_german(bob), language="en").status_code == 404


def test_a_paragraph_in_another_language_says_so(page, alice):
    job = heard_as_german(alice, audio=sound())
    job.segments.filter(number=1).update(language="fr")
    change_job(job, detected_language="en")
    text = show(page, job).content.decode()
    assert text.count('data-copy-part lang="fr"') == 1


def test_the_model_that_knows_only_english_is_called_so(page):
    assert "English only" in words_on(page.get(reverse("upload")))


def test_the_account_page_takes_the_languages_that_somebody_speaks(page, alice):
    page.post(reverse("account"), {"theme": "auto", "new-languages": "german, English", "new-refine": "true"})
    alice.refresh_from_db()
    assert alice.job_defaults["languages"] == "de,en"
    assert 'value="German, English"' in page.get(reverse("account")).content.decode()
    wrong = page.post(reverse("account"), {"theme": "auto", "new-languages": "Klingon"})
    assert wrong.status_code == 422
    assert "Klingon" in words_on(wrong)
