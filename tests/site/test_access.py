"""Who may do what, for each address of the site, each method and each kind of person.

A new address fails here until it stands in the table below.
"""

from __future__ import annotations

import re

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone

from jobs_app.lifecycle.starting import start_job
from jobs_app.models import KnownVoice, TranscriptionJob
from jobs_app.models.options import JobOptions
from jobs_app.models.vocabulary import Correction, TargetList
from people_app.models import ApiToken, User
from sessions_app.models import AudioChunk, RecordingSession, ResumableUpload
from sessions_app.transcripts.formats import find_formats
from tests.site.urls_of_the_site import patterns

# For everybody, with an account or without.
OPEN = {
    *("login/", "logout/", "sign-up/", "record/who/", "api/auth/token/", "api/schema/", "api/docs/"),
}
# Of the person who asks, whoever it is.
OWN = {
    *("", "rows/", "upload/", "record/", "account/", "account/password/", "account/tokens/new/"),
    *("vocabulary/", "vocabulary/try/", "vocabulary/corrections/", "vocabulary/corrections/import/"),
    *("vocabulary/lists/new/", "vocabulary/lists/import/"),
    *("api/uploads/", "api/uploads/tus/", "api/corrections.csv", "api/target-lists.csv", "api/corrections/"),
    *("api/corrections/import/", "api/target-lists/", "api/target-lists/import/", "api/^sessions/$"),
    *("api/engines/", "api/jobs/", "api/job-history/", "api/job-history/stats/summary/"),
    *("api/tokens/", "api/preferences/", "api/voices/"),
    *("v1/audio/transcriptions", "v1/audio/translations", "v1/models", "v1/models/<path:name>"),
}
# One row of somebody's: for others it is not there.
ROWS = {
    "account/tokens/<int:pk>/revoke/": "token",
    "api/tokens/<int:pk>/": "token",
    "jobs/<uuid:pk>/": "job",
    "jobs/<uuid:pk>/progress/": "job",
    "jobs/<uuid:pk>/cancel/": "job",
    "jobs/<uuid:pk>/retry/": "job",
    "jobs/<uuid:pk>/again/": "job",
    "jobs/<uuid:pk>/second-hearing/": "job",
    "jobs/<uuid:pk>/use/": "job",
    "jobs/<uuid:pk>/rename/": "job",
    "jobs/<uuid:pk>/speakers/": "job",
    "jobs/<uuid:pk>/language/": "job",
    "jobs/<uuid:pk>/delete/": "job",
    "jobs/<uuid:pk>/corrections/": "job",
    "recordings/<uuid:pk>/transcribe/": "session",
    "recordings/<uuid:pk>/delete/": "session",
    "vocabulary/corrections/<uuid:pk>/": "correction",
    "vocabulary/corrections/<uuid:pk>/delete/": "correction",
    "vocabulary/lists/<uuid:pk>/": "list",
    "vocabulary/lists/<uuid:pk>/delete/": "list",
    "account/voices/<uuid:pk>/rename/": "voice",
    "account/voices/<uuid:pk>/delete/": "voice",
    "api/voices/<uuid:pk>/": "voice",
    "api/uploads/tus/<str:pk>/": "upload",
    "api/sessions/<str:pk>/audio/": "session",
    "api/sessions/<str:pk>/chunks/": "session",
    "api/sessions/<str:pk>/chunks/<int:number>/": "session",
    "api/sessions/<str:pk>/finish/": "session",
    "api/sessions/<str:pk>/cache/": "session",
    "api/sessions/<str:pk>/text/": "session",
    "api/^sessions/(?P<pk>[^/.]+)/$": "session",
    "api/^sessions/(?P<pk>[^/.]+)/jobs/$": "session",
    "api/jobs/<uuid:pk>/corrections/": "job",
    "api/corrections/<uuid:pk>/": "correction",
    "api/target-lists/<uuid:pk>/": "list",
    **{f"api/jobs/<uuid:pk>/transcript.{ending}": "job" for ending in find_formats()},
    "api/jobs/<uuid:pk>/": "job",
    "api/jobs/<uuid:pk>/cancel/": "job",
    "api/jobs/<uuid:pk>/retry/": "job",
    "api/jobs/<uuid:pk>/segments/": "job",
    "api/jobs/<uuid:pk>/speakers/": "job",
    "api/jobs/<uuid:pk>/status/": "job",
    "api/job-history/<uuid:pk>/": "job",
}
# For staff, and there for those whom a superuser has given the right. The pages of each model are found.
STAFF = {
    *("admin/", "admin/login/", "admin/logout/", "admin/password_change/", "admin/password_change/done/"),
    *("admin/autocomplete/", "admin/jsi18n/"),
    "admin/(?P<url>.*)$",
}
STAFF_MODEL = re.compile(
    r"admin/(auth|people_app|jobs_app|sessions_app|django_q)/\w+/.*|admin/\^\(\?P<app_label>.*"
)
# To staff without a right: what says nothing of any row.
STAFF_SAYS = {"admin/", "admin/jsi18n/", "admin/login/", "admin/logout/", "admin/password_change/done/"}

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
GONE = {302, 401, 403, 404, 405}
"""What an address may answer to nobody. A page that is asked for leads to the login."""


@pytest.fixture
def rows(alice, settings, tmp_path) -> dict[str, str]:
    """One of each kind, Alice's."""
    settings.MEDIA_ROOT = tmp_path
    session = RecordingSession.objects.create(
        owner=alice, source="upload", title="Hers", finished_at=timezone.now()
    )
    AudioChunk.objects.create(
        session=session,
        number=0,
        file=ContentFile(b"sound", name=f"{session.pk}.wav"),
        filename="talk.wav",
        container="wav",
        codec="pcm_s16le",
        duration_ms=1000,
        size_bytes=5,
        sha256="0" * 64,
    )
    options = JobOptions(engine="fake", model="fake")
    return {
        "session": str(session.pk),
        "job": str(start_job(session, options, filename="talk.wav", duration_ms=1000).pk),
        "correction": str(Correction.objects.create(owner=alice, from_text="a", to_text="b").pk),
        "list": str(TargetList.objects.create(owner=alice, name="Words", words=["one"]).pk),
        "voice": str(KnownVoice.objects.create(owner=alice, name="Hers").pk),
        "token": str(ApiToken.objects.issue(alice, "Hers").pk),
        "upload": str(ResumableUpload.objects.create(owner=alice, length=5).pk),
    }


def browser_of(person: User | None) -> Client:
    client = Client(raise_request_exception=False)
    if person is not None:
        client.force_login(person)
    return client


@pytest.fixture
def people(bob, django_user_model) -> dict[str, Client]:
    """Clients of people who may see nothing of Alice's."""
    make = django_user_model.objects.create_user
    watcher, inactive, deleted = make("watcher", is_staff=True), make("inactive"), make("deleted")
    tokens = {person.username: ApiToken.objects.issue(person).key for person in (bob, inactive, deleted)}
    clients = {
        "anonymous": browser_of(None),
        "other": browser_of(bob),
        "staff": browser_of(watcher),
        "inactive": browser_of(inactive),
        "deleted": browser_of(deleted),
    }
    for name in ("inactive", "deleted"):
        client = Client(raise_request_exception=False, headers={"Authorization": f"Token {tokens[name]}"})
        clients[f"{name}, by token"] = client
    inactive.is_active = False
    inactive.save()
    deleted.delete()
    return clients


def ask(client: Client, method: str, address: str) -> int:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    return getattr(client, method)(address, headers=headers).status_code


def filled(route: str, address: str, rows: dict[str, str]) -> str:
    kind = ROWS.get(route)
    return (
        re.sub(r"/(00000000-0000-0000-0000-000000000007|7)/", f"/{rows[kind]}/", f"{address}/")[:-1]
        if kind
        else address
    )


def table() -> list[tuple[str, str]]:
    return list(dict(patterns()).items())


def test_every_address_is_in_the_table():
    known = OPEN | OWN | set(ROWS) | STAFF
    assert [route for route, _ in table() if route not in known and not STAFF_MODEL.fullmatch(route)] == []
    assert known - {route for route, _ in table()} == set()


@pytest.fixture(autouse=True)
def no_throttle(monkeypatch):
    rates = dict.fromkeys(("user", "anon", "upload", "chunk", "login"), "100000/hour")
    monkeypatch.setattr("rest_framework.throttling.SimpleRateThrottle.THROTTLE_RATES", rates)


NOBODY = ("anonymous", "inactive", "deleted", "inactive, by token", "deleted, by token")


@pytest.mark.django_db
@pytest.mark.parametrize("who", [*NOBODY, "other", "staff"])
def test_nobody_is_answered_more_than_the_table_says(people, rows, who):
    client, wrong = people[who], []
    for route, address in table():
        is_staff_page = route.startswith("admin/")
        address = filled(route, address, rows)
        methods = ("get", "post") if is_staff_page else METHODS
        if "inactive" in who or "deleted" in who:
            # They are told from others before anything looks at the method.
            methods = ("get", "post")
        for method in ("get",) if "logout/" in route else methods:
            status = ask(client, method, address)
            if status >= 500 and route not in ("readyz",):
                wrong.append((method, address, status))
            elif route in OPEN or (method == "options" and route.startswith("api/uploads/tus/")):
                continue
            elif is_staff_page:
                allowed = {302, 403, 404, 405} | ({200} if who == "staff" and route in STAFF_SAYS else set())
                if status not in allowed:
                    wrong.append((method, address, status))
            elif who in NOBODY:
                if status not in GONE:
                    wrong.append((method, address, status))
            elif route in ROWS and method == "options" and status == 200:
                # What the address can do, without a look at the row.
                continue
            elif route in ROWS and status not in (404, 405):
                wrong.append((method, address, status))
    assert wrong == []
    assert all_of_alices_is_there(rows)


def all_of_alices_is_there(rows: dict[str, str]) -> bool:
    return (
        RecordingSession.objects.get(pk=rows["session"]).title == "Hers"
        and TranscriptionJob.objects.get(pk=rows["job"]).status == "pending"
        and TranscriptionJob.objects.filter(session=rows["session"]).count() == 1
        and AudioChunk.objects.filter(session=rows["session"]).count() == 1
        and Correction.objects.get(pk=rows["correction"]).to_text == "b"
        and TargetList.objects.get(pk=rows["list"]).words == ["one"]
        and KnownVoice.objects.get(pk=rows["voice"]).name == "Hers"
        and ApiToken.objects.filter(pk=rows["token"]).exists()
        and ResumableUpload.objects.filter(pk=rows["upload"]).exists()
    )


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["job", "session", "correction", "list", "voice"])
def test_the_owner_is_answered(alice, rows, kind):
    """So that the rows above are not missing for everybody."""
    client = browser_of(alice)
    routes = [(route, address) for route, address in table() if ROWS.get(route) == kind]
    statuses = {ask(client, "get", filled(route, address, rows)) for route, address in routes}
    assert 200 in statuses
