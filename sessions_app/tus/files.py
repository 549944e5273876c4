"""The two files of a resumable upload, in FILE_UPLOAD_TEMP_DIR/tus.

`ID.part` has the bytes that have come. Its size is the offset, so that no other number can disagree with it.
`ID.lock` is locked (flock) while the part is read or written, and holds the token of the only request that
may add to the part. If a process is killed, its lock is free.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.conf import settings

from jobs_app.storage.durable import sync_to_disk
from rest.disk import refuse_when_full
from rest.refusals import NotFound
from sessions_app.models import ResumableUpload


class UploadGone(NotFound):
    sentence = "This upload is not here any more. Begin a new one."


def folder() -> Path:
    return Path(settings.FILE_UPLOAD_TEMP_DIR) / "tus"


def part_path(upload_id: uuid.UUID) -> Path:
    return folder() / f"{upload_id}.part"


def lock_path(upload_id: uuid.UUID) -> Path:
    return folder() / f"{upload_id}.lock"


def make_files(upload_id: uuid.UUID) -> None:
    """Make both files of an upload.

    Raises:
        StorageFull: the disk has no room for them.
    """
    with refuse_when_full():
        folder().mkdir(exist_ok=True)
        part_path(upload_id).touch(mode=0o600)
        lock_path(upload_id).touch(mode=0o600)
        sync_to_disk(folder())


class Part:
    """The bytes of an upload that have come. Only code that holds the lock may use this."""

    def __init__(self, upload_id: uuid.UUID, lock: IO[bytes]) -> None:
        self.path = part_path(upload_id)
        self._lock_path = lock_path(upload_id)
        self._lock = lock

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def admit_only(self, token: bytes) -> None:
        """Allow only the request with `token` to add to the part from now on; with b"", no request that could
        before.
        """
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(token)
        self._lock.flush()

    def admits(self, token: bytes) -> bool:
        self._lock.seek(0)
        return self._lock.read() == token

    def append(self, block: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(block)

    def sync(self) -> None:
        """Write the part to the disk itself, so that it survives a power cut."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._lock_path.unlink(missing_ok=True)


@contextmanager
def locked(upload: ResumableUpload) -> Iterator[Part]:
    """Lock the upload and give its part.

    Raises:
        UploadGone: the files of the upload are not there any more.
    """
    try:
        lock = lock_path(upload.pk).open("r+b")
    except FileNotFoundError as error:
        raise UploadGone from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The request that held the lock until now may have removed both files.
        if os.fstat(lock.fileno()).st_nlink == 0 or not part_path(upload.pk).exists():
            raise UploadGone
        yield Part(upload.pk, lock)
