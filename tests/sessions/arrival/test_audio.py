"""Stored audio over HTTP, in ranges."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from django.test import AsyncRequestFactory

from jobs_app.engines.resolving import resolve_options
from rest import ranges
from sessions_app.arrival.audio import audio_response, stored_audio
from sessions_app.arrival.intake import store_upload
from sessions_app.models import AudioChunk, SessionSource
from tests.sessions.conftest import upload_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(stored_job) -> str:
    return f"/api/sessions/{stored_job.session_id}/audio/"


@pytest.fixture
def get(api, url):
    return lambda method="get", **headers: getattr(api, method)(
        url, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_the_whole_recording_is_served_as_it_was_sent(get, wav):
    response = get()
    assert (response.status_code, response.getvalue()) == (200, wav)
    assert response["Content-Type"] == "audio/wav"
    assert response["Content-Length"] == str(len(wav))
    assert response["Accept-Ranges"] == "bytes"
    assert response["Content-Disposition"] == 'inline; filename="talk.wav"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "private" in response["Cache-Control"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, None),
        ("bytes=-100", -100, None),
        ("bytes=0-999999999", 0, None),
        ("bytes=-999999999", 0, None),
        ("Bytes = 5 - 9", 5, 10),
    ],
)
def test_a_range_is_served_alone(get, wav, asked, start, end):
    response = get(Range=asked)
    part = wav[start:end]
    first = range(len(wav))[start:end][0]
    assert (response.status_code, response.getvalue()) == (206, part)
    assert response["Content-Range"] == f"bytes {first}-{first + len(part) - 1}/{len(wav)}"
    assert response["Content-Length"] == str(len(part))


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=-0", "bytes=999999999-9999999999"])
def test_a_range_behind_the_end_cannot_be_served(get, wav, asked):
    response = get(Range=asked)
    assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{len(wav)}")
    assert response.content == b""


@pytest.mark.parametrize(
    "asked",
    ["bytes=5-2", "bytes=a-b", "bytes=-", "seconds=0-1", "bytes=0-1,3-4", "bytes=" + "9" * 5000 + "-", ""],
)
def test_a_range_that_is_not_understood_is_ignored(get, wav, asked):
    response = get(Range=asked)
    assert (response.status_code, response.getvalue()) == (200, wav)


def test_the_rest_is_served_only_of_the_same_recording(get, wav):
    etag = get()["ETag"]
    assert get(Range="bytes=5-", If_Range=etag).status_code == 206
    assert get(Range="bytes=5-", If_Range='"another"').status_code == 200
    assert get(Range="bytes=5-", If_Range="Wed, 21 Oct 2015 07:28:00 GMT").status_code == 200


def test_what_the_client_has_is_not_sent_again(get):
    etag = get()["ETag"]
    response = get(If_None_Match=etag)
    assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)
    assert get(If_None_Match='"another"').status_code == 200


def test_head_tells_what_get_would(get, wav):
    response = get("head")
    assert (response.status_code, response.content) == (200, b"")
    assert (response["Content-Length"], response["Accept-Ranges"]) == (str(len(wav)), "bytes")
    response = get("head", Range="bytes=0-9")
    assert (response.status_code, response["Content-Length"]) == (206, "10")


@pytest.mark.parametrize("yes", ["1", "true"])
def test_it_can_be_saved_under_its_name(api, url, yes):
    assert api.get(url, {"download": yes})["Content-Disposition"] == 'attachment; filename="talk.wav"'


@pytest.mark.parametrize("method", ["get", "head"])
def test_audio_that_is_lost_is_said_to_be_lost(api, url, stored_job, method, caplog):
    chunk = AudioChunk.objects.get()
    Path(chunk.file.path).unlink()
    response = getattr(api, method)(url)
    assert response.status_code == 404
    assert response.data["code"] == "audio_missing"
    assert chunk.file.name in caplog.text


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("report.html", "report.wav"),
        ("x.mp3.hta", "x.mp3.wav"),
        ("Dr. Smith on art", "Dr. Smith on art.wav"),
        ("talk.WAV", "talk.wav"),
        (".exe", None),
    ],
)
def test_it_is_saved_under_the_ending_of_what_it_is(api, alice, wav, name, saved):
    job = store_upload(alice, upload_of(wav, name), resolve_options(), source=SessionSource.UPLOAD)
    response = api.get(f"/api/sessions/{job.session_id}/audio/", {"download": "1"})
    expected = saved or f"{job.session_id}.wav"
    assert response["Content-Disposition"] == f'attachment; filename="{expected}"'


@pytest.mark.parametrize("name", ['a"b; filename=evil.html.wav', "é語🎙.wav", "a\r\nSet-Cookie: b=c.wav"])
def test_a_name_cannot_break_the_header(api, alice, wav, name):
    job = store_upload(alice, upload_of(wav, name), resolve_options(), source=SessionSource.UPLOAD)
    response = api.get(f"/api/sessions/{job.session_id}/audio/")
    header = response["Content-Disposition"]
    assert header.isascii()
    assert header.startswith(("inline; filename=", "inline; filename*=utf-8''"))
    assert "Set-Cookie" not in response
    assert '"; filename' not in header.replace('\\"', "")


def test_a_player_that_asks_for_audio_gets_it(get):
    assert get(Accept="audio/webm,audio/*;q=0.9").status_code == 200


def test_nobody_in_particular_gets_nothing(client, url):
    response = client.get(url, headers={"Accept": "audio/*"})
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_what_nobody_knows_is_never_served_as_something_to_run(api, url, stored_job):
    chunk = AudioChunk.objects.get()
    AudioChunk.objects.update(file="audio/page.html")
    Path(chunk.file.path).rename(Path(chunk.file.storage.location) / "audio/page.html")
    assert api.get(url)["Content-Type"] == "application/octet-stream"


def test_a_session_without_audio_has_none_to_serve(api, url):
    AudioChunk.objects.all().delete()
    assert api.get(url).status_code == 404


def test_under_asgi_it_is_read_block_by_block(stored_job, wav, monkeypatch):
    monkeypatch.setattr(ranges, "BLOCK_BYTES", 1000)
    request = AsyncRequestFactory().get("/", headers={"Range": "bytes=500-5499"})
    response = audio_response(request, stored_audio(stored_job.session), filename="a.wav", download=False)

    async def blocks() -> list[bytes]:
        return [block async for block in response]

    assert response.is_async
    assert asyncio.run(blocks()) == [wav[start : start + 1000] for start in range(500, 5500, 1000)]


def test_a_client_that_leaves_does_not_keep_the_file_open(stored_job, monkeypatch):
    chunk = AudioChunk.objects.get()
    opened = []
    really_open = chunk.file.storage.open
    monkeypatch.setattr(
        chunk.file.storage, "open", lambda *args: opened.append(really_open(*args)) or opened[0]
    )
    request = AsyncRequestFactory().get("/")
    response = audio_response(request, stored_audio(stored_job.session), filename="a.wav", download=False)
    response.close()
    assert opened[0].closed


def test_staff_may_listen_and_others_may_not(url, client, bob, staff):
    client.force_login(bob)
    assert client.get(url).status_code == 404
    client.force_login(staff)
    assert client.get(url).status_code == 200
