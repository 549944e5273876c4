"""A whole server for a measurement: a web process and workers, with their own database."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import psycopg2

from deploy.run import WEBSOCKETS
from tests.services import POSTGRES_URL

ROOT = Path(__file__).resolve().parent.parent
MODELS = Path(os.environ.get("DATA_DIR", ROOT / "var")) / "models"

NEW_TOKEN = """
from people_app.models import ApiToken, User
name = "benchmark"
user = User.objects.filter(username=name).first() or User.objects.create_user(name, password={password!r})
print(ApiToken.objects.issue(user).key)
"""


class Server:
    """A server that runs until the end of its `with`. `settings` are environment variables.

    With `data` it begins with a copy of that folder, which `prepare` has made, or another server with the
    same SECRET_KEY has left.
    """

    def __init__(self, *, workers: int = 2, data: Path | None = None, **settings: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-")
        self.data_dir = Path(self._folder.name)
        if data is not None:
            shutil.copytree(data, self.data_dir, symlinks=True, dirs_exist_ok=True)
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "DJANGO_SETTINGS_MODULE": "transcribe_site.settings",
            "DATA_DIR": self._folder.name,
            "SECRET_KEY": secrets.token_urlsafe(50),
            "HTTPS": "False",
            "WORKERS": str(workers),
            "LOG_LEVEL": "WARNING",
            "LIVE_HOSTS": "0",
            "THROTTLE_USER": "1000000/hour",
            "THROTTLE_UPLOAD": "1000000/hour",
            **settings,
        }
        self._prepared = data is not None
        self._children: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def prepare(folder: Path) -> None:
        """Make a folder that servers of this very code can begin with: a database and static files."""
        environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "DATA_DIR": str(folder),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "HTTPS": "False",
        }
        _manage(environment, "migrate", "--verbosity", "0")
        _manage(environment, "collectstatic", "--noinput", "--verbosity", "0")

    def __enter__(self) -> Server:
        if MODELS.is_dir() and not (self.data_dir / "models").exists():
            # The model is put together once. A measurement need not do it again.
            (self.data_dir / "models").symlink_to(MODELS.resolve())
        if not self._prepared or "DATABASE_URL" in self._environment:
            self.manage("migrate", "--verbosity", "0")
        if not self._prepared:
            self.manage("collectstatic", "--noinput", "--verbosity", "0")
        token = self.manage("shell", "-v", "0", "-c", NEW_TOKEN.format(password=secrets.token_urlsafe()))
        self.client = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Token {token.strip()}"},
            timeout=600,
        )
        self.web = self._serve("transcribe_site.asgi:application", self.url)
        self.runner = self._start("manage.py", "jobrunner")
        try:
            self._wait_until_ready()
        except BaseException:
            # Nobody calls __exit__ then.
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.stop()
        self._folder.cleanup()

    def stop(self) -> None:
        """End all processes. What they have written stays until the end of the `with`."""
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait(60)
        self._children.clear()

    @contextlib.contextmanager
    def other(self, application: str) -> Iterator[tuple[str, int]]:
        """Serve another application as the product is served. Give its URL, and the id of its process."""
        url = f"http://127.0.0.1:{_free_port()}"
        child = self._serve(application, url)
        try:
            while _refuses(url) and child.poll() is None:
                time.sleep(0.1)
            yield url, child.pid
        finally:
            child.terminate()
            child.wait(60)

    def _serve(self, application: str, url: str) -> subprocess.Popen[bytes]:
        port = url.rsplit(":", 1)[1]
        return self._start(
            *("-m", "uvicorn", application, "--port", port, "--log-level", "warning"), *WEBSOCKETS
        )

    def upload(self, file: Path, **options: str) -> dict[str, Any]:
        """Send a file, and return the answer as soon as it is there."""
        with file.open("rb") as content:
            answer = self.client.post("/api/uploads/", files={"file": (file.name, content)}, data=options)
        answer.raise_for_status()
        return dict(answer.json())

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.client.get(f"/api/jobs/{job_id}/").raise_for_status().json())

    def wait(self, job_id: str, *, every_s: float = 0.05) -> dict[str, Any]:
        """Wait until the job has completed, and return it.

        Raises:
            RuntimeError: the job has failed or was cancelled.
        """
        while True:
            status = self.client.get(f"/api/jobs/{job_id}/status/").raise_for_status().json()
            if status["status"] == "completed":
                return self.job(job_id)
            if status["status"] in ("failed", "cancelled"):
                raise RuntimeError(f"The job {status['status']}: {status['error']}")
            time.sleep(every_s)

    def wait_for_live_host(self, *, within_s: float = 60) -> None:
        """Wait until recordings can be heard live.

        Raises:
            RuntimeError: no live host has shown itself in time.
        """
        deadline = time.monotonic() + within_s
        while "\ntranscribe_live_hosts 0.0\n" in self.client.get("/metrics").raise_for_status().text:
            if time.monotonic() > deadline:
                raise RuntimeError("There is no live host")
            time.sleep(0.2)

    def worker_processes(self) -> list[psutil.Process]:
        return psutil.Process(self.runner.pid).children(recursive=True)

    def manage(self, *arguments: str) -> str:
        """Return what `manage.py` prints."""
        return _manage(self._environment, *arguments)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=self._environment)
        self._children.append(child)
        return child

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if self.client.get("/readyz").status_code == httpx2.codes.OK:
                    return
            except httpx2.TransportError:
                pass  # it does not listen yet
            time.sleep(0.1)
        raise RuntimeError("The server was not ready within a minute")


@contextlib.contextmanager
def postgres_database() -> Iterator[str]:
    """Give the URL of a new database on the server that the tests use. It is dropped at the end."""
    name = f"benchmark_{secrets.token_hex(4)}"
    with contextlib.closing(psycopg2.connect(POSTGRES_URL)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
            try:
                yield urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()
            finally:
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _manage(environment: dict[str, str], *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def _refuses(url: str) -> bool:
    """Whether nobody listens there."""
    at = urlsplit(url)
    with socket.socket() as s:
        return s.connect_ex((at.hostname, at.port)) != 0


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
