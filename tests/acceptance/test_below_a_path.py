"""The whole site below a path of its host, behind a real nginx with the lines of docs/operations.md."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
import numpy as np
import openai
import pytest
import yaml
from playwright.sync_api import expect, sync_playwright
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from benchmarks.server import Server
from speech.engines.fake import make_numbered_audio
from speech.types import SAMPLE_RATE
from tests.services import NGINX, ROOT
from tests.sessions.openai.conftest import key_of, numbers, words

pytestmark = [pytest.mark.nginx, pytest.mark.slow]

PREFIX = "/transcribe"
APP = "https://app.example.org"
MANUAL = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
[LINES] = re.findall(
    rf"^location {PREFIX}/ {{\n.*?^location \S+ {{ deny all; }}$", MANUAL, re.DOTALL | re.MULTILINE
)


@pytest.fixture(scope="module")
def server(new_server) -> Iterator[Server]:
    with new_server(
        URL_PREFIX=PREFIX, BEHIND_PROXY="True", ENGINES="fake", CORS_ORIGINS=APP, MAX_ATTEMPTS="1", workers=1
    ) as running:
        yield running


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def nginx(folder: Path, locations: str) -> Iterator[str]:
    """An nginx of its own in front; its address."""
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"""daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
        events {{ worker_connections 200; }}
        http {{ access_log off; {paths}
        server {{ listen 127.0.0.1:{port}; {locations} }} }}"""
    )
    process = subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                log = folder / "error.log"
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module", params=["kept", "cut off"])
def site(server, request, tmp_path_factory) -> Iterator[str]:
    """The address of the host, where the proxy keeps the prefix, and where it cuts it off."""
    to = server.url + ("/" if request.param == "cut off" else "")
    with nginx(tmp_path_factory.mktemp("nginx"), LINES.replace("http://127.0.0.1:8000", to)) as address:
        yield address


@pytest.fixture
def visitor(site) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site, follow_redirects=True, timeout=30) as client:
        yield client


def addresses_in(page: str) -> set[str]:
    """Whatever in a page is an address of this host."""
    return {unescape(found) for found in re.findall(r"""=["'](/[^"'>]*)["']""", page)}


def fill(client: httpx2.Client, page: str, **fields: str) -> httpx2.Response:
    """Send the form of a page as a browser does, which says where the page is from."""
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get(page).text)
    assert token
    origin = str(client.base_url).rstrip("/")
    return client.post(page, data={"csrfmiddlewaretoken": token[1], **fields}, headers={"Origin": origin})


def signed_up(client: httpx2.Client, name: str) -> httpx2.Response:
    answer = fill(
        client,
        f"{PREFIX}/sign-up/",
        username=name,
        password1="correct horse battery",
        password2="correct horse battery",
    )
    assert (answer.status_code, answer.url.path) == (200, f"{PREFIX}/")
    return answer


def test_who_is_not_logged_in_is_led_to_the_login_and_back(visitor):
    for path in (PREFIX, f"{PREFIX}/", f"{PREFIX}/upload/"):
        answer = visitor.get(path)
        assert answer.status_code == 200
        assert answer.url.path == f"{PREFIX}/login/"
        assert answer.url.query.decode().startswith(f"next={PREFIX}/")


def test_people_sign_up_look_around_and_every_address_of_every_page_is_there(visitor, site):
    name = f"visitor{time.monotonic_ns()}"
    signed_up(visitor, name)
    cookies = {(cookie.name, cookie.path) for cookie in visitor.cookies.jar}
    assert cookies >= {("sessionid_transcribe", f"{PREFIX}/"), ("csrftoken_transcribe", f"{PREFIX}/")}
    assert {path for _, path in cookies} == {f"{PREFIX}/"}

    unseen, seen = {f"{PREFIX}/", f"{PREFIX}/api/docs/"}, set()
    while unseen:
        address = unseen.pop()
        seen.add(address)
        answer = visitor.get(address)
        # Some are only to be posted to, and tus wants its header.
        assert answer.status_code in (200, 405, 412), address
        if answer.headers.get("content-type", "").startswith("text/html"):
            found = addresses_in(answer.text)
            assert {one for one in found if not one.startswith(f"{PREFIX}/")} == set(), address
            unseen |= {urljoin(address, one).partition("#")[0] for one in found} - seen
        elif answer.headers.get("content-type", "").startswith("text/javascript"):
            unseen |= {urljoin(address, one) for one in re.findall(r'from "(\./[^"]+)"', answer.text)} - seen
    assert {f"{PREFIX}/{page}/" for page in ("upload", "record", "account", "vocabulary")} <= seen
    assert any(address.startswith(f"{PREFIX}/static/site/site.") for address in seen)

    visitor.cookies.clear()
    answer = fill(visitor, f"{PREFIX}/login/", username=name, password="correct horse battery")
    assert (answer.status_code, answer.url.path) == (200, f"{PREFIX}/")


def test_programs_use_the_api(site, server):
    headers = {"Authorization": f"Bearer {key_of(server)}"}
    with httpx2.Client(base_url=f"{site}{PREFIX}", headers=headers, timeout=60) as client:
        name, content = numbers(3)
        job = client.post("/api/uploads/", files={"file": (name, content)}).raise_for_status().json()["job"]
        assert client.get(f"/api/jobs/{job['id']}/status/").status_code == 200
        assert client.post("/api/uploads/", files={"file": (name, content)}).status_code == 201
        more = client.get("/api/jobs/", params={"page_size": 1}).json()["next"]
        assert urlsplit(more).path == f"{PREFIX}/api/jobs/"
        assert (
            client.get(
                urlsplit(more)._replace(scheme="", netloc="").geturl().removeprefix(PREFIX)
            ).status_code
            == 200
        )

        tus = {"Tus-Resumable": "1.0.0"}
        begun = client.post("/api/uploads/tus/", headers=tus | {"Upload-Length": str(len(content))})
        assert begun.headers["Location"].startswith(f"{PREFIX}/api/uploads/tus/")
        part = tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        sent = client.patch(f"{site}{begun.headers['Location']}", headers=part, content=content)
        assert (sent.status_code, sent.headers["Upload-Offset"]) == (204, str(len(content)))

        document = yaml.safe_load(client.get("/api/schema/").text)
        assert document["servers"] == [{"url": PREFIX}]
        assert "/api/jobs/" in document["paths"]


def test_openais_client_needs_only_the_base_address(site, server):
    with openai.OpenAI(base_url=f"{site}{PREFIX}/v1", api_key=key_of(server), max_retries=0) as client:
        assert client.audio.transcriptions.create(file=numbers(3), model="whisper-1").text == words(3)
        stream = client.audio.transcriptions.create(file=numbers(3), model="whisper-1", stream=True)
        assert list(stream)[-1].text == words(3)


def live_socket(site: str, session_id: str, **headers: str) -> ClientConnection:
    url = f"{site.replace('http', 'ws', 1)}{PREFIX}/ws/sessions/{session_id}/live/"
    return connect(url, additional_headers=headers, proxy=None)


def heard(socket: ClientConnection, *until: str) -> dict[str, Any]:
    """The next message of one of these types. Every other is left out."""
    while (message := json.loads(socket.recv(timeout=30)))["type"] not in until:
        # A live host may not have started yet.
        assert message["type"] != "error" or message["code"] == "live_unavailable", message
    return dict(message)


def begun(client: httpx2.Client, **headers: str) -> str:
    """A recording of one's own."""
    answer = client.post(f"{PREFIX}/api/sessions/", json={}, headers=headers).raise_for_status()
    return str(answer.json()["id"])


def test_a_program_streams_and_hears_its_words(site, server):
    bearer = {"Authorization": f"Bearer {key_of(server)}"}
    with httpx2.Client(base_url=site, headers=bearer, timeout=30) as client:
        session_id = begun(client)
        with live_socket(site, session_id, **bearer) as socket:
            socket.send(json.dumps({"type": "start", "sample_rate": SAMPLE_RATE}))
            assert heard(socket, "ready")["received_ms"] == 0
            for block in np.split((make_numbered_audio(0, 3) * 32767).astype(np.int16), 30):
                socket.send(block.tobytes())
            while heard(socket, "saved")["received_ms"] < 3000:
                pass
            socket.send(json.dumps({"type": "stop"}))
            job_id = heard(socket, "done")["job"]
        assert server.wait(job_id)["transcript"] == words(3)


def test_a_page_of_the_site_may_watch_with_its_cookie_and_a_page_of_another_site_may_not(visitor, site):
    signed_up(visitor, f"watcher{time.monotonic_ns()}")
    token = visitor.cookies["csrftoken_transcribe"]
    session_id = begun(visitor, **{"X-CSRFToken": token, "Origin": site})
    cookie = f"sessionid_transcribe={visitor.cookies['sessionid_transcribe']}"
    with live_socket(site, session_id, Cookie=cookie, Origin=site) as socket:
        socket.send(json.dumps({"type": "watch"}))
        assert heard(socket, "ready")["received_ms"] == 0
    for origin in ("https://evil.example.org", site.replace("http", "https", 1)):
        with pytest.raises(InvalidStatus) as refused:
            live_socket(site, session_id, Cookie=cookie, Origin=origin)
        assert refused.value.response.status_code == 403


def test_where_no_websocket_passes_the_words_come_by_http(server, tmp_path):
    lines = re.sub(r".*(Upgrade|Connection).*\n", "", LINES).replace("http://127.0.0.1:8000", server.url)
    bearer = {"Authorization": f"Bearer {key_of(server)}"}
    with (
        nginx(tmp_path, lines) as address,
        httpx2.Client(base_url=address, headers=bearer, timeout=30) as client,
    ):
        session_id = begun(client)
        with pytest.raises(InvalidStatus) as refused:
            live_socket(address, session_id, **bearer)
        assert 400 <= refused.value.response.status_code < 500
        path = f"{PREFIX}/api/sessions/{session_id}/"
        client.post(f"{path}chunks/", data={"number": 0}, files={"file": numbers(3)}).raise_for_status()
        job_id = client.post(f"{path}finish/", json={"chunks": 1}).raise_for_status().json()["job"]["id"]
        assert server.wait(job_id)["transcript"] == words(3)


def test_errors_are_in_the_form_of_the_address_below_the_prefix(site, server):
    with httpx2.Client(base_url=f"{site}{PREFIX}", timeout=30) as client:
        assert client.get("/api/jobs/").json()["code"] == "not_authenticated"
        assert client.get("/api/nothing/").json()["code"] == "not_found"
        assert client.get("/v1/nothing").json()["error"]["code"] == "not_found"
        message = client.post("/audio/transcriptions").json()["error"]["message"]
        assert f"Send this to {PREFIX}/v1/audio/transcriptions:" in message
        assert f"{PREFIX}/v1," in message
        # Answered before Django reads anything.
        # A proxy may close a connection whose body it did not pass on, so each has its own.
        for path in ("/api/uploads/", "/v1/audio/transcriptions"):
            big = {"file": ("talk.wav", io.BytesIO(bytes(3_000_000)))}
            refused = httpx2.post(f"{site}{PREFIX}{path}", files=big, headers={"Origin": APP}, timeout=30)
            assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, APP)
            assert refused.headers["content-type"] == "application/json"
        page = client.get("/nothing/", headers={"Accept": "text/html"})
        assert page.status_code == 404
        assert {one for one in addresses_in(page.text) if not one.startswith(f"{PREFIX}/")} == set()


def test_probes_are_there_with_the_prefix_and_without(site, server):
    assert httpx2.get(f"{site}{PREFIX}/healthz").json() == {"status": "alive"}
    assert httpx2.get(f"{site}{PREFIX}/readyz").status_code == 200
    assert httpx2.get(f"{site}{PREFIX}/metrics").status_code == 403
    for path in ("/healthz", f"{PREFIX}/healthz"):
        assert httpx2.get(f"{server.url}{path}", headers={"Host": "10.1.2.3"}).json() == {"status": "alive"}


@pytest.mark.browser
def test_the_scripts_of_the_pages_work_there(site, chromium, tmp_path):
    name, content = numbers(3)
    (tmp_path / name).write_bytes(content)
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{site}{PREFIX}/sign-up/")
        page.fill("#id_username", f"browser{time.monotonic_ns()}")
        page.fill("#id_password1", "correct horse battery")
        page.fill("#id_password2", "correct horse battery")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{site}{PREFIX}/")
        page.goto(f"{site}{PREFIX}/upload/")
        page.set_input_files("#id_file", tmp_path / name)
        page.get_by_role("button", name="Upload", exact=False).last.click()
        # By tus, with the token of the cookie; then the job's page, which keeps asking how far it is.
        page.wait_for_url(f"{site}{PREFIX}/jobs/*/")
        expect(page.get_by_text("w0000").first).to_be_visible(timeout=60_000)
        browser.close()
    assert complaints == []
