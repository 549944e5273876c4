"""A request waits for its job: who is held up by that, and how it ends."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import psutil
import psycopg2
import pytest

from benchmarks.server import ROOT, Server, postgres_database
from tests.acceptance.conftest import wait_for
from tests.sessions.openai.conftest import SETTINGS, SLOW, client_of, newest_job, numbers, slow, words

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def impatient(new_server) -> Iterator[Server]:
    """A server whose requests wait for two seconds."""
    with new_server(**SETTINGS, V1_TIMEOUT_S="2") as running:
        yield running


def test_a_client_that_gives_up_has_its_job_cancelled(server, client):
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=1.5).audio.transcriptions.create(
            file=slow("given up.wav"), model="whisper-1", prompt=SLOW
        )
    wait_for(lambda: newest_job(server)["status"] == "cancelled", within_s=5, what="it is cancelled")
    assert newest_job(server)["title"] == "given up"


def test_twenty_that_wait_hold_no_thread_and_nobody_up(server):
    web = psutil.Process(server.web.pid)
    before = web.num_threads()
    with ThreadPoolExecutor(20) as pool, client_of(server, max_retries=0, timeout=60) as client:
        create = client.audio.transcriptions.create
        waiting = [
            pool.submit(create, file=slow("waiting.wav"), model="whisper-1", prompt=SLOW) for _ in range(20)
        ]
        wait_for(lambda: len(active(server)) == 20, within_s=30, what="all wait")
        took = []
        for _ in range(10):
            began = time.monotonic()
            assert httpx2.get(f"{server.url}/login/").status_code == 200
            took.append(time.monotonic() - began)
        threads = web.num_threads() - before
        jobs = active(server)
        for job in jobs:
            server.client.post(f"/api/jobs/{job}/cancel/").raise_for_status()
        ends = {future.exception().code for future in waiting}
    assert (len(jobs), ends) == (20, {"cancelled"})
    assert sorted(took)[5] < 0.5
    # The one that asks for all of them, and those of the pool that everything else shares.
    assert threads < 10


@pytest.mark.postgres
def test_all_that_wait_share_one_connection_to_postgresql(new_server):
    with (
        postgres_database() as url,
        new_server(**SETTINGS, DATABASE_URL=url) as server,
        ThreadPoolExecutor(20) as pool,
        client_of(server, max_retries=0, timeout=60) as client,
    ):
        create = client.audio.transcriptions.create
        waiting = [
            pool.submit(create, file=slow(), model="whisper-1", prompt=SLOW, stream=number % 2 == 0)
            for number in range(20)
        ]
        wait_for(lambda: len(active(server)) == 20, within_s=30, what="all wait")
        local_ports = [c.laddr.port for c in psutil.Process(server.web.pid).net_connections("tcp")]
        with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND client_port = ANY(%s)",
                [local_ports],
            )
            (connections,) = cursor.fetchone()
        for job in active(server):
            server.client.post(f"/api/jobs/{job}/cancel/").raise_for_status()
        for future in waiting:
            with pytest.raises(openai.APIError):
                list(future.result())
    # And that of the request which asked for the jobs, if it is not closed yet.
    assert 1 <= connections <= 2


def test_a_job_that_someone_cancels_is_an_error_for_who_waits(server, client):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            client.audio.transcriptions.create,
            file=slow("cancelled.wav"),
            model="whisper-1",
            prompt=SLOW,
        )
        wait_for(lambda: newest_job(server)["title"] == "cancelled", within_s=20, what="the job is there")
        server.client.post(f"/api/jobs/{newest_job(server)['id']}/cancel/").raise_for_status()
        with pytest.raises(openai.BadRequestError) as refused:
            waiting.result()
    assert refused.value.code == "cancelled"


@pytest.mark.parametrize("n_bytes", [1000, 3_000_000])
def test_a_wrong_key_is_an_authentication_error_however_much_is_sent(server, n_bytes):
    # Above 2 MB it is answered before the body is read.
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0)
    with client, pytest.raises(openai.AuthenticationError) as refused:
        client.audio.transcriptions.create(file=("talk.wav", bytes(n_bytes)), model="whisper-1")
    assert refused.value.code == "invalid_api_key"
    assert refused.value.type == "invalid_request_error"


def test_a_job_that_failed_is_not_sent_again_by_the_client(server):
    with client_of(server, max_retries=2) as client:
        before = server.client.get("/api/jobs/").json()["count"]
        with pytest.raises(openai.InternalServerError) as failed:
            client.audio.transcriptions.create(file=numbers(3), model="whisper-1", prompt="fake:fail")
        assert failed.value.code == "engine_failed"
        assert server.client.get("/api/jobs/").json()["count"] == before + 1


def test_a_request_ends_after_its_time_and_the_job_goes_on(impatient):
    before = impatient.client.get("/api/jobs/").json()["count"]
    with client_of(impatient, max_retries=2) as client, pytest.raises(openai.InternalServerError) as late:
        client.audio.transcriptions.create(file=numbers(3), model="whisper-1", prompt="fake:slow=5")
    assert (late.value.status_code, late.value.code) == (504, "timed_out")
    job_id = late.value.response.headers["X-Job-Id"]
    assert f"/api/jobs/{job_id}/" in late.value.message
    assert impatient.wait(job_id)["transcript"] == words(3)
    # The client did not ask again.
    assert impatient.client.get("/api/jobs/").json()["count"] == before + 1


def test_a_stream_ends_after_its_time_too(impatient):
    with client_of(impatient) as client, pytest.raises(openai.APIError) as late:
        list(
            client.audio.transcriptions.create(
                file=numbers(3), model="whisper-1", prompt="fake:slow=5", stream=True
            )
        )
    assert late.value.code == "timed_out"


def test_a_web_server_that_stops_cancels_no_job(server):
    # A second one, on the same database.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    web = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "transcribe_site.asgi:application", "--port", str(port)),
            *("--log-level", "warning", "--timeout-graceful-shutdown", "1"),
        ],
        cwd=ROOT,
        env=server._environment,
    )
    try:
        wait_for(lambda: _answers(port), within_s=60, what="it answers")
        with ThreadPoolExecutor(1) as pool, client_of(server, max_retries=0, timeout=60) as client:
            waiting = pool.submit(
                client.with_options(base_url=f"http://127.0.0.1:{port}/v1").audio.transcriptions.create,
                file=numbers(3, "stopped.wav"),
                model="whisper-1",
                prompt="fake:slow=8",
            )
            wait_for(lambda: newest_job(server)["title"] == "stopped", within_s=20, what="the job is there")
            web.terminate()
            assert web.wait(20) is not None
            with pytest.raises(openai.APIError):
                waiting.result()
    finally:
        web.kill()
    assert server.wait(newest_job(server)["id"])["transcript"] == words(3)


def active(server: Server) -> list[str]:
    jobs = server.client.get("/api/jobs/?page_size=100").raise_for_status().json()["results"]
    return [job["id"] for job in jobs if job["status"] in ("pending", "processing")]


def _answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx2.TransportError:
        return False
