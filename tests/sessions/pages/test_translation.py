"""The page of a translated transcript, and the choice of a translation."""

from __future__ import annotations

import pytest
from django.urls import reverse

from jobs_app.models import JobStage, JobStatus, TranscriptionJob
from jobs_app.models.options import Door
from sessions_app.options.forms import OptionsForm
from speech.engines.providers import TRANSLATOR, Provider
from tests.sessions.pages.conftest import show
from tests.sessions.translated import translated_job


@pytest.fixture
def talk(alice, new_job, add_segments):
    return translated_job(alice, new_job, add_segments)


@pytest.fixture
def translator(settings):
    settings.TRANSLATOR = Provider(name=TRANSLATOR, base_url="https://chat.example.org/v1", models=("small",))


def test_what_was_said_stands_beside_its_translation(page, talk):
    html = show(page, talk).content.decode()
    assert 'class="transcript bilingual"' in html
    assert '<p class="original" lang="de">Guten Morgen. Wie geht es?</p>' in html
    assert '<p data-copy-part lang="de"><span' in html
    assert "1 segment could not be translated." in html
    assert "by small</span>" in html


def test_a_download_is_a_choice_of_the_text_and_a_button_for_each_format(page, talk):
    html = show(page, talk).content.decode()
    address = reverse("transcript-srt", args=[talk.pk])
    assert f'<button formaction="{address}">' in html
    assert '<select id="download-text" name="text"' in html
    answer = page.get(address, {"text": "both", "download": "1"})
    assert "Good morning.\nGuten Morgen." in answer.content.decode()
    assert "attachment" in answer["Content-Disposition"]


def test_a_page_without_a_translation_has_neither(page, alice, new_job, add_segments):
    job = new_job(alice, detected_language="de", total_segments=1)
    add_segments(job, (0, "Guten Morgen.", ""))
    html = show(page, job).content.decode()
    assert "bilingual" not in html
    assert 'name="text"' not in html


def test_a_form_offers_all_languages_with_a_translator_and_says_where_text_goes(page, alice, translator):
    field = OptionsForm(user=alice).fields["translate_to"]
    codes = dict(field.choices)
    assert {"", "en", "fr", "zh-Hant", "yue"} <= codes.keys()
    assert codes["fr"] == "French"
    assert "sent to chat.example.org" in field.help_text
    for name in ("upload", "record", "account"):
        assert 'name="' in page.get(reverse(name)).content.decode()


def test_a_form_offers_english_where_only_the_engine_translates(alice):
    field = OptionsForm(user=alice, doors=(Door.RECORDER_PAGE,)).fields["translate_to"]
    assert [code for code, _ in field.choices] == ["", "en"]


def test_a_page_says_that_the_text_is_being_translated(page, alice, new_job):
    job = new_job(alice, status=JobStatus.PROCESSING, translate_to="fr", translator="small", progress=80)
    TranscriptionJob.objects.filter(pk=job.pk).update(stage=JobStage.TRANSLATING)
    assert "<h2>Translating</h2>" in show(page, job).content.decode()
