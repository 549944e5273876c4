"""Voices that people save under names, and what is suggested in later recordings, as programs see it."""

from __future__ import annotations

import pytest

from jobs_app.lifecycle.carrying import carry_names
from jobs_app.lifecycle.choices import delete_job
from jobs_app.lifecycle.naming import ask_for_speakers
from jobs_app.models import (
    JobStatus,
    KnownVoice,
    KnownVoiceSample,
    SpeakerVoice,
    TranscriptionJob,
    VoiceSuggestion,
    WindowVoices,
)
from jobs_app.models.speakers import SpeakerCount
from people_app.deletion import delete as delete_person
from people_app.deletion import goes_with
from speech.speakers import Voice
from tests.jobs.conftest import wakes  # noqa: F401
from tests.jobs.voices import PACKED, do_all_work, fake_voices, voice_of
from tests.samples import SENTENCES, add_segments, completed_job, make_job, run_again
from tests.sessions.conftest import client_of
from tests.sessions.uploads import refused

pytestmark = pytest.mark.django_db
VOICES = "/api/voices/"
AGAIN = {"kind": "refine", "status": "completed", "duration_ms": 9000, "total_segments": len(SENTENCES)}
ANNA, BEN = voice_of(0), voice_of(1)
LIKE_ANNA = voice_of(0, other=0.6)


@pytest.fixture(autouse=True)
def on(alice, bob):
    for person in (alice, bob):
        person.known_voices = True
        person.save(update_fields=["known_voices"])


@pytest.fixture
def voices(monkeypatch):
    return fake_voices(monkeypatch)


@pytest.fixture
def told(voices, wakes):  # noqa: F811
    """A completed job of which these voices were heard, and whose speakers a worker has told apart."""

    def make(owner, *sounds: Voice, after: TranscriptionJob | None = None, **options) -> TranscriptionJob:
        voices.sounds = list(sounds)
        job = completed_job(owner) if after is None else run_again(after.session, **AGAIN)
        if after is not None:
            add_segments(job, SENTENCES)
        WindowVoices.objects.create(window=job.windows.get(), packed=PACKED)
        job.stored_options |= options
        job.save(update_fields=["stored_options"])
        ask_for_speakers(job.pk, SpeakerCount())
        do_all_work()
        job.refresh_from_db()
        assert job.transcript.speakers_state == "told"
        return job

    return make


def speakers(api, job) -> list[tuple[str, dict | None]]:
    rows = api.get(f"/api/jobs/{job.pk}/speakers/").json()
    return [(row["name"], row["suggestion"]) for row in rows]


def change(api, job, **sent):
    return api.patch(f"/api/jobs/{job.pk}/speakers/", sent, format="json")


def save(api, job, label: str = "S1", name: str = "Anna"):
    return api.post(VOICES, {"job": str(job.pk), "label": label, "name": name}, format="json")


def test_a_saved_voice_is_suggested_later_and_a_person_confirms(api, alice, told):
    first = told(alice, ANNA, BEN)
    answer = save(api, first)
    assert answer.status_code == 201
    voice = answer.json()
    assert (voice["name"], [one["title"] for one in voice["samples"]]) == ("Anna", ["A talk"])
    assert voice["samples"][0] | {"saved_at": ""} == {
        "job": str(first.pk),
        "title": "A talk",
        "clean_ms": 20_000,
        "saved_at": "",
    }
    # Whoever saves a voice has said who speaks there.
    assert speakers(api, first) == [("Anna", None), ("", None)]

    later = told(alice, BEN, LIKE_ANNA)
    suggestion = {"name": "Anna", "certainty": 0.8, "voice": voice["id"]}
    assert speakers(api, later) == [("", None), ("", suggestion)]
    # Nothing else says it: no file, and no answer of OpenAI's form.
    for ending in ("txt", "json", "srt", "rttm"):
        assert b"Anna" not in api.get(f"/api/jobs/{later.pk}/transcript.{ending}").content
    for _ in range(2):
        confirmed = change(api, later, label="S2", confirm=voice["id"])
        assert (confirmed.status_code, confirmed.json()[1]["name"]) == (200, "Anna")
    assert speakers(api, later) == [("", None), ("Anna", None)]


def test_what_is_rejected_is_not_asked_again(api, alice, told):
    voice = save(api, told(alice, ANNA, BEN)).json()["id"]
    later = told(alice, LIKE_ANNA, BEN)
    for _ in range(2):
        assert change(api, later, label="S1", reject=voice).status_code == 200
    assert speakers(api, later) == [("", None), ("", None)]
    ask_for_speakers(later.pk, SpeakerCount(exactly=2))
    do_all_work()
    assert speakers(api, later) == [("", None), ("", None)]
    # The next recording is another question, and a name that is given by hand is none.
    assert speakers(api, told(alice, LIKE_ANNA, BEN))[0][1]["name"] == "Anna"
    assert change(api, later, label="S1", confirm=voice).json()[0]["name"] == "Anna"


def test_a_voice_is_suggested_once_and_not_where_its_name_is_given(api, alice, told):
    save(api, told(alice, ANNA, BEN))
    later = told(alice, LIKE_ANNA, voice_of(0, other=0.5))
    assert [bool(one) for _, one in speakers(api, later)] == [False, True]
    change(api, later, label="S1", name="ANNA")
    assert [bool(one) for _, one in speakers(api, later)] == [False, False]
    # Names that a request has come first.
    named = told(alice, LIKE_ANNA, BEN, speaker_names="Cleo")
    assert speakers(api, named) == [("Cleo", None), ("", None)]


def test_a_merged_speaker_is_asked_about_and_saved_by_the_voice_that_is_heard_most(api, alice, told):
    voice = save(api, told(alice, ANNA, BEN)).json()["id"]
    later = told(alice, voice_of(5, clean_s=12), LIKE_ANNA)
    change(api, later, label="S2", into="S1")
    assert [one["voice"] for _, one in speakers(api, later)] == [voice]
    assert save(api, later, "S1", "").status_code == 400
    assert save(api, later, "S1", "Anna").status_code == 200
    sample = KnownVoiceSample.objects.get(job=later)
    assert bytes(sample.packed) == LIKE_ANNA.vector


def test_saving_again_adds_a_sample_for_each_recording_up_to_a_limit(api, alice, told, settings):
    settings.MAX_VOICE_SAMPLES = 2
    jobs = [told(alice, voice_of(0, other=other), BEN) for other in (0.0, 0.1, 0.2)]
    answers = [save(api, job, name=name) for job, name in zip(jobs, ("Anna", " anna", "ANNA "), strict=True)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert [one["job"] for one in answers[2].json()["samples"]] == [str(jobs[2].pk), str(jobs[1].pk)]
    again = save(api, jobs[2])
    assert (again.status_code, len(again.json()["samples"])) == (200, 2)
    listed = api.get(VOICES).json()["results"]
    assert [(one["name"], len(one["samples"])) for one in listed] == [("Anna", 2)]
    settings.MAX_VOICES = 1
    refused(save(api, jobs[0], "S2", "Ben"), 400, "invalid")


def test_voices_are_renamed_and_deleted_and_transcripts_keep_the_name(api, alice, told):
    job = told(alice, ANNA, BEN)
    anna, ben = (save(api, job, label, name).json()["id"] for label, name in (("S1", "Anna"), ("S2", "Ben")))
    later = told(alice, ANNA, BEN)
    assert api.patch(f"{VOICES}{anna}/", {"name": " Anna \u202e Okafor "}).json()["name"] == "Anna Okafor"
    assert speakers(api, later)[0][1]["name"] == "Anna Okafor"
    refused(api.patch(f"{VOICES}{ben}/", {"name": "anna okafor"}), 400, "invalid")
    refused(api.patch(f"{VOICES}{ben}/", {"name": "\u200b"}), 400, "invalid")
    refused(api.patch(f"{VOICES}{ben}/", {}), 400, "invalid")
    assert api.delete(f"{VOICES}{ben}/").status_code == 204
    assert [suggestion is None for _, suggestion in speakers(api, later)] == [False, True]
    assert speakers(api, job)[1][0] == "Ben"
    refused(api.get(f"{VOICES}{ben}/"), 404, "not_found")
    refused(change(api, later, label="S2", confirm=ben), 422, "no_such_voice")


def test_what_cannot_be_saved_is_refused(api, alice, told):
    short = told(alice, voice_of(0, clean_s=9.9), Voice())
    refused(save(api, short), 422, "too_little_voice")
    refused(save(api, short, "S2"), 409, "not_ready")
    refused(save(api, short, "S9"), 422, "no_such_speaker")
    refused(save(api, make_job(alice)), 409, "not_ready")
    refused(save(api, short, name="x" * 101), 400, "invalid")
    refused(save(api, short, name="a\0b"), 400, "invalid")
    refused(api.post(VOICES, {"label": "S1", "job": "mine"}), 400, "invalid")
    assert not KnownVoice.objects.exists()


def test_nobody_else_has_them(api, alice, bob, told):
    voice = save(api, told(alice, ANNA, BEN)).json()["id"]
    his = told(bob, LIKE_ANNA, BEN)
    bobs = client_of(bob)
    assert speakers(bobs, his) == [("", None), ("", None)]
    assert not VoiceSuggestion.objects.exists()
    refused(change(bobs, his, label="S1", confirm=voice), 422, "no_such_voice")
    refused(change(bobs, his, label="S1", reject=voice), 422, "no_such_voice")
    refused(save(bobs, KnownVoiceSample.objects.get().job), 404, "not_found")
    for method in ("get", "patch", "delete"):
        refused(getattr(bobs, method)(f"{VOICES}{voice}/"), 404, "not_found")
    assert bobs.get(VOICES).json()["results"] == []


@pytest.mark.parametrize("who", ["person", "site"])
def test_where_they_are_off_nothing_is_saved_compared_or_suggested(api, alice, told, settings, who):
    job = told(alice, ANNA, BEN)
    voice = save(api, job).json()["id"]
    before = told(alice, LIKE_ANNA, BEN)
    if who == "site":
        settings.KNOWN_VOICES = False
    else:
        assert api.patch("/api/preferences/", {"known_voices": False}).status_code == 200
    assert speakers(api, before) == [("", None), ("", None)]
    refused(save(api, job, "S2", "Ben"), 409, "voices_off")
    refused(change(api, before, label="S1", confirm=voice), 409, "voices_off")
    after = told(alice, LIKE_ANNA, BEN)
    assert not VoiceSuggestion.objects.filter(job=after).exists()
    assert SpeakerVoice.objects.filter(speaker__job=after).exists() == (who == "person")
    # It can be taken back, and what was saved can be deleted.
    answer = api.patch("/api/preferences/", {"known_voices": True})
    assert answer.status_code == (400 if who == "site" else 200)
    assert api.delete(f"{VOICES}{voice}/").status_code == 204


def test_they_are_off_until_somebody_turns_them_on(api, django_user_model):
    fresh = django_user_model.objects.create_user("fresh")
    assert client_of(fresh).get("/api/preferences/").json()["known_voices"] is False


@pytest.mark.parametrize("gone", ["job", "recording", "person"])
def test_vectors_go_with_their_job_or_audio_and_saved_ones_with_the_person(api, alice, told, gone):
    from sessions_app.arrival.intake import delete_session

    job = told(alice, ANNA, BEN)
    voice = save(api, job).json()["id"]
    assert goes_with([alice])["saved voices"] == 1
    if gone == "job":
        delete_job(job.pk)
    elif gone == "recording":
        delete_session(job.session)
    else:
        delete_person(alice)
    assert not WindowVoices.objects.exists()
    assert not SpeakerVoice.objects.exists()
    if gone == "person":
        assert not KnownVoiceSample.objects.exists()
        return
    sample = api.get(f"{VOICES}{voice}/").json()["samples"][0]
    assert (sample["job"], sample["title"]) == (None, "")
    assert speakers(api, told(alice, LIKE_ANNA, BEN))[0][1]["name"] == "Anna"


def test_a_voice_that_is_deleted_while_speakers_are_told_apart_is_not_suggested(
    api, alice, told, voices, monkeypatch
):
    voice = save(api, told(alice, ANNA, BEN)).json()["id"]
    from speech.speakers import suggest

    def meanwhile(heard, profiles):
        found = suggest(heard, profiles)
        assert found
        api.delete(f"{VOICES}{voice}/")
        return found

    monkeypatch.setattr("speech.speakers.suggest", meanwhile)
    assert speakers(api, told(alice, LIKE_ANNA, BEN)) == [("", None), ("", None)]


def test_a_second_hearing_asks_nothing_that_was_answered(api, alice, told):
    voice = save(api, told(alice, ANNA, BEN)).json()["id"]
    first = told(alice, LIKE_ANNA, BEN)
    change(api, first, label="S1", reject=voice)
    refined = told(alice, LIKE_ANNA, BEN, after=first)
    # As while it waits to be completed, which is when it takes over what people said.
    refined.status = JobStatus.PROCESSING
    carry_names(refined)
    assert speakers(api, refined) == [("", None), ("", None)]
    ask_for_speakers(refined.pk, SpeakerCount())
    do_all_work()
    assert speakers(api, refined) == [("", None), ("", None)]
