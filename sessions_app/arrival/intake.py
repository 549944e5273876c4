"""Store uploads, and delete recordings.

A crash at any point is harmless, because the audio is on disk before there are rows. A crash leaves nothing,
or a file that no row names (`jobs_app.storage.loose_files` removes it), or a complete job.
"""

from __future__ import annotations

import secrets
import unicodedata
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone

from jobs_app.lifecycle.choices import end_jobs_of
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import TranscriptionJob
from jobs_app.models.options import JobOptions
from jobs_app.storage import loose_files
from jobs_app.storage.durable import sync_stored
from jobs_app.storage.spare_room import may_use_spare_room
from rest.disk import refuse_when_full
from sessions_app.arrival import idempotency
from sessions_app.arrival.audio import extension
from sessions_app.arrival.probing import probe
from sessions_app.arrival.upload_handler import HashedUpload
from sessions_app.models import AudioChunk, RecordingSession
from speech.errors import AudioTooLong
from speech.sound.tracks.wish import check_track_number
from speech.types import MediaInfo

if TYPE_CHECKING:
    from people_app.models import User

AUDIO_FOLDER = "audio"
SAVE_TRIES = 5
_JOINERS = "\u200c\u200d"


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
    """Make a session with one chunk, which is the uploaded file, and start its job.

    `title` defaults to the file's name without its ending. If the header of the file gives a length of at
    most `interactive_max_s`, the job comes before all others. If `owner` used the `idempotency_key` before
    for the same file and options, the job of that request is returned and nothing is stored. `and_then` is
    called in the transaction that makes a new job.

    Raises:
        Refusal: the upload was cut off because it is too large or the disk is full.
        UnsupportedMedia, UnreadableAudio, NoAudio, AudioTooLong, NoSuchTrack: the file's header says so.
        IdempotencyMismatch: the key was used for another file or other options.
    """
    if upload.refused is not None:
        raise upload.refused
    asked = idempotency.fingerprint("upload", [upload.sha256, title], options)
    if job := idempotency.earlier_job(owner, idempotency_key, asked):
        return job
    info = probe(Path(upload.temporary_file_path()))
    if info.duration_ms is not None and info.duration_ms > settings.MAX_AUDIO_S * 1000:
        raise AudioTooLong
    if info.audio_streams:
        check_track_number(options.audio_track, info.audio_streams)

    filename = clean_filename(upload.name or "")
    session = RecordingSession(
        owner=owner,
        title=(title or PurePosixPath(filename).stem)[:200],
        source=source,
    )
    stored = store_audio(session.pk, 0, upload, info)

    def create() -> TranscriptionJob:
        # One moment for both, since the clock of the database may be behind this one.
        session.started_at = session.finished_at = timezone.now()
        session.save(force_insert=True)
        AudioChunk.objects.create(
            session=session,
            number=0,
            file=stored,
            filename=filename,
            container=info.container,
            codec=info.codec,
            audio_tracks=info.audio_streams,
            duration_ms=info.duration_ms,
            size_bytes=upload.size,
            sha256=upload.sha256,
        )
        loose_files.adopt(stored)
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
        with refuse_when_full():
            job = idempotency.once(owner, idempotency_key, asked, create)
        return job
    finally:
        # The file is not needed if no job was made, or if an equal request at the same moment was faster.
        if job is None or job.session_id != session.pk:
            loose_files.remove_unless_adopted(stored)


def check_track(session: RecordingSession, options: JobOptions) -> None:
    """Check that a file of the recording has the audio track that the options ask for.

    Raises:
        NoSuchTrack: no file has this track.
    """
    known = [count for count in session.chunks.values_list("audio_tracks", flat=True) if count]
    if known:
        check_track_number(options.audio_track, max(known))


def clean_filename(name: str) -> str:
    """Return the last part of a path of any operating system, as a name for people.

    Characters that cannot be printed are removed, and the name is cut to the size of the column.
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = [c for c in last if c.isprintable() or c in _JOINERS]
    return "".join(c for n, c in enumerate(shown) if c not in _JOINERS or _joins(shown, n))[:255]


def _joins(name: list[str], at: int) -> bool:
    """Whether the joiner at `at` stands between parts of words or pictures. Persian and Hindi need such
    joiners.
    """
    before, after = name[max(0, at - 1) : at], name[at + 1 : at + 2]
    return all(unicodedata.category(c)[0] in "LMS" for c in (*before, *after)) and bool(before and after)


def store_audio(session_id: uuid.UUID, number: int, upload: HashedUpload, info: MediaInfo) -> str:
    """Move the upload to its place, so that it survives a power cut, and return its name in the storage.

    Raises:
        StorageFull: the disk is full; nothing of the upload is left there.
    """
    name = f"{AUDIO_FOLDER}/{session_id}/{number}-{secrets.token_hex(8)}.{extension(info)}"
    with refuse_when_full():
        loose_files.announce(name)
        try:
            _save(name, upload)
            upload.close()
            sync_stored(name)
        except BaseException:
            # On a full disk, the database may be unable to note this. The file is removed first, and the
            # sweep does the rest.
            with suppress(DatabaseError):
                loose_files.remove([name])
            raise
    return name


def _save(name: str, upload: HashedUpload) -> None:
    for _ in range(SAVE_TRIES - 1):
        with suppress(FileNotFoundError):
            default_storage.save(name, upload)
            return
        # After the folder was made and before the file was moved into it, another request found the folder
        # empty and removed it together with a file of its own.
    default_storage.save(name, upload)


@may_use_spare_room
def delete_session(session: RecordingSession) -> None:
    """Cancel the session's jobs and delete its rows. Its audio is deleted after the commit."""
    with transaction.atomic():
        # The session is locked before its jobs, in the same order as when a chunk is stored. The lock also
        # ensures that no chunk comes while the session is deleted.
        locked = RecordingSession.objects.select_for_update().filter(pk=session.pk).first()
        if locked is None:
            return
        end_jobs_of(locked)
        names = list(locked.chunks.values_list("file", flat=True))
        names += locked.sound_tracks.exclude(joined="").values_list("joined", flat=True)
        locked.delete()
        loose_files.doom(names)
