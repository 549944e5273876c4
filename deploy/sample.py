"""Send the sample recording of the repository through the REST API, as any program would."""

from __future__ import annotations

import hashlib
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

SAMPLE = Path(__file__).resolve().parent.parent / "tests" / "audio" / "sample.mp3"
TITLE = "A sample recording"
FINAL = ("completed", "failed", "cancelled")

# The server is on this machine, so a proxy in the environment is not used.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Status(TypedDict):
    """The fields of a job's status that are read here."""

    status: str
    stage: str
    progress: int
    error: str


class ApiError(Exception):
    """The server refused. The message is what it said."""


def sha256() -> str:
    return hashlib.sha256(SAMPLE.read_bytes()).hexdigest()


class Api:
    """The few calls that a transcript takes."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url
        self._token = token

    def send(self) -> str:
        """Upload the sample, and return the id of its job. Sent again, it is the same job."""
        boundary = secrets.token_hex(16)
        body = b"".join(
            (
                f'--{boundary}\r\nContent-Disposition: form-data; name="title"\r\n\r\n{TITLE}\r\n'.encode(),
                f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{SAMPLE.name}"\r\n'
                f"Content-Type: audio/mpeg\r\n\r\n".encode(),
                SAMPLE.read_bytes(),
                f"\r\n--{boundary}--\r\n".encode(),
            )
        )
        answer = self._call(
            "api/uploads/",
            body,
            {
                "Content-Type": f"multipart/form-data; boundary={boundary}",
                "Idempotency-Key": f"sample-{sha256()[:16]}",
            },
        )
        return str(json.loads(answer)["job"]["id"])

    def status(self, job_id: str) -> Status:
        status: Status = json.loads(self._call(f"api/jobs/{job_id}/status/"))
        return status

    def transcript(self, job_id: str) -> str:
        return self._call(f"api/jobs/{job_id}/transcript.txt").decode()

    def _call(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        request = urllib.request.Request(  # noqa: S310  always http to this machine
            f"{self._base_url}/{path}", body, {"Authorization": f"Token {self._token}", **(headers or {})}
        )
        try:
            with _http.open(request, timeout=60) as response:
                answer: bytes = response.read()
                return answer
        except urllib.error.HTTPError as e:
            raise ApiError(f"{path} answered {e.code}: {e.read(500).decode(errors='replace')}") from e
        except OSError as e:
            raise ApiError(f"{path} could not be reached: {e}") from e


def readiness(base_url: str) -> str:
    """Return why the site is not ready, in its own words; empty if it is ready."""
    try:
        with _http.open(f"{base_url}/readyz", timeout=10):
            return ""
    except urllib.error.HTTPError as e:
        return e.read(500).decode(errors="replace") or f"status {e.code}"
    except OSError as e:
        return str(e)


def progress_lines(statuses: Iterator[Status]) -> Iterator[str]:
    """Yield a line for each change that matters to a person."""
    before = None
    for status in statuses:
        what = status["status"] if status["status"] in FINAL else status["stage"]
        line = f"{status['progress']:>3} %  {what}"
        if line != before:
            yield line
        before = line
