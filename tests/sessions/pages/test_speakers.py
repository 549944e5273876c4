"""The speakers on the page of a transcript: names, shares, merging, and how many there are."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs_app.models import (
    JobStep,
    KnownVoice,
    KnownVoiceSample,
    Speaker,
    SpeakerTurns,
    SpeakerVoice,
    StepKind,
    VoiceSuggestion,
)
from jobs_app.models.transcripts import Transcript
from tests.samples import completed_job, words_on
from tests.sessions.pages.conftest import show

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(alice):
    """Two people speak, the first for a quarter of the time."""
    job = completed_job(alice, sentences=("Good morning.", "Hello."))
    job.stored_options["diarize"] = True
    job.save()
    first, second = job.segments.order_by("number")
    job.segments.filter(pk=first.pk).update(speaker="S1")
    job.segments.filter(pk=second.pk).update(speaker="S2")
    turns = [(0, 1000, "S1"), (1000, 4000, "S2")]
    SpeakerTurns.objects.create(job=job, turns=turns, overlaps=[])
    Speaker.objects.create(job=job, label="S1", number=0, name="Anna", speaking_ms=1000, n_turns=1)
    Speaker.objects.create(job=job, label="S2", number=1, speaking_ms=3000, n_turns=1)
    Transcript.objects.filter(job=job).update(speakers_state="told", n_speakers=2)
    job.refresh_from_db()
    return job


def change(page, job, **sent):
    return page.post(reverse("change-speakers", args=[job.pk]), sent, follow=True)


def test_it_shows_who_speaks_with_shares_and_links_names(page, job):
    answer = show(page, job)
    shown = words_on(answer)
    assert "2 Speaker 2 75 %" in shown and "1 Anna 25 %" in shown
    assert shown.index("Speaker 2 75 %") < shown.index("Anna 25 %")
    assert '<a class="speaker speaker-1" href="#speaker-S1">Anna: </a>' in answer.content.decode()
    assert "RTTM" in shown


def test_the_list_says_how_many_speak(page, job, alice):
    completed_job(alice, sentences=("Nobody is told apart.",))
    shown = words_on(page.get(reverse("home")))
    assert shown.count("speaker") == 1 and "2 speakers" in shown


def test_names_are_changed_and_speakers_merged_and_separated(page, job):
    assert "Ben: Hello." in words_on(change(page, job, label="S2", name="Ben"))
    merged = words_on(change(page, job, label="S2", into="S1"))
    assert "Separate Speaker 2 again" in merged and "Anna 100 %" in merged
    assert "Ben 75 %" in words_on(change(page, job, label="S2", into=""))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"how": "exactly", "num_speakers": "3", "min_speakers": "9"}, (3, None, None)),
        ({"how": "between", "num_speakers": "", "min_speakers": "2", "max_speakers": ""}, (None, 2, None)),
        ({"how": "automatic", "num_speakers": "3"}, (None, None, None)),
    ],
)
def test_another_number_is_followed_until_it_is_done(page, job, wakes, sent, kept):
    assert "being told apart" in words_on(change(page, job, **sent))
    job.refresh_from_db()
    options = job.options
    assert (options.num_speakers, options.min_speakers, options.max_speakers) == kept
    step = JobStep.objects.get(job=job, kind=StepKind.SPEAKERS)
    followed = page.get(reverse("job-progress", args=[job.pk])).content.decode()
    assert 'data-final="no"' in followed and "being told apart" in followed
    step.delete()
    assert 'data-final="yes"' in page.get(reverse("job-progress", args=[job.pk])).content.decode()


def test_what_cannot_be_is_said_and_changes_nothing(page, job):
    assert "less than or equal to 100" in words_on(change(page, job, how="exactly", num_speakers="101"))
    assert "only 2" in words_on(change(page, job, how="between", min_speakers="3", max_speakers="2"))
    assert "This transcript has no speaker" in words_on(change(page, job, label="S9", name="Nobody"))
    assert "no more than 100 characters" in words_on(change(page, job, label="S1", name="x" * 101))
    assert Speaker.objects.get(label="S1").name == "Anna"
    assert not JobStep.objects.filter(kind=StepKind.SPEAKERS).exists()


def test_a_suggested_name_is_asked_about_and_saved_voices_are_offered(page, alice, job):
    assert "turn that on" in words_on(show(page, job))
    alice.known_voices = True
    alice.save(update_fields=["known_voices"])
    voice = KnownVoice.objects.create(owner=alice, name="Ben")
    VoiceSuggestion.objects.create(job=job, voice=voice, label="S2", certainty=0.83)
    for speaker, clean_ms in zip(job.speakers.all(), (12_000, 9_000), strict=True):
        SpeakerVoice.objects.create(speaker=speaker, packed=b"a vector", clean_ms=clean_ms)
    shown = words_on(show(page, job))
    assert "Ben? 83 % alike" in shown and "turn that on" not in shown
    # The other one is heard for too short a time.
    assert shown.count("Save name and voice") == 1 and "at least 10 seconds" in shown
    assert "Ben? 83" not in words_on(change(page, job, label="S2", reject=str(voice.pk)))
    assert "Ben: Hello." in words_on(change(page, job, label="S2", confirm=str(voice.pk)))
    saved = change(page, job, label="S1", name="Anna", save_voice="yes")
    assert "The voice of Anna is saved" in words_on(saved)
    assert KnownVoice.objects.get(name="Anna").samples.get().clean_ms == 12_000
    assert "less than 10 seconds" in words_on(change(page, job, label="S2", name="Ben", save_voice="yes"))
    wrong = change(page, job, label="S2", confirm="nobody")
    assert "valid UUID" in words_on(wrong)


def test_the_account_lists_saved_voices(page, alice, bob, job, settings):
    assert "Saved voices" not in words_on(page.get(reverse("account")))
    voice = KnownVoice.objects.create(owner=alice, name="Ben")
    KnownVoiceSample.objects.create(
        voice=voice, job=job, clean_ms=83_000, saved_at=timezone.now(), packed=b""
    )
    shown = words_on(page.get(reverse("account")))
    assert "Ben A talk · 1:23 of speech" in shown and "not used while known voices are off" in shown
    for name, said in (("Cleo", "Cleo A talk"), ("", "may not be blank"), ("x" * 101, "no more than 100")):
        sent = page.post(reverse("rename-voice", args=[voice.pk]), {"name": name}, follow=True)
        assert said in words_on(sent)
    deleted = page.post(reverse("delete-voice", args=[voice.pk]), follow=True)
    assert "The voice of Cleo is deleted" in words_on(deleted)
    assert not KnownVoice.objects.exists()
    assert 'name="known_voices"' in page.get(reverse("account")).content.decode()
    settings.KNOWN_VOICES = False
    assert 'name="known_voices"' not in page.get(reverse("account")).content.decode()


def test_staff_see_that_there_are_voices_and_not_whose(admin_client, alice):
    voice = KnownVoice.objects.create(owner=alice, name="Ben Okafor")
    for url in (
        reverse("admin:jobs_app_knownvoice_changelist"),
        reverse("admin:jobs_app_knownvoice_change", args=[voice.pk]),
    ):
        shown = admin_client.get(url).content.decode()
        assert "alice" in shown and "Okafor" not in shown


def test_a_transcript_without_speakers_offers_them(page, alice, wakes):
    job = completed_job(alice)
    shown = words_on(show(page, job))
    assert "Nobody is told apart" in shown and "Tell speakers apart" in shown and "RTTM" not in shown
    change(page, job, how="automatic")
    assert JobStep.objects.get(job=job, kind=StepKind.SPEAKERS).status == "waiting"


def test_somebody_elses_cannot_be_changed(client, bob, job):
    client.force_login(bob)
    assert (
        client.post(reverse("change-speakers", args=[job.pk]), {"label": "S1", "name": "x"}).status_code
        == 404
    )
    assert Speaker.objects.get(label="S1").name == "Anna"
