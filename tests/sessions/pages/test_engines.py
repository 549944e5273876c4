"""What pages say of engines: where audio goes, what stands in, how fine the times are, what it used."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs_app.models import ProviderState, TranscriptionJob, WorkStatus
from speech.engines.providers import Provider
from tests.samples import add_segments, completed_job, make_job, words_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, alice) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture(autouse=True)
def two_engines(settings):
    settings.ENGINES = ["local"]
    settings.DEFAULT_ENGINE = "local"
    settings.PROVIDERS = {
        "groq": Provider(
            name="groq",
            base_url="https://speech.example.org/v1",
            api_key="sk-secret",
            models=("openai/whisper-large-v3", "whisper-large-v3-turbo"),
        )
    }


def options_of(html: str, name: str) -> str:
    found = re.search(rf'<select name="{name}".*?</select>', html, flags=re.DOTALL)
    return found[0] if found else ""


def show(client: Client, job: TranscriptionJob) -> str:
    return words_on(client.get(reverse("job", args=[job.pk])))


# --- The options ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["upload", "record"])
def test_models_are_grouped_by_engine_and_it_is_said_where_audio_goes(page, name):
    response = page.get(reverse(name))
    html = response.content.decode()
    choices = options_of(html, "engine_model")
    assert re.findall(r'<optgroup label="([^"]*)"', choices) == [
        "local: on this server",
        "groq: audio is sent to speech.example.org",
    ]
    assert 'value="groq/openai/whisper-large-v3"' in choices
    assert '<option value="local/base" selected' in choices
    assert "With these, the audio leaves this server: groq (to speech.example.org)." in words_on(response)
    assert "sk-secret" not in html
    # Nothing leaves by itself.
    assert "the audio leaves it" not in html and "To be transcribed" not in html


@pytest.mark.parametrize("name", ["upload", "record"])
def test_it_is_said_openly_when_audio_leaves_unless_somebody_chooses_otherwise(page, name, settings):
    settings.DEFAULT_ENGINE = "groq"
    said = words_on(page.get(reverse(name)))
    assert "it is sent to speech.example.org, unless you choose another model." in said
    settings.DEFAULT_ENGINE, settings.FALLBACK_ENGINE = "local", "groq"
    said = words_on(page.get(reverse(name)))
    assert "what failed is sent to speech.example.org, unless you choose otherwise." in said


def test_with_one_engine_there_is_no_fallback_to_choose(page, settings):
    assert options_of(page.get(reverse("upload")).content.decode(), "fallback_engine_model")
    settings.PROVIDERS = {}
    html = page.get(reverse("upload")).content.decode()
    assert not options_of(html, "fallback_engine_model")
    assert "<optgroup" not in html


def test_a_provider_with_one_model_leaves_no_choice_and_still_says_where_audio_goes(page, settings):
    settings.ENGINES, settings.DEFAULT_ENGINE = [], "gpu"
    settings.PROVIDERS = {"gpu": Provider(name="gpu", base_url="http://10.0.0.5/v1", models=("large",))}
    response = page.get(reverse("upload"))
    assert 'name="engine_model"' not in response.content.decode()
    assert "To be transcribed, the audio leaves this server: it is sent to 10.0.0.5." in words_on(response)


@pytest.mark.parametrize(
    ("site", "chosen", "stored"),
    [
        ("", "", ("", "")),
        ("", "local/tiny.en", ("local", "tiny.en")),
        ("local", "", ("local", "base")),
        ("local", "none/", ("", "")),
    ],
)
def test_a_fallback_is_chosen_on_the_page(page, alice, settings, site, chosen, stored):
    settings.FALLBACK_ENGINE = site
    job = completed_job(alice)
    form = {"engine_model": "groq/whisper-large-v3-turbo", "fallback_engine_model": chosen}
    assert page.post(reverse("transcribe-again", args=[job.pk]), form).status_code == 302
    new = TranscriptionJob.objects.get(session=job.session, status="pending")
    assert (new.engine, new.model) == ("groq", "whisper-large-v3-turbo")
    assert (new.options.fallback_engine, new.options.fallback_model) == stored


def test_a_fallback_that_is_the_engine_itself_is_refused_with_a_sentence(page, alice):
    form = {"engine_model": "local/base", "fallback_engine_model": "local/base"}
    response = page.post(reverse("transcribe-again", args=[completed_job(alice).pk]), form)
    assert response.status_code == 422
    assert "The fallback is the engine itself." in words_on(response)


def test_transcribing_again_offers_the_options_of_the_job(page, alice):
    job = completed_job(
        alice,
        engine="groq",
        model="whisper-large-v3-turbo",
        fallback_engine="local",
        fallback_model="tiny.en",
    )
    html = page.get(reverse("job", args=[job.pk])).content.decode()
    assert 'value="groq/whisper-large-v3-turbo" selected' in options_of(html, "engine_model")
    assert 'value="local/tiny.en" selected' in options_of(html, "fallback_engine_model")


# --- The page of a job ---------------------------------------------------------------------------


def test_a_job_says_where_its_audio_was_sent_and_what_it_used(page, alice):
    job = completed_job(
        alice,
        engine="groq",
        model="whisper-large-v3-turbo",
        fallback_engine="local",
        fallback_model="base",
        provider_requests=3,
        provider_audio_ms=125_000,
        provider_cost="0.012500",
    )
    job.windows.update(engine="groq", model="whisper-large-v3-turbo")
    said = show(page, job)
    assert "Sent to speech.example.org" in said
    assert "Fallback base local, not needed" in said
    assert "3 requests, 2 min 5 s of audio, cost 0.0125" in said
    assert "word times" not in said


def test_a_job_of_this_server_says_nothing_of_others(page, alice):
    said = show(page, completed_job(alice, engine="local", model="base"))
    assert "Sent to" not in said
    assert "requests" not in said


def test_a_job_of_this_server_says_when_its_fallback_sent_audio_away(page, alice):
    job = completed_job(alice, engine="local", model="base", fallback_engine="groq", fallback_model="turbo")
    assert "Sent to" not in show(page, job)
    job.windows.update(engine="groq", model="turbo")
    assert "Sent to speech.example.org" in show(page, job)


def test_a_job_says_how_much_its_fallback_did_and_why(page, alice):
    job = completed_job(alice, engine="groq", model="turbo", fallback_engine="local", fallback_model="base")
    window = job.windows.get()
    job.windows.update(
        engine="local", model="base", fallback_reason="groq refused the API key. Check PROVIDER_GROQ_API_KEY."
    )
    for number in range(1, 4):
        window.pk, window.number, window.engine, window.model = None, number, "groq", "turbo"
        window.save()
    said = show(page, job)
    assert (
        "Of 4 parts, 1 by local (base) instead of groq. groq refused the API key. "
        "Check PROVIDER_GROQ_API_KEY." in said
    )


@pytest.mark.parametrize(
    ("timing", "note"),
    [("window", "the text is placed in parts of about a minute"), ("segments", "sentence by sentence")],
)
def test_a_job_without_word_times_says_so(page, alice, timing, note):
    assert note in show(page, completed_job(alice, timing=timing))


def test_a_job_whose_sender_wanted_no_word_times_says_how_to_get_them(page, alice):
    said = show(page, completed_job(alice, timing="segments", word_times=False))
    assert "Transcribe it again to have the times of words." in said


# --- While a provider is away --------------------------------------------------------------------


@pytest.fixture
def waiting(alice):
    """A job with a window that waits for groq."""
    job = make_job(alice, status="processing", stage="transcribing", engine="groq", model="turbo")
    add_segments(job, ("So far.",))
    job.windows.update(status=WorkStatus.WAITING, engine="groq")
    return job


def pause(**columns) -> ProviderState:
    until = timezone.now() + timedelta(minutes=2)
    return ProviderState.objects.create(name="groq", paused_until=until, **columns)


def test_a_job_that_waits_for_a_provider_says_until_when(page, waiting):
    state = pause(down_since=timezone.now())
    at = f"{timezone.localtime(state.paused_until):%H:%M:%S}"
    said = show(page, waiting)
    assert f"groq does not answer. The next try is at {at} ; nothing is lost." in said


def test_a_provider_that_wants_fewer_requests_is_not_said_to_be_away(page, waiting):
    pause()
    said = show(page, waiting)
    assert "groq takes no more requests for the moment. It goes on at" in said
    assert "does not answer" not in said


def test_the_page_is_told_when_a_pause_begins_and_when_it_ends(page, waiting):
    def version() -> str:
        html = page.get(reverse("job-progress", args=[waiting.pk])).content.decode()
        return re.search(r'data-version="([^"]*)"', html)[1]

    before = version()
    state = pause(down_since=timezone.now())
    paused = version()
    assert paused != before
    state.paused_until = None
    state.save()
    assert version() == before


def test_a_pause_of_another_provider_is_none_of_a_jobs_business(page, alice, waiting):
    waiting.windows.update(engine="local")
    pause(down_since=timezone.now())
    assert "does not answer" not in show(page, waiting)
