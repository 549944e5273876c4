"""The two files of a resumable upload, in FILE_UPLOAD_TEMP_DIR/tus.

`ID.part` is what has come; its size is the offset, so there is nothing that could disagree with it. `ID.lock`
is locked (flock) while the part is looked at or written, and holds the token of the one request that may add
to it. A process that is killed frees its lock.
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

from sessions_app.intake import sync_folder
from sessions_app.models import ResumableUpload
from sessions_app.upload_handler import UploadRefused, refuse_when_full


class UploadGone(UploadRefused):
    status = 404
    code = "not_found"
    message = "This upload is not here any more. Begin a new one."


def folder() -> Path:
    return Path(settings.FILE_UPLOAD_TEMP_DIR) / "tus"


def part_path(upload_id: uuid.UUID) -> Path:
    return folder() / f"{upload_id}.part"


def lock_path(upload_id: uuid.UUID) -> Path:
    return folder() / f"{upload_id}.lock"


def make_files(upload_id: uuid.UUID) -> None:
    """Raises StorageFull."""
    with refuse_when_full():
        folder().mkdir(exist_ok=True)
        part_path(upload_id).touch(mode=0o600)
        lock_path(upload_id).touch(mode=0o600)
        sync_folder(folder())


class Part:
    """What has come of an upload, for the one who holds its lock."""

    def __init__(self, upload_id: uuid.UUID, lock: IO[bytes]) -> None:
        self.path = part_path(upload_id)
        self._lock_path = lock_path(upload_id)
        self._lock = lock

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def admit_only(self, token: bytes) -> None:
        """From now on only the holder of `token` may add to it; with b"", nobody who could before."""
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
        """Safe against a power cut, too."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._lock_path.unlink(missing_ok=True)


@contextmanager
def locked(upload: ResumableUpload) -> Iterator[Part]:
    """Raises UploadGone where there is nothing of it any more."""
    try:
        lock = lock_path(upload.pk).open("r+b")
    except FileNotFoundError as error:
        raise UploadGone from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Whoever held the lock until now may have removed both files.
        if os.fstat(lock.fileno()).st_nlink == 0 or not part_path(upload.pk).exists():
            raise UploadGone
        yield Part(upload.pk, lock)
