"""A client of the protocol of resumable uploads."""

from __future__ import annotations

import base64
import hashlib

from rest_framework.test import APIClient

from sessions_app.models import ResumableUpload
from sessions_app.tus import uploads as tus

UPLOADS = "/api/uploads/tus/"
PART = "application/offset+octet-stream"
MIB = 1024 * 1024


def pairs(**values: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())


class TusClient:
    """Sends requests of the protocol, with its header."""

    def __init__(self, api: APIClient) -> None:
        self._api = api

    def call(self, method: str, path: str, body: bytes = b"", kind: str = PART, **headers: object):
        given = {"Tus-Resumable": "1.0.0", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self._api.generic(
            method,
            path,
            body,
            content_type=kind,
            headers={k: str(v) for k, v in given.items() if v is not None},
        )

    def create(self, length: int, body: bytes = b"", *, metadata: str | None = None, **headers: object):
        return self.call("POST", UPLOADS, body, Upload_Length=length, Upload_Metadata=metadata, **headers)

    def patch(self, url: str, at: int, body: bytes, **headers: object):
        return self.call("PATCH", url, body, Upload_Offset=at, **headers)

    def head(self, url: str):
        return self.call("HEAD", url, kind="")

    def begun(self, content: bytes, **metadata: str) -> str:
        """The address of a new upload of `content`."""
        response = self.create(len(content), metadata=pairs(**metadata) or None)
        assert response.status_code == 201, response.content
        return response["Location"]

    def offset(self, url: str) -> int:
        return int(self.head(url)["Upload-Offset"])


def assert_problem(response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response["Tus-Resumable"] == "1.0.0"


def begun_by(alice, content: bytes) -> ResumableUpload:
    return tus.create(alice, length=len(content), metadata="")


def checksum(algorithm: str, content: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"
