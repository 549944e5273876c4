"""Storing a recording chunk by chunk, and finishing it.

As with uploads, the audio is on disk before there are rows. A chunk and the end of its recording exclude each
other by a lock on the session's row: what is answered with yes is part of the recording.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Now

from jobs_app.lifecycle import audio_arrived
from jobs_app.timeline import STREAM_CONTAINERS
from sessions_app.intake import clean_filename, remove_unless_committed, store_audio
from sessions_app.models import AudioChunk, RecordingSession
from sessions_app.upload_handler import HashedUpload, UploadRefused
from speech.errors import AudioTooLong, SpeechError
from speech.frames import LONGEST_LOOK
from speech.pieces import is_continuation
from speech.probe import is_foreign, probe
from speech.types import MediaInfo


class ChunkTooLarge(UploadRefused):
    status = 413
    code = "file_too_large"

    def __init__(self) -> None:
        most = settings.MAX_CHUNK_BYTES // settings.MIB
        super().__init__(f"This chunk is larger than {most} MB. Send shorter ones; 30 seconds are usual.")


class ChecksumMismatch(UploadRefused):
    status = 422
    code = "checksum_mismatch"
    message = "What arrived is not what was sent: its SHA-256 is another one. Send this chunk again."


class ChunkConflict(UploadRefused):
    status = 409
    code = "chunk_conflict"
    message = "This number belongs to a chunk with other content. Send this one under a number of its own."


class SessionFinished(UploadRefused):
    status = 409
    code = "session_finished"
    message = "This recording is finished and takes no more chunks. Begin a new one for the rest."


class SessionGone(UploadRefused):
    status = 404
    code = "not_found"
    message = "This recording was deleted just now. Begin a new one."


class ChunksMissing(Exception):
    """The recording cannot be finished yet: `missing` are the numbers of what has not come."""

    def __init__(self, missing: list[int]) -> None:
        super().__init__(missing)
        self.missing = missing


def store_chunk(
    session: RecordingSession,
    upload: HashedUpload,
    *,
    number: int,
    claimed_ms: int | None = None,
    sha256: str = "",
) -> tuple[AudioChunk, bool]:
    """Store a chunk of a recording; True: it is new, False: it was stored before.

    `claimed_ms` is how long its sender says that it is, `sha256` what its content should be; both may be left
    out.

    Raises:
        UploadRefused: the upload was cut off, or is one of the classes above.
        UnsupportedMedia, UnreadableAudio, NoAudio: from the chunk's header.
        AudioTooLong: with this one the recording is longer than allowed.
    """
    if upload.refused is not None:
        raise upload.refused
    if sha256 and sha256.lower() != upload.sha256:
        raise ChecksumMismatch
    if earlier := _stored_before(session, number, upload):
        return earlier, False
    if session.finished_at is not None:
        raise SessionFinished
    if upload.size > settings.MAX_CHUNK_BYTES:
        raise ChunkTooLarge
    info, continues = _look(session, number, upload)
    _check_length(session, info.duration_ms or 0)

    stored = store_audio(session.pk, number, upload, info)
    chunk = AudioChunk(
        session=session,
        number=number,
        file=stored,
        filename=clean_filename(upload.name or ""),
        container=info.container,
        codec=info.codec,
        continues=continues,
        claimed_ms=claimed_ms,
        duration_ms=info.duration_ms,
        size_bytes=upload.size,
        sha256=upload.sha256,
    )
    earlier = None
    committed = False
    try:
        with transaction.atomic():
            earlier = _add(chunk, upload)
        committed = earlier is None
    finally:
        if not committed:
            remove_unless_committed(stored)
    return earlier or chunk, committed


def _add(chunk: AudioChunk, upload: HashedUpload) -> AudioChunk | None:
    """Save `chunk` in the caller's transaction, or give the one that was stored in the meantime."""
    session = _lock(chunk.session_id)
    if session is None:
        raise SessionGone
    if earlier := _stored_before(session, chunk.number, upload):
        return earlier
    if session.finished_at is not None:
        raise SessionFinished
    chunk.save(force_insert=True)
    chunk.refresh_from_db(fields=["received_at"])
    audio_arrived(session)
    return None


def _lock(session_id: object) -> RecordingSession | None:
    return RecordingSession.objects.select_for_update(no_key=True).filter(pk=session_id).first()


def _stored_before(session: RecordingSession, number: int, upload: HashedUpload) -> AudioChunk | None:
    chunk = session.chunks.filter(number=number).first()
    if chunk is not None and (chunk.sha256, chunk.size_bytes) != (upload.sha256, upload.size):
        raise ChunkConflict
    return chunk


def _look(session: RecordingSession, number: int, upload: HashedUpload) -> tuple[MediaInfo, bool]:
    """What the chunk's header says; True: it has none, and continues the stream of an earlier chunk.

    A piece may be here before the one with its header is. A worker finds out whether they belong together.
    """
    path = Path(upload.temporary_file_path())
    with path.open("rb") as file:
        head = file.read(LONGEST_LOOK)
    if not number or is_foreign(head) or not is_continuation(head):
        return probe(path), False
    whole = session.chunks.filter(number__lt=number, continues=False).order_by("-number")
    container = whole.values_list("container", flat=True).first()
    piece = MediaInfo(container or "", "", 0, 0, 0, 0)
    # Before the probe: somewhere in a stream there are bytes that look like the start of something else.
    if container in STREAM_CONTAINERS:
        return piece, True
    try:
        return probe(path), False
    except SpeechError:
        if container is None:
            return piece, True
        raise


def _check_length(session: RecordingSession, more_ms: int) -> None:
    """Raises AudioTooLong; the worker measures, this is only against much more than is allowed.

    By what headers say and a worker has measured: the clock of a sender may be wrong.
    """
    known = session.chunks.aggregate(ms=Sum("duration_ms"))
    if (known["ms"] or 0) + more_ms > settings.MAX_AUDIO_S * 1000:
        raise AudioTooLong


def missing_below(end: int, numbers: Iterable[int]) -> list[int]:
    """What `numbers` lacks of 0 to `end` - 1."""
    return sorted(set(range(end)).difference(numbers))


def finish(session: RecordingSession, *, chunks: int | None = None, force: bool = False) -> None:
    """End a recording; a second time changes nothing. `chunks`: how many there should be.

    Raises:
        ChunksMissing: not all of them have come, and `force` is not given.
        SessionGone: it was deleted just now.
    """
    with transaction.atomic():
        locked = _lock(session.pk)
        if locked is None:
            raise SessionGone
        if locked.finished_at is not None:
            return
        if chunks is not None and not force:
            missing = missing_below(chunks, locked.chunks.values_list("number", flat=True))
            if missing:
                raise ChunksMissing(missing)
        end(locked)


def end(session: RecordingSession) -> None:
    """Nothing more will come. The caller holds the lock on the row of `session`."""
    RecordingSession.objects.filter(pk=session.pk).update(finished_at=Now())
    session.refresh_from_db(fields=["finished_at"])
    audio_arrived(session)
