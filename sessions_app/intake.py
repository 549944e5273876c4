"""Storing what arrives, and deleting it.

The order makes a crash at any point harmless: the audio is on disk before there are rows, so what a crash
leaves is nothing, a file without rows (`orphans.sweep` removes it), or a complete job.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import Error as DatabaseError
from django.db import OperationalError, transaction
from django.utils import timezone

from jobs_app.lifecycle import end_jobs_of, start_job
from jobs_app.models import TranscriptionJob
from jobs_app.options import JobOptions
from sessions_app import idempotency
from sessions_app.audio import extension
from sessions_app.models import AudioChunk, RecordingSession
from sessions_app.upload_handler import HashedUpload, StorageFull, refuse_when_full
from speech.errors import AudioTooLong
from speech.probe import probe
from speech.types import MediaInfo

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

AUDIO_FOLDER = "audio"
SAVE_TRIES = 5


def store_upload(
    owner: User,
    upload: HashedUpload,
    options: JobOptions,
    *,
    title: str = "",
    source: str,
    idempotency_key: str = "",
    interactive_max_s: int = 0,
    and_then: Callable[[TranscriptionJob], None] | None = None,
) -> TranscriptionJob:
    """Make a session with one chunk of an uploaded file and start its job.

    `title` defaults to the file's name without its ending. A file of up to `interactive_max_s`, by its
    header, comes before all others. With an `idempotency_key` that `owner` used before for the same file and
    options, the job of that time is returned and nothing is stored. `and_then` is called in the transaction
    of a new job.

    Raises:
        UploadRefused: the upload was cut off because it is too large or the disk is full.
        UnsupportedMedia, UnreadableAudio, NoAudio, AudioTooLong: from the file's header.
        IdempotencyMismatch: the key was used for something else.
    """
    if upload.refused is not None:
        raise upload.refused
    asked = idempotency.fingerprint("upload", upload.sha256, title, asdict(options))
    if job := idempotency.earlier_job(owner, idempotency_key, asked):
        return job
    info = probe(Path(upload.temporary_file_path()))
    if info.duration_ms is not None and info.duration_ms > settings.MAX_AUDIO_S * 1000:
        raise AudioTooLong

    filename = clean_filename(upload.name or "")
    session = RecordingSession(
        owner=owner,
        title=(title or PurePosixPath(filename).stem)[:200],
        source=source,
        finished_at=timezone.now(),
    )
    stored = store_audio(session.pk, 0, upload, info)

    def create() -> TranscriptionJob:
        session.save(force_insert=True)
        AudioChunk.objects.create(
            session=session,
            number=0,
            file=stored,
            filename=filename,
            container=info.container,
            codec=info.codec,
            duration_ms=info.duration_ms,
            size_bytes=upload.size,
            sha256=upload.sha256,
        )
        started = start_job(
            session,
            options,
            filename=filename,
            duration_ms=info.duration_ms,
            interactive=info.duration_ms is not None and info.duration_ms <= interactive_max_s * 1000,
        )
        if and_then is not None:
            and_then(started)
        return started

    job = None
    try:
        job = idempotency.once(owner, idempotency_key, asked, create)
        return job
    except OperationalError as error:
        if getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StorageFull from error
        raise
    finally:
        # Without a job, and when the other one of two equal requests was faster.
        if job is None or job.session_id != session.pk:
            remove_unless_committed(stored)


def remove_unless_committed(stored: str) -> None:
    """Remove a file that `store_audio` has stored, unless a chunk names it."""
    try:
        if AudioChunk.objects.filter(file=stored).exists():
            return
    except DatabaseError:
        logger.warning("Nobody knows whether %s is in use; orphans.sweep() will find out.", stored)
        return
    remove_audio([stored])


def clean_filename(name: str) -> str:
    """The last part of a path of any system, without what cannot be printed, cut to the column's size."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:255]


def store_audio(session_id: uuid.UUID, number: int, upload: HashedUpload, info: MediaInfo) -> str:
    """Move the upload to its place, safe against a power cut; its name in the storage.

    Raises:
        StorageFull: and nothing is left of it.
    """
    name = f"{AUDIO_FOLDER}/{session_id}/{number}-{secrets.token_hex(8)}.{extension(info)}"
    try:
        with refuse_when_full():
            os.fsync(upload.file.fileno())
            name = _save(name, upload)
            upload.close()
            if isinstance(default_storage, FileSystemStorage):
                folder = Path(default_storage.path(name)).parent
                sync_folder(folder)
                sync_folder(folder.parent)
    except BaseException:
        remove_audio([name])
        raise
    return name


def _save(name: str, upload: HashedUpload) -> str:
    for _ in range(SAVE_TRIES - 1):
        with suppress(FileNotFoundError):
            return default_storage.save(name, upload)
        # Between making the folder and moving the file into it, another request has found the folder empty
        # and removed it with a file of its own.
    return default_storage.save(name, upload)


def sync_folder(folder: Path) -> None:
    """A new name is on disk only when the folder that holds it is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete_session(session: RecordingSession) -> None:
    """Cancel the session's jobs, delete its rows, and its audio once that is committed."""
    with transaction.atomic():
        # Before its jobs, as those do who store a chunk; and nothing comes while it is deleted.
        locked = RecordingSession.objects.select_for_update().filter(pk=session.pk).first()
        if locked is None:
            return
        end_jobs_of(locked)
        names = list(locked.chunks.values_list("file", flat=True))
        if locked.joined:
            names.append(locked.joined.name)
        locked.delete()
        # robust: the rows are gone, so the answer is yes; what stays is for the sweeper.
        transaction.on_commit(lambda: remove_audio(names), robust=True)


def remove_audio(names: Iterable[str]) -> None:
    """Remove files from the storage, and the folders that are empty after that. Missing ones are no error."""
    for name in names:
        default_storage.delete(name)
        remove_folder(str(PurePosixPath(name).parent))


def remove_folder(name: str) -> None:
    """Remove a folder of the storage if it is empty. Object stores have none."""
    if isinstance(default_storage, FileSystemStorage):
        with suppress(OSError):  # not empty, or gone already
            Path(default_storage.path(name)).rmdir()
