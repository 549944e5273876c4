"""A backup that is made and put back as docs/operations.md says."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deploy import sample
from tests.acceptance.conftest import wait_for
from tests.services import ROOT
from tests.settings import names

pytestmark = pytest.mark.slow

MANUAL = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
PASSWORD = "a long password of the site's own staff"


class Site:
    """Web server and job runner as the units start them, on one data folder."""

    def __init__(self, data_dir: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.data_dir = data_dir
        own = {k: v for k, v in os.environ.items() if k.removesuffix("_FILE") not in names()}
        self.environment = {
            **own,
            "DATA_DIR": str(data_dir),
            "SECRET_KEY": "of this installation",
            "HTTPS": "False",
            # What is tested does not depend on what is said.
            "ENGINES": "fake",
            "WORKERS": "1",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def do(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    @contextmanager
    def running(self, ready: int = 200) -> Iterator[None]:
        """Both services, until they are killed without a warning."""
        web = ("-m", "uvicorn", "transcribe_site.asgi:application", "--port", str(self.port))
        with (self.data_dir.parent / "log").open("ab") as log:
            services = [
                subprocess.Popen(
                    [sys.executable, *command], cwd=ROOT, env=self.environment, stdout=log, stderr=log
                )
                for command in (web, ("manage.py", "jobrunner"))
            ]
        try:
            wait_for(lambda: self.get("/readyz")[0] == ready, within_s=120, what=f"/readyz says {ready}")
            yield
        finally:
            for service in services:
                family = [psutil.Process(service.pid), *psutil.Process(service.pid).children(recursive=True)]
                for process in family:
                    process.kill()
                service.wait()

    def get(self, path: str, token: str = "") -> tuple[int, bytes]:
        headers = {"Authorization": f"Token {token}"} if token else {}
        try:
            request = urllib.request.Request(f"{self.url}{path}", headers=headers)  # noqa: S310  this machine
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()
        except OSError:
            return 0, b""


def backup_command() -> str:
    """The line of the manual that copies SQLite while it runs."""
    return re.search(r'python -c "(import sqlite3; .*)"$', MANUAL, flags=re.MULTILINE)[1]


NEW_TOKEN = """
from people_app.models import ApiToken, User
print(ApiToken.objects.issue(User.objects.get(username="admin"), "of the backup").key)
"""


def restore_paragraph() -> str:
    return MANUAL.split("**Restore**: ")[1].split("\n\n")[0]


def test_a_backup_put_back_by_the_manual_is_the_site_as_it_was(prepared, tmp_path):
    before = Site(tmp_path / "before" / "var")
    shutil.copytree(prepared, before.data_dir, symlinks=True)
    before.do("manage.py", "createsuperuser", "--noinput", "--username", "admin", "--email", "a@example.org")
    token = before.do("manage.py", "shell", "-v", "0", "-c", NEW_TOKEN).strip()
    backup = tmp_path / "backup.sqlite3"
    with before.running():
        api = sample.Api(before.url, token)
        job = api.send()
        wait_for(lambda: api.status(job)["status"] in sample.FINAL, within_s=120, what="the job")
        text = api.transcript(job)
        # The database first, then the audio.
        paths = {
            "var/db.sqlite3": str(before.data_dir / "db.sqlite3"),
            "backup.sqlite3": str(backup),
        }
        command = backup_command()
        for name, path in paths.items():
            assert f"'{name}'" in command
            command = command.replace(f"'{name}'", repr(path))
        before.do("-c", command)
        shutil.copytree(before.data_dir / "media", tmp_path / "media")

    after = Site(tmp_path / "after" / "var")
    after.data_dir.mkdir(parents=True)
    shutil.copy(backup, after.data_dir / "db.sqlite3")
    shutil.copytree(tmp_path / "media", after.data_dir / "media")
    with after.running(ready=503):
        # Somebody who forgets the step that the manual names is told of it, by a page too.
        assert b"not_prepared" in after.get("/readyz")[1]
        status, page = after.get("/login/")
        assert status == 500
        assert b"This did not work" in page

    assert "-m deploy.prepare" in restore_paragraph()
    after.do("-m", "deploy.prepare")
    with after.running():
        assert after.get("/login/")[0] == 200
        assert sample.Api(after.url, token).transcript(job) == text
        session = str(after.get(f"/api/jobs/{job}/", token)[1].split(b'"session":"')[1][:36], "ascii")
        status, audio = after.get(f"/api/sessions/{session}/audio/", token)
        assert (status, hashlib.sha256(audio).hexdigest()) == (200, sample.sha256())
