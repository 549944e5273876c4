"""Alice's recordings: a storage of their own for each test, sounds, and clients of the API."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from rest_framework.test import APIClient

from jobs_app.engines.resolving import resolve_options
from people_app.models import ApiToken
from sessions_app.arrival.intake import store_upload
from sessions_app.arrival.upload_handler import HashingUploadHandler
from sessions_app.models import SessionSource


@pytest.fixture(autouse=True)
def storage(settings, tmp_path) -> Path:
    """The folder of the audio. Uploads on their way are in `tmp_path / "tmp"`."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "tmp"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    settings.MIN_FREE_DISK_BYTES = 0
    settings.DEFAULT_ENGINE = "fake"
    return settings.MEDIA_ROOT


@pytest.fixture
def left_behind(settings):
    """All files that there are of uploads, stored or on their way."""

    def look() -> list[str]:
        folders = (Path(settings.MEDIA_ROOT), Path(settings.FILE_UPLOAD_TEMP_DIR))
        return [str(path) for folder in folders for path in folder.rglob("*")]

    return look


def sound(seconds: float = 1.0, kind: str = "WAV", sample_rate: int = 16_000) -> bytes:
    """A tone as an audio file of the given kind."""
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    file = io.BytesIO()
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * 440 * times), sample_rate, format=kind)
    return file.getvalue()


@pytest.fixture(scope="session")
def wav() -> bytes:
    return sound()


def upload_of(content: bytes, name: str = "talk.wav", *, piece: int = 64 * 1024) -> UploadedFile:
    """`content` as it comes out of the upload handler."""
    handler = HashingUploadHandler(HttpRequest())
    handler.new_file("file", name, "application/octet-stream", None)
    for start in range(0, len(content), piece):
        handler.receive_data_chunk(content[start : start + piece], start)
    return handler.file_complete(len(content))


@pytest.fixture
def stored_job(alice, wav):
    """The job of a recording of Alice's."""
    return store_upload(alice, upload_of(wav), resolve_options(), source=SessionSource.UPLOAD)


def client_of(user) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {ApiToken.objects.issue(user).key}")
    return client


@pytest.fixture
def api(alice) -> APIClient:
    return client_of(alice)


@pytest.fixture
def bobs_api(bob) -> APIClient:
    return client_of(bob)


@pytest.fixture(scope="session")
def silent_video() -> bytes:
    """Moving pictures without a sound track, as mp4."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for shade in range(20):
            picture = np.full((64, 64, 3), 10 * shade, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
