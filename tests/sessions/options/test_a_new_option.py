"""A new option is one line: it is then taken, kept, answered and shown everywhere."""

from __future__ import annotations

import base64

import pytest
from django.core.management import call_command
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator

from jobs_app.management.commands import transcribe
from jobs_app.models import TranscriptionJob
from people_app.models import User
from sessions_app.openai.serializers import TranscriptionInput
from sessions_app.tus.protocol import Wanted
from speech.types import DecodeReport
from tests.sessions.options.more import add_the_option
from tests.sessions.uploads import refused, send

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def new_option(monkeypatch):
    add_the_option(monkeypatch)


def test_an_upload_sets_it_and_its_job_tells_it(api, wav):
    assert send(api, wav).data["job"]["punctuate"] is True
    assert send(api, wav, punctuate="false").data["job"]["punctuate"] is False
    assert TranscriptionJob.objects.filter(stored_options__punctuate=False).count() == 1
    assert refused(send(api, wav, punctuate="perhaps"), 400, "invalid")


def test_a_resumable_upload_and_openais_form_set_it():
    assert Wanted(f"punctuate {base64.b64encode(b'false').decode()}", User()).options.punctuate is False
    given = TranscriptionInput(data={"punctuate": "false"})
    given.fields["file"].required = False
    given.is_valid(raise_exception=True)
    assert given.options()["punctuate"] is False


def test_a_request_that_is_repeated_with_another_value_is_another_request(api, wav):
    first = send(api, wav, key="one", punctuate="false").data["job"]["id"]
    assert send(api, wav, key="one", punctuate="false").data["job"]["id"] == first
    assert refused(send(api, wav, key="one", punctuate="true"), 422, "idempotency_mismatch")


@pytest.mark.parametrize(("sent", "chosen"), [({"punctuate": "true"}, True), ({}, False)])
def test_the_pages_ask_for_it(client, alice, stored_job, sent, chosen):
    client.force_login(alice)
    for page in ("upload", "record"):
        assert (
            '<input type="checkbox" name="punctuate" value="true"'
            in client.get(reverse(page)).content.decode()
        )
    TranscriptionJob.objects.update(status="cancelled", stage="ended", ended_at=stored_job.created_at)
    client.post(reverse("transcribe-again", args=[stored_job.pk]), sent)
    assert TranscriptionJob.objects.exclude(pk=stored_job.pk).get().options.punctuate is chosen


@pytest.mark.parametrize(("argument", "chosen"), [("--punctuate", True), ("--no-punctuate", False)])
def test_the_command_takes_it(monkeypatch, tmp_path, wav, argument, chosen):
    (tmp_path / "talk.wav").write_bytes(wav)
    asked = []
    monkeypatch.setattr(
        transcribe,
        "transcribe",
        lambda source, options, **_: asked.append(options) or ([], DecodeReport(), ""),
    )
    call_command("transcribe", str(tmp_path / "talk.wav"), argument)
    assert asked[0].punctuate is chosen


def test_the_openapi_document_describes_it():
    components = SchemaGenerator().get_schema(public=True)["components"]["schemas"]
    described = {"type": "boolean", "description": "Write full stops and commas."}
    for name in (
        "UploadInput",
        "SessionCreateInput",
        "OptionsInput",
        "TranscriptionInput",
        "TranslationInput",
    ):
        assert components[name]["properties"]["punctuate"] == {**described, "default": True}
    # Not of JobInListOutput: a view has an instance of it, whose fields are those of the first document.
    assert components["JobOutput"]["properties"]["punctuate"] == {**described, "readOnly": True}


def test_somebody_prefers_it(api, wav, client, alice):
    assert api.patch("/api/preferences/", {"defaults": {"punctuate": False}}).status_code == 200
    assert send(api, wav).data["job"]["punctuate"] is False
    assert send(api, wav, punctuate="true").data["job"]["punctuate"] is True
    client.force_login(alice)
    client.post(reverse("account"), {"theme": "auto", "new-punctuate": "true"})
    assert send(api, wav).data["job"]["punctuate"] is True


def test_staff_see_it(client, staff, stored_job):
    client.force_login(staff)
    page = client.get(reverse("admin:jobs_app_transcriptionjob_change", args=[stored_job.pk]))
    assert "Punctuate: True" in page.content.decode()


def test_a_job_that_is_older_than_the_option_has_its_default(stored_job):
    TranscriptionJob.objects.update(stored_options={"version": 1, "temperature": 0.5})
    found = TranscriptionJob.objects.get().options
    assert (found.punctuate, found.temperature) == (True, 0.5)


def test_a_job_of_a_newer_release_is_read_without_what_is_not_known(stored_job):
    TranscriptionJob.objects.update(stored_options={"version": 2, "dialect": "Swiss", "punctuate": False})
    assert TranscriptionJob.objects.get().options.punctuate is False
