"""Every Refusal there is: what it says, and that each door answers it in its own form."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest
from rest_framework import exceptions
from rest_framework.test import APIClient

from jobs_app.api.errors import RefusedBySpeech
from jobs_app.models import TranscriptionJob
from people_app.models import ApiToken, TokenRights
from people_app.tokens import TokenMayNot
from rest.errors import RefusedByDrf
from rest.refusals import Invalid, Refusal
from sessions_app.arrival.refusals import ChecksumMismatch, ChunksMissing, NumberTooHigh
from sessions_app.openai.answers import JobFailed, TimedOut
from sessions_app.openai.names import ModelNotFound
from sessions_app.vocabulary.lists import Refused
from speech.errors import NoAudio
from transcribe_site import urls  # noqa: F401  imports all that can be raised behind the doors
from transcribe_site.bodies import handler, refusals
from transcribe_site.edge.error_pages import BadRequest, UnknownHost
from transcribe_site.server import make_application

# Of those that are made with something.
MADE = {
    BadRequest: lambda: BadRequest("Send less text."),
    refusals.BodyTooLarge: lambda: refusals.BodyTooLarge(1024 * 1024),
    ChecksumMismatch: lambda: ChecksumMismatch("chunk", "SHA-256"),
    ChunksMissing: lambda: ChunksMissing([1, 2]),
    Invalid: lambda: Invalid({"title": ["Write a title."]}),
    JobFailed: lambda: JobFailed(TranscriptionJob(error_code="no_audio", error="There is no sound in it.")),
    ModelNotFound: lambda: ModelNotFound("whisper-2"),
    NumberTooHigh: lambda: NumberTooHigh(9, 8),
    Refused: lambda: Refused("words", "These are too many. Use fewer.", "One of them is empty."),
    RefusedByDrf: lambda: RefusedByDrf(exceptions.NotAcceptable()),
    RefusedBySpeech: lambda: RefusedBySpeech(NoAudio()),
    TimedOut: lambda: TimedOut(uuid.uuid4()),
    TokenMayNot: lambda: TokenMayNot(ApiToken(rights=TokenRights.READ)),
    UnknownHost: lambda: UnknownHost("elsewhere", "Use the address that you were given."),
}


def kinds(of: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for kind in of.__subclasses__():
        if not kind.__module__.startswith("tests."):
            yield kind
        yield from kinds(kind)


ALL = list(dict.fromkeys(kinds()))
every_one = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)


def made(kind: type[Refusal]) -> Refusal:
    return MADE.get(kind, kind)()


@every_one
def test_a_refusal_has_a_status_a_code_and_a_sentence(kind):
    refusal = made(kind)
    assert 400 <= refusal.status < 600
    assert refusal.code.isidentifier()
    assert refusal.code != Refusal.code
    assert str(refusal).endswith(".")
    assert kind.sentence.endswith(".")


def test_a_code_is_given_by_one_class_and_shared_with_those_below_it_alone():
    given = Counter(vars(kind)["code"] for kind in ALL if "code" in vars(kind))
    assert [code for code, times in given.items() if times > 1] == []


def test_every_code_of_the_general_ones_is_known():
    """So that a walk over nothing does not pass."""
    codes = {made(kind).code for kind in ALL}
    assert {"invalid", "not_found", "storage_full", "checksum_mismatch", "busy", "csrf_failed"} <= codes


# --- The doors ------------------------------------------------------------------------------------


@pytest.fixture
def failing(monkeypatch):
    """Let a function raise a refusal."""

    def fail(path: str, refusal: Refusal) -> None:
        def raising(*args: object, **kwargs: object) -> None:
            raise refusal

        monkeypatch.setattr(path, raising)

    return fail


@pytest.fixture
def logged_in(alice) -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(alice)
    client.force_login(alice)
    return client


def in_the_form_of_the_api(refusal: Refusal, content: bytes) -> bool:
    data = json.loads(content)
    return (data["detail"], data["code"]) == (
        str(refusal),
        refusal.code,
    ) and refusal.more.keys() <= data.keys()


def in_the_form_of_openai(refusal: Refusal, content: bytes) -> bool:
    data = json.loads(content)
    return data.keys() == {"error"} and data["error"].keys() == {"message", "type", "param", "code"}


def status_under_v1(refusal: Refusal) -> int:
    """Clients of OpenAI's API know no 422."""
    return 400 if refusal.status == 422 else refusal.status


@every_one
def test_the_api_answers_it(kind, failing, logged_in):
    refusal = made(kind)
    failing("jobs_app.api.jobs.ReadJobs.get_queryset", refusal)
    answer = logged_in.get("/api/jobs/")
    assert answer.status_code == refusal.status
    assert refusal.headers.items() <= answer.headers.items()
    assert in_the_form_of_the_api(refusal, answer.content)


@every_one
def test_v1_answers_it(kind, failing, logged_in):
    refusal = made(kind)
    failing("sessions_app.openai.api.models_by_name", refusal)
    answer = logged_in.get("/v1/models")
    assert answer.status_code == status_under_v1(refusal)
    assert refusal.headers.items() <= answer.headers.items()
    assert in_the_form_of_openai(refusal, answer.content)


@every_one
def test_tus_answers_it(kind, failing, logged_in):
    refusal = made(kind)
    failing("sessions_app.tus.uploads.create", refusal)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1"}
    answer = logged_in.post("/api/uploads/tus/", headers=headers)
    assert answer.status_code == (460 if kind is ChecksumMismatch else refusal.status)
    assert answer["Tus-Resumable"] == "1.0.0"
    assert in_the_form_of_the_api(refusal, answer.content)


@every_one
def test_a_page_answers_it(kind, failing, logged_in):
    refusal = made(kind)
    failing("sessions_app.pages.home.listing", refusal)
    answer = logged_in.get("/")
    assert answer.status_code == refusal.status
    assert answer["Content-Type"].startswith("text/html")
    assert refusal.headers.items() <= answer.headers.items()


@pytest.mark.parametrize(
    ("path", "answered"),
    [
        ("/api/uploads/", in_the_form_of_the_api),
        ("/v1/audio/transcriptions", in_the_form_of_openai),
        ("/upload/", lambda refusal, content: content.startswith(b"<!doctype html>")),
    ],
)
@every_one
def test_before_django_it_is_answered_too(kind, path, answered, monkeypatch):
    refusal = made(kind)

    async def refuse(self, *args: object) -> None:
        raise refusal

    monkeypatch.setattr(handler.LimitedHandler, "_serve", refuse)
    sent = []

    async def send(message: dict) -> None:
        sent.append(message)

    async def receive() -> dict:
        return {"type": "http.request", "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(b"host", b"localhost")],
        "query_string": b"",
    }
    asyncio.run(make_application()(scope, receive, send))
    expected = status_under_v1(refusal) if path.startswith("/v1/") else refusal.status
    assert sent[0]["status"] == expected
    assert answered(refusal, sent[1]["body"])
