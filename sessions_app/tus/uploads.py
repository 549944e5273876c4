"""Add to uploads that go on after a break, and end them.

A request for the offset takes away the right to add from any request that has it. So the offset that a client
gets stays true until the client sends more, although an earlier connection that the client gave up may still
deliver bytes.

The part stays until the recording is committed. If a process is killed before that, the next request or the
sweep finds the complete part and ends the upload.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobs_app.models import TranscriptionJob
from jobs_app.storage.spare_room import may_use_spare_room
from people_app.models import User
from rest.disk import DISK_CHECK_BYTES, StorageFull, check_disk, refuse_when_full
from rest.refusals import FileTooLarge, Refusal
from sessions_app.arrival.intake import clean_filename, store_upload
from sessions_app.arrival.refusals import ChecksumMismatch
from sessions_app.arrival.upload_handler import PART_PREFIX, HashedUpload
from sessions_app.models import ResumableUpload, SessionSource
from sessions_app.tus.files import Part, UploadGone, locked, make_files
from sessions_app.tus.protocol import Checksum, Wanted

BLOCK_BYTES = 1024 * 1024

NO_ROOM_FOR_REST = (
    "The server has no room left. What has arrived is kept: try later, or tell its administrator."
)


class OffsetConflict(Refusal):
    status = 409
    code = "offset_conflict"
    sentence = "The upload does not go on here. Ask for its offset with HEAD, and send what comes after it."


class TooLong(Refusal):
    status = 413
    code = "upload_too_long"
    sentence = (
        "This is more than the Upload-Length that was announced. Begin a new upload with the right one."
    )


class TooManyUnfinished(Refusal):
    status = 422
    code = "too_many_unfinished"

    def __init__(self) -> None:
        super().__init__(
            f"You have {settings.TUS_MAX_UNFINISHED} unfinished uploads. Finish or delete one of them first."
        )


# --- From the first byte to the job -------------------------------------------------------------------


def create(owner: User, *, length: int, metadata: str) -> ResumableUpload:
    """Make an upload of `length` bytes. No byte of it has come yet.

    Raises:
        FileTooLarge, StorageFull, TooManyUnfinished: the upload may not begin.
    """
    if length > settings.MAX_UPLOAD_BYTES:
        raise FileTooLarge
    check_disk(length)
    upload = ResumableUpload(owner=owner, length=length, metadata=metadata)
    with transaction.atomic():
        # This lock makes requests that begin uploads at the same time count one after the other.
        User.objects.select_for_update().get(pk=owner.pk)
        if owner.resumable_uploads.unfinished().count() >= settings.TUS_MAX_UNFINISHED:
            raise TooManyUnfinished
        # The files are made before the row, so a crash leaves only files, which the sweep removes.
        make_files(upload.pk)
        upload.save(force_insert=True)
    upload.refresh_from_db(fields=["created_at", "last_part_at"])
    return upload


def offset(upload: ResumableUpload) -> int:
    """Return the offset in bytes at which the upload goes on, and end the upload if all bytes have come.

    A request that is adding to the upload must stop.

    Raises:
        UploadGone: the upload was removed.
        Exception: if all bytes have come, everything that `store_upload` raises.
    """
    try:
        with locked(upload) as part:
            part.admit_only(b"")
            part.sync()
            size = part.size
            if size == upload.length:
                end(upload, part)
    except UploadGone:
        # Another request may have ended the upload just now.
        _look_again(upload)
        size = upload.length
    return size


def _look_again(upload: ResumableUpload) -> None:
    """Raise UploadGone unless another request has ended the upload."""
    _read_again(upload)
    if not upload.is_done:
        raise UploadGone


def _read_again(upload: ResumableUpload) -> None:
    """Read the row again. Raise UploadGone if it was deleted, perhaps together with its owner."""
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
    """Add `blocks` at the offset `at` as they come, and return the offset after them.

    All bytes before the returned offset are safe on disk. With the last byte the upload is ended; it then has
    a session and a job. `blocks` may have fewer bytes than are `announced`. The bytes that have come stay,
    unless they do not match the `checksum`.

    Raises:
        OffsetConflict: the upload does not go on at `at`, or another request has taken over.
        TooLong, ChecksumMismatch, StorageFull, UploadGone: the blocks cannot be added.
        Exception: with the last byte, everything that `store_upload` raises.
    """
    token = secrets.token_bytes(16)
    try:
        with locked(upload) as part:
            if part.size != at:
                raise OffsetConflict
            if announced > upload.length - at:
                raise TooLong
            part.admit_only(token)
        # This may take hours, and must not keep a connection to the database for so long.
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
        raise StorageFull(NO_ROOM_FOR_REST) from error
    return size


def _within(room: int, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Return the blocks as they come, while they fit into `room` bytes and onto the disk."""
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
    """Return the blocks after all have come and match the checksum. Before, a nameless file has them."""
    with refuse_when_full(), tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
        for block in _within(room, blocks):
            checksum.update(block)
            file.write(block)
        if not checksum.matches():
            raise ChecksumMismatch("part", "checksum")
        file.seek(0)
        yield from iter(lambda: file.read(BLOCK_BYTES), b"")


def end(upload: ResumableUpload, part: Part) -> None:
    """Make a recording and its job of a complete part. The caller holds the lock.

    If the file is refused, the file and its upload are removed. They are also removed if the file cannot be
    stored for any other reason than the disk or the database.
    """
    _read_again(upload)
    if not upload.is_done:
        # From now on no request may add to the part.
        part.admit_only(b"")
        try:
            _store(upload, part)
        except StorageFull as error:
            raise StorageFull(NO_ROOM_FOR_REST) from error
        except (OSError, DatabaseError, InterfaceError, UploadGone):
            # The next request may succeed.
            raise
        except Exception:
            # The same error would come each time.
            give_up(upload, part)
            raise
    part.remove()


def _store(upload: ResumableUpload, part: Part) -> None:
    wanted = Wanted(upload.metadata, upload.owner, upload.accept_language)
    filename = clean_filename(wanted.filename)

    def remember(job: TranscriptionJob) -> None:
        done = {"session": job.session_id, "job": job.pk, "last_part_at": Now()}
        if not ResumableUpload.objects.filter(pk=upload.pk).update(**done):
            raise UploadGone

    # This is a second name of the same file. It is moved to its place, while the part stays until all is
    # committed.
    moved = Path(settings.FILE_UPLOAD_TEMP_DIR) / f"{PART_PREFIX}{secrets.token_hex(8)}"
    os.link(part.path, moved)
    try:
        # The last byte may have come long ago, and a sweep removes old files that no row names yet.
        os.utime(moved)
        with moved.open("rb") as file:
            arrived = HashedUpload(
                file,
                # Django does not accept these names for files.
                None if filename in ("", ".", "..") else filename,
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


@may_use_spare_room
def remove(upload: ResumableUpload) -> None:
    """Remove an upload. If it is done already, its recording stays."""
    try:
        with locked(upload) as part:
            give_up(upload, part)
    except UploadGone:
        ResumableUpload.objects.filter(pk=upload.pk).delete()


def give_up(upload: ResumableUpload, part: Part) -> None:
    """Remove an upload, as `remove` does. The caller holds the lock."""
    # A request that is adding to the part finds this out with its next block.
    part.admit_only(b"")
    ResumableUpload.objects.filter(pk=upload.pk).delete()
    part.remove()
