"""Uploads that go on after a break: what may be added to them, and how they end.

Asking for the offset takes the right to add from whoever has it: what a client is told stays true until it
sends more, although an earlier connection of it, which it has given up, may still deliver.

The part stays until the recording is committed. Whatever is killed before that, the next request, or the
sweep, finds it complete and ends the upload.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from jobs_app.models import TranscriptionJob
from sessions_app.intake import clean_filename, store_upload
from sessions_app.models import ResumableUpload, SessionSource
from sessions_app.tus_files import Part, UploadGone, locked, make_files
from sessions_app.tus_protocol import Checksum, Wanted
from sessions_app.upload_handler import (
    DISK_CHECK_BYTES,
    PART_PREFIX,
    FileTooLarge,
    HashedUpload,
    StorageFull,
    UploadRefused,
    check_disk,
    refuse_when_full,
)
from speech.errors import SpeechError

BLOCK_BYTES = 1024 * 1024


class OffsetConflict(UploadRefused):
    status = 409
    code = "offset_conflict"
    message = "The upload does not go on here. Ask for its offset with HEAD, and send what comes after it."


class TooLong(UploadRefused):
    status = 413
    code = "upload_too_long"
    message = "This is more than the Upload-Length that was announced. Begin a new upload with the right one."


class ChecksumMismatch(UploadRefused):
    status = 460
    code = "checksum_mismatch"
    message = "What arrived is not what was sent: its checksum is another one. Send this part again."


class TooManyUnfinished(UploadRefused):
    status = 422
    code = "too_many_unfinished"

    def __init__(self) -> None:
        super().__init__(
            f"You have {settings.TUS_MAX_UNFINISHED} unfinished uploads. Finish or delete one of them first."
        )


class DiskFull(StorageFull):
    message = "The server has no room left. What has arrived is kept: try later, or tell its administrator."


# --- From the first byte to the job -------------------------------------------------------------------


def create(owner: User, *, length: int, metadata: str) -> ResumableUpload:
    """An upload of `length` bytes that nothing has come of yet.

    Raises:
        FileTooLarge, StorageFull, TooManyUnfinished
    """
    if length > settings.MAX_UPLOAD_BYTES:
        raise FileTooLarge
    check_disk(length)
    upload = ResumableUpload(owner=owner, length=length, metadata=metadata)
    with transaction.atomic():
        # Many that are begun at once are counted one after the other.
        User.objects.select_for_update().get(pk=owner.pk)
        if owner.resumable_uploads.unfinished().count() >= settings.TUS_MAX_UNFINISHED:
            raise TooManyUnfinished
        # First the files, then the row: what a crash leaves is files that the sweep removes.
        make_files(upload.pk)
        upload.save(force_insert=True)
    upload.refresh_from_db(fields=["created_at", "last_part_at"])
    return upload


def offset(upload: ResumableUpload) -> int:
    """Where the upload goes on, in bytes; whoever was adding to it stops. All of it is here: it is ended.

    Raises:
        UploadGone: it was removed.
        Whatever `store_upload` raises, where all of it is here.
    """
    try:
        with locked(upload) as part:
            part.admit_only(b"")
            part.sync()
            size = part.size
            if size == upload.length:
                end(upload, part)
    except UploadGone:
        # Another request has ended it just now, perhaps.
        _look_again(upload)
        size = upload.length
    return size


def _look_again(upload: ResumableUpload) -> None:
    """Raises UploadGone unless the upload was ended by another request."""
    _read_again(upload)
    if not upload.is_done:
        raise UploadGone


def _read_again(upload: ResumableUpload) -> None:
    """Raises UploadGone where the row was deleted, with its owner, perhaps."""
    try:
        upload.refresh_from_db()
    except ResumableUpload.DoesNotExist as error:
        raise UploadGone from error


def receive(
    upload: ResumableUpload,
    at: int,
    blocks: Iterable[bytes],
    *,
    announced: int = 0,
    checksum: Checksum | None = None,
) -> int:
    """Add `blocks` at the offset `at`, as they come; the offset after them. What it says is safe on disk.

    With the last byte the upload is ended: it has a session and a job then. `blocks` may end before the bytes
    that are `announced`, if they are; what has come by then stays, unless it cannot match the `checksum`.

    Raises:
        OffsetConflict: it does not go on at `at`, or another request has taken over.
        TooLong, ChecksumMismatch, DiskFull, UploadGone
        Whatever `store_upload` raises.
    """
    token = secrets.token_bytes(16)
    try:
        with locked(upload) as part:
            if part.size != at:
                raise OffsetConflict
            if announced > upload.length - at:
                raise TooLong
            part.admit_only(token)
        # It may take hours, and is not to keep one of the database's connections for so long.
        if not connection.in_atomic_block:
            connection.close()
        if checksum is not None:
            blocks = _verified(upload.length - at, blocks, checksum)
        for block in _within(upload.length - at, blocks):
            with locked(upload) as part, refuse_when_full():
                if not part.admits(token):
                    raise OffsetConflict
                part.append(block)
        with locked(upload) as part:
            if not part.admits(token):
                raise OffsetConflict
            part.sync()
            size = part.size
            upload.last_part_at = timezone.now()
            if not ResumableUpload.objects.filter(pk=upload.pk).update(last_part_at=upload.last_part_at):
                raise UploadGone
            if size == upload.length:
                end(upload, part)
    except UploadGone as error:
        _look_again(upload)
        raise OffsetConflict from error
    except StorageFull as error:
        raise DiskFull from error
    return size


def _within(room: int, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks, as long as they and the disk are not too large."""
    unchecked = DISK_CHECK_BYTES
    for block in blocks:
        room -= len(block)
        if room < 0:
            raise TooLong
        unchecked += len(block)
        if unchecked > DISK_CHECK_BYTES:
            unchecked = 0
            check_disk()
        yield block


def _verified(room: int, blocks: Iterable[bytes], checksum: Checksum) -> Iterator[bytes]:
    """The blocks, once all of them have come and are what was sent; until then in a file without a name."""
    with refuse_when_full(), tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
        for block in _within(room, blocks):
            checksum.update(block)
            file.write(block)
        if not checksum.matches():
            raise ChecksumMismatch
        file.seek(0)
        yield from iter(lambda: file.read(BLOCK_BYTES), b"")


def end(upload: ResumableUpload, part: Part) -> None:
    """Make the recording and its job of a part that is complete. The caller holds the lock.

    A file that is refused is removed, and so is its upload.
    """
    _read_again(upload)
    if not upload.is_done:
        # Nobody adds to it now.
        part.admit_only(b"")
        try:
            _store(upload, part)
        except (SpeechError, ValidationError):
            give_up(upload, part)
            raise
        except StorageFull as error:
            raise DiskFull from error
    part.remove()


def _store(upload: ResumableUpload, part: Part) -> None:
    wanted = Wanted(upload.metadata)
    filename = clean_filename(wanted.filename)

    def remember(job: TranscriptionJob) -> None:
        done = {"session": job.session_id, "job": job.pk, "last_part_at": Now()}
        if not ResumableUpload.objects.filter(pk=upload.pk).update(**done):
            raise UploadGone

    # A second name of the same file, which is moved to its place: the part stays until all is committed.
    moved = Path(settings.FILE_UPLOAD_TEMP_DIR) / f"{PART_PREFIX}{secrets.token_hex(8)}"
    os.link(part.path, moved)
    try:
        # Its last byte may have come long ago, and old files that no row names yet are swept.
        os.utime(moved)
        with moved.open("rb") as file:
            arrived = HashedUpload(
                file=file,
                # Django takes no such names for files.
                name=None if filename in ("", ".", "..") else filename,
                size=upload.length,
                sha256=hashlib.file_digest(file, "sha256").hexdigest(),
                refused=None,
            )
            store_upload(
                upload.owner,
                arrived,
                wanted.options,
                title=wanted.title,
                source=SessionSource.UPLOAD,
                and_then=remember,
            )
    finally:
        moved.unlink(missing_ok=True)
    upload.refresh_from_db()


def remove(upload: ResumableUpload) -> None:
    """Give an upload up. The recording of one that is done stays."""
    try:
        with locked(upload) as part:
            give_up(upload, part)
    except UploadGone:
        ResumableUpload.objects.filter(pk=upload.pk).delete()


def give_up(upload: ResumableUpload, part: Part) -> None:
    """As `remove`, for the one who holds the lock."""
    # Whoever adds to it finds that out with the next block.
    part.admit_only(b"")
    ResumableUpload.objects.filter(pk=upload.pk).delete()
    part.remove()
