"""Every option can be set wherever its row of the table says, and nowhere is one forgotten."""

from __future__ import annotations

import base64
from argparse import ArgumentParser
from dataclasses import replace

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs_app.api.serializers import JobInListOutput
from jobs_app.engines import resolving
from jobs_app.management.commands.transcribe import Command
from jobs_app.models import TranscriptionJob
from jobs_app.models.options import Door, JobOptions, Kept, Option, all_options
from people_app.models import User
from sessions_app.openai.serializers import TranscriptionInput, TranslationInput
from sessions_app.options import forms
from sessions_app.options.forms import OptionsForm, initial_of
from sessions_app.options.serializers import OptionsInput
from sessions_app.recordings.serializers import SessionCreateInput, UploadInput
from sessions_app.tus.protocol import Wanted
from speech.engines.base import Capabilities

ABLE = Capabilities(languages=frozenset({"de", "en"}), translates_to=frozenset({"en"}))
SPECIAL = {
    "language": "de",
    "engine": "local",
    "model": "tiny.en",
    "fallback_engine": "fake",
    "fallback_model": "fake",
    "languages": "de,en",
    "audio_track": "1",
    "translate_to": "en",
}


def ended_beside(other: TranscriptionJob, wanted: JobOptions) -> TranscriptionJob:
    """One more job of the same recording."""
    ended = {"status": "completed", "stage": "ended", "ended_at": timezone.now()}
    of = {"session": other.session, "owner": other.owner, "sound": other.sound}
    return TranscriptionJob.objects.create_with(wanted, **of, **ended)


@pytest.fixture(autouse=True)
def able_engines(settings, monkeypatch):
    settings.ENGINES, settings.LOCAL_MODELS, settings.PROVIDERS = ["fake", "local"], ["base", "tiny.en"], {}
    settings.DEFAULT_ENGINE = "fake"
    for module in (resolving, forms):
        monkeypatch.setattr(module, "capabilities_of", lambda engine, model: ABLE)


def another(row: Option):
    """A value of an option that is not its default."""
    if row.name in SPECIAL:
        return SPECIAL[row.name]
    if row.choices:
        return next(value for value in row.choices.values if value != row.default)
    if row.type is bool:
        return not row.default
    return "Some words" if row.type is str else row.type(row.most)


def given_at(door: Door) -> dict[str, object]:
    return {row.name: another(row) for row in all_options() if door in row.doors}


def expected_at(door: Door) -> JobOptions:
    given = given_at(door)
    return JobOptions(**{"engine": "fake", "model": "fake", "language_wish": given["language"], **given})


def as_form(values: dict[str, object]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()
    }


def encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def test_each_option_has_a_door_or_follows_from_another():
    following = [row.name for row in all_options() if not row.doors]
    assert following == ["language_wish", "likely_languages", "translator", "word_times"]


@pytest.mark.parametrize("kind", [OptionsInput, UploadInput, SessionCreateInput])
def test_the_api_takes_each_option(kind):
    given = kind(data=as_form(given_at(Door.API)))
    if "file" in given.fields:
        given.fields["file"].required = False
    assert given.is_valid(), given.errors
    assert given.job_options(User()) == expected_at(Door.API)


def test_the_metadata_of_tus_takes_each_option():
    pairs = as_form(given_at(Door.API)).items()
    metadata = ",".join(f"{name} {encoded(value)}" for name, value in pairs)
    assert Wanted(metadata, User()).options == expected_at(Door.API)


def test_an_empty_number_is_none_whatever_somebody_prefers(api, alice):
    api.patch("/api/preferences/", {"num_speakers": 2}, format="json")
    made = api.post("/api/sessions/", {"diarize": True, "num_speakers": ""}, format="json").json()
    assert TranscriptionJob.objects.get(pk=made["job"]["id"]).options.num_speakers is None
    alice.refresh_from_db()
    assert Wanted(f"diarize {encoded('true')},num_speakers ", alice).options.num_speakers is None


@pytest.mark.parametrize("kind", [TranscriptionInput, TranslationInput])
def test_openais_form_takes_each_option(kind):
    given = kind(data=as_form(given_at(Door.OPENAI)))
    given.fields["file"].required = False
    assert given.is_valid(), given.errors
    # Its answers have one text; speakers are told apart with the times of words.
    expected = given_at(Door.OPENAI) | {"keep_original": False, "word_times": True}
    if kind is TranslationInput:
        del expected["language"]
        expected["translate_to"] = "en"
    assert given.options() == expected


@pytest.mark.parametrize("door", [Door.UPLOAD_PAGE, Door.RECORDER_PAGE])
def test_a_page_takes_each_option(door):
    values = given_at(door)
    for engine, model in (("engine", "model"), ("fallback_engine", "fallback_model")):
        values[f"{engine}_model"] = f"{values.pop(engine)}/{values.pop(model)}"
    form = OptionsForm(as_form(values), user=User(), doors=(door,))
    assert form.is_valid(), form.errors
    assert set(form.fields) == set(values)
    assert form.options() == expected_at(door)
    assert {field.name for field in form if not field.label} == set()


def test_a_page_shows_the_options_of_an_earlier_job():
    wanted = expected_at(Door.UPLOAD_PAGE)
    form = OptionsForm(user=User(), initial=initial_of(wanted))
    again = OptionsForm({field.name: field.initial for field in form}, user=User())
    assert again.is_valid(), again.errors
    assert again.options() == wanted


def test_the_command_takes_each_option(monkeypatch):
    parser = ArgumentParser()
    Command().add_arguments(parser)
    line = ["talk.wav"]
    for name, value in given_at(Door.COMMAND).items():
        line += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    read = vars(parser.parse_args(line))
    assert {name: read[name] for name in given_at(Door.COMMAND)} == given_at(Door.COMMAND)


def test_a_job_keeps_each_option_in_one_place(stored_job):
    wanted = JobOptions(**{row.name: another(row) for row in all_options()})
    job = ended_beside(stored_job, wanted)
    job = TranscriptionJob.objects.get(pk=job.pk)
    assert job.options == wanted
    assert job.short_options == replace(wanted, prompt="")
    columns = {field.name for field in TranscriptionJob._meta.concrete_fields}
    kept = [*columns & {row.name for row in all_options()}, *job.stored_options, *job.long_options.texts]
    assert sorted(kept) == sorted([*(row.name for row in all_options()), "version"])


def test_a_job_answers_with_each_option_but_long_texts(stored_job):
    wanted = JobOptions(**{row.name: another(row) for row in all_options()})
    job = ended_beside(stored_job, wanted)
    answer = JobInListOutput(TranscriptionJob.objects.get(pk=job.pk)).data
    told = {row.name: row.answered_as or row.name for row in all_options() if row.kept is not Kept.TEXT}
    assert {name: answer[key] for name, key in told.items()} == {name: getattr(wanted, name) for name in told}


def test_the_admin_shows_each_option(stored_job, client, staff):
    wanted = JobOptions(**{row.name: another(row) for row in all_options()})
    job = ended_beside(stored_job, wanted)
    client.force_login(staff)
    page = client.get(reverse("admin:jobs_app_transcriptionjob_change", args=[job.pk])).content.decode()
    for row in all_options():
        assert f"{row.label}: {another(row)}</div>" in page
