"""Stored audio as it is served: to its owner, in ranges, block by block."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import IO, Any

from django.core.handlers.asgi import ASGIRequest
from django.db.models.fields.files import FieldFile
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header

from jobs_app.api_errors import Problem
from jobs_app.models import WORK_OPEN, JobStep, StepKind
from sessions_app.models import RecordingSession
from speech.types import MediaInfo

logger = logging.getLogger(__name__)

BLOCK_BYTES = 256 * 1024

# What ffmpeg calls a container: extension and type of a recording of sound, then of one with pictures.
_KINDS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": (("m4a", "audio/mp4"), ("mp4", "video/mp4")),
    "matroska,webm": (("weba", "audio/webm"), ("webm", "video/webm")),
    "asf": (("wma", "audio/x-ms-wma"), ("wmv", "video/x-ms-wmv")),
    "ogg": (("ogg", "audio/ogg"), ("ogv", "video/ogg")),
    "avi": (("avi", "video/x-msvideo"),) * 2,
    "flv": (("flv", "video/x-flv"),) * 2,
    "mpeg": (("mpg", "video/mpeg"),) * 2,
    "mpegts": (("ts", "video/mp2t"),) * 2,
    "mp3": (("mp3", "audio/mpeg"),) * 2,
    "wav": (("wav", "audio/wav"),) * 2,
    "w64": (("w64", "audio/x-w64"),) * 2,
    "flac": (("flac", "audio/flac"),) * 2,
    "aac": (("aac", "audio/aac"),) * 2,
    "ac3": (("ac3", "audio/ac3"),) * 2,
    "eac3": (("eac3", "audio/eac3"),) * 2,
    "aiff": (("aiff", "audio/aiff"),) * 2,
    "amr": (("amr", "audio/amr"),) * 2,
    "au": (("au", "audio/basic"),) * 2,
    "caf": (("caf", "audio/x-caf"),) * 2,
}
_UNKNOWN = ("bin", "application/octet-stream")
_TYPES = dict(kind for kinds in _KINDS.values() for kind in kinds)


def extension(info: MediaInfo) -> str:
    """For the stored file, without the dot; from its content, never from its name."""
    sound, pictures = _KINDS.get(info.container, (_UNKNOWN, _UNKNOWN))
    return (pictures if info.video_streams else sound)[0]


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """A file to listen to. `version` changes with its content; `filename` is for the person who saves it."""

    file: FieldFile
    size_bytes: int
    version: str
    filename: str

    @property
    def content_type(self) -> str:
        """Never one that a browser would run, whatever was uploaded."""
        return _TYPES.get(self.file.name.rpartition(".")[2], _UNKNOWN[1])


def stored_audio(session: RecordingSession) -> StoredAudio:
    """All of a recording as one file: what was uploaded, or what a worker has made of its chunks.

    Raises a Problem of the API where there is none, or none yet.
    """
    if session.joined:
        name = session.joined.name
        return StoredAudio(
            session.joined,
            session.joined_bytes or 0,
            hashlib.sha256(name.encode()).hexdigest(),
            f"{session.title or session.pk}.{name.rpartition('.')[2]}",
        )
    chunks = list(session.chunks.order_by("number")[:2])
    if session.finished_at is not None and [chunk.number for chunk in chunks] == [0]:
        only = chunks[0]
        return StoredAudio(only.file, only.size_bytes, only.sha256, only.filename)
    if session.finished_at is None:
        raise Problem(409, "not_ready", "This recording still goes on. Finish it to listen to it.")
    if not chunks:
        raise Problem(404, "audio_missing", "Nothing was recorded here. Record again.")
    joining = JobStep.objects.filter(job__session=session, kind=StepKind.JOIN, status__in=WORK_OPEN)
    if session.jobs.active().exists() or joining.exists():
        raise Problem(
            409, "not_ready", "The parts of this recording are being put together. Try again in a minute."
        )
    raise Problem(
        404,
        "audio_missing",
        "The parts of this recording are not put together. Transcribe it again for that.",
    )


def audio_response(request: Any, audio: StoredAudio, *, filename: str, download: bool) -> HttpResponseBase:
    """The audio's bytes as `request` (GET or HEAD, a Django request) asks for them: 200, 206, 304 or 416.

    Raises a Problem of the API where the file is gone.
    """
    etag = f'"{audio.version}"'
    if unchanged := get_conditional_response(request, etag=etag):
        unchanged["ETag"] = etag
        return unchanged
    size = audio.size_bytes
    start, end, status = 0, size, 200
    # If-Range: send the rest only if the client's part is of this very file.
    if request.headers.get("If-Range", etag) == etag and (
        asked := _parse_range(request.headers.get("Range", ""), size)
    ):
        start, end = asked
        status = 206 if start < end else 416

    if status == 416:
        response: HttpResponseBase = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{size}"
        return response
    try:
        file = audio.file.storage.open(audio.file.name, "rb")
    except FileNotFoundError as error:
        logger.error("Stored audio is missing: %s", audio.file.name)
        detail = "The audio of this recording is lost. Tell the administrator, who may have a backup."
        raise Problem(404, "audio_missing", detail) from error
    if request.method == "HEAD":
        file.close()
        response = HttpResponse(status=status)
    else:
        blocks = _blocks(file, start, end)
        # Django collects an ordinary iterator in memory under ASGI, and an asynchronous one under WSGI.
        served = _in_thread(blocks) if isinstance(request, ASGIRequest) else blocks
        response = StreamingHttpResponse(served, status=status)
        response._resource_closers.append(file.close)
    response["Content-Type"] = audio.content_type
    response["Content-Length"] = str(end - start)
    if status == 206:
        response["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = content_disposition_header(download, filename)
    return response


def _parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The bytes `[start, end)` that are asked for; empty: none of them exist; None: ignore the header.

    RFC 9110, 14.2. A server may ignore ranges that it does not like, and several at once are not liked.
    """
    match = re.fullmatch(r"\s*bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", header, re.IGNORECASE)
    if match is None or match.group(1, 2) == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        return (max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return (int(first), min(int(last) + 1, size) if last else size)


def _blocks(file: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < end and (block := file.read(min(BLOCK_BYTES, end - start))):
            start += len(block)
            yield block


async def _in_thread(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    # The event loop serves everyone and must not wait for a disk.
    while block := await asyncio.to_thread(next, blocks, b""):
        yield block
