"""Serve the stored audio of a recording, in ranges and block by block."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from typing import IO

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponseBase
from django.utils.http import content_disposition_header

from jobs_app.lifecycle.joining import is_being_joined
from rest.ranges import file_response
from rest.refusals import NotFound, NotReady
from sessions_app.models import AudioChunk, RecordingSession
from speech.types import MediaInfo

logger = logging.getLogger(__name__)

# For each name that ffmpeg gives a container: the extension and type of a file with sound only, then those of
# a file that also has pictures.
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


class AudioMissing(NotFound):
    code = "audio_missing"
    sentence = "The audio of this recording is lost. Tell the administrator, who may have a backup."


def extension(info: MediaInfo) -> str:
    """Return the extension for the stored file, without the dot. It follows from the content, never from the
    name.
    """
    sound, pictures = _KINDS.get(info.container, (_UNKNOWN, _UNKNOWN))
    return (pictures if info.video_streams else sound)[0]


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """A file that people can listen to.

    `name` is its name in the storage; `filename` is the name for a person who saves it. `version` changes
    with the content. `as_sent` is true if the file is the upload itself, and false if it was made of chunks.
    """

    name: str
    size_bytes: int
    version: str
    filename: str
    as_sent: bool

    @property
    def content_type(self) -> str:
        """The type of the file. It is never one that a browser would run, no matter what was uploaded."""
        return _TYPES.get(self.name.rpartition(".")[2], _UNKNOWN[1])


def stored_audio(session: RecordingSession) -> StoredAudio:
    """Return the whole recording as one file: the upload, or the file that a worker made of the chunks.

    Raises:
        AudioMissing: there is no such file.
        NotReady: there is no such file yet.
    """
    if sound := session.sound_tracks.exclude(joined="").order_by("pk").first():
        name = str(sound.joined)
        return StoredAudio(
            name,
            sound.joined_bytes or 0,
            hashlib.sha256(name.encode()).hexdigest(),
            f"{session.title or session.pk}.{name.rpartition('.')[2]}",
            as_sent=False,
        )
    chunks = list(session.chunks.order_by("number")[:2])
    if session.finished_at is not None and [chunk.number for chunk in chunks] == [0]:
        only = chunks[0]
        return StoredAudio(str(only.file), only.size_bytes, only.sha256, _saved_as(only), as_sent=True)
    if session.finished_at is None:
        raise NotReady("This recording still goes on. Finish it to listen to it.")
    if not chunks:
        raise AudioMissing("Nothing was recorded here. Record again.")
    if session.jobs.runs().active().exists() or is_being_joined(session):
        raise NotReady("The parts of this recording are being put together. Try again in a minute.")
    raise AudioMissing("The parts of this recording are not put together. Transcribe it again for that.")


def _saved_as(chunk: AudioChunk) -> str:
    """Return the name that the uploader gave, with the ending for the real content.

    So nobody saves a file under the name of a program because somebody uploaded it under such a name.
    """
    stem = re.sub(r"\.[A-Za-z0-9]{0,5}\Z", "", chunk.filename)
    return f"{stem or chunk.session_id}.{str(chunk.file).rpartition('.')[2]}"


def audio_response(
    request: HttpRequest, audio: StoredAudio, *, filename: str, download: bool
) -> HttpResponseBase:
    """Answer with the bytes that `request` (GET or HEAD, a Django request) asks for: 200, 206, 304 or 416.

    Raises:
        AudioMissing: the file is gone.
    """
    response = file_response(
        request,
        lambda: _opened(audio),
        size=audio.size_bytes,
        version=audio.version,
        content_type=audio.content_type,
    )
    if response.status_code in (200, 206):
        response["Cache-Control"] = "private, no-cache"
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Disposition"] = content_disposition_header(download, filename) or "inline"
    return response


def _opened(audio: StoredAudio) -> IO[bytes]:
    try:
        return default_storage.open(audio.name, "rb")
    except FileNotFoundError as error:
        logger.error("Stored audio is missing: %s", audio.name)
        raise AudioMissing from error
