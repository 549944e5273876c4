"""Uploaded files go to disk as they come, hashed and counted; never into memory."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

DISK_CHECK_BYTES = 16 * 1024 * 1024
"""How much is written between two looks at the free space."""

PART_PREFIX = "upload-"

# EFBIG: the file system or a limit of the process holds no larger file.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UploadRefused(Exception):
    """An upload that cannot be taken. `str(error)` is a sentence for people that names the remedy."""

    status = 400
    code = "upload_refused"
    message = "This upload could not be taken."

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.message)


class FileTooLarge(UploadRefused):
    status = 413
    code = "file_too_large"

    def __init__(self) -> None:
        super().__init__(
            f"This file is larger than {settings.MAX_UPLOAD_BYTES // settings.MIB} MB. "
            "Send the sound alone (as MP3, for example), or split the recording."
        )


class StorageFull(UploadRefused):
    status = 507
    code = "storage_full"
    message = "The server has no room left for this file. Nothing was stored; tell its administrator."


def check_disk(n_bytes: int = 0) -> None:
    """Raises StorageFull where less than MIN_FREE_DISK_BYTES would be free after writing `n_bytes`."""
    if shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).free < n_bytes + settings.MIN_FREE_DISK_BYTES:
        raise StorageFull


@contextmanager
def refuse_when_full() -> Iterator[None]:
    """Raises StorageFull instead of the OSError of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull from error
        raise


class HashedUpload(UploadedFile):
    """A file on disk that is removed when it is closed, unless it was moved away.

    `sha256` is of its content, in hex. `refused` says why there is no content: forms and serializers see
    an ordinary file, and `intake.store_upload` raises it.
    """

    def __init__(self, *, sha256: str, refused: UploadRefused | None, **file: Any) -> None:
        super().__init__(**file)
        self.sha256 = sha256
        self.refused = refused

    def temporary_file_path(self) -> str:
        """Where it is. Django's storages move it from there instead of copying it."""
        return self.file.name

    def close(self) -> None:
        try:
            super().close()
        except FileNotFoundError:
            # It was moved into the storage.
            return


class HashingUploadHandler(FileUploadHandler):
    """Writes each file of a request into FILE_UPLOAD_TEMP_DIR and makes a HashedUpload of it.

    A file that is too large or does not fit is dropped at once and the rest of it skipped, so that the other
    fields of the form (the CSRF token may come after the file) are still read.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._sha256 = hashlib.sha256()
        self._refused: UploadRefused | None = None
        self._size = 0
        self._next_disk_check = 0
        self.file: Any = BytesIO()
        with self._refusing(), refuse_when_full():
            self.file = tempfile.NamedTemporaryFile(  # noqa: SIM115  closed with the upload
                prefix=PART_PREFIX, dir=settings.FILE_UPLOAD_TEMP_DIR
            )

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self._refused is None:
            with self._refusing():
                self._write(raw_data)

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > settings.MAX_UPLOAD_BYTES:
            raise FileTooLarge
        if self._size > self._next_disk_check:
            self._next_disk_check = self._size + DISK_CHECK_BYTES
            check_disk()
        self._sha256.update(data)
        with refuse_when_full():
            self.file.write(data)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except UploadRefused as refused:
            self._refused = refused
            self._drop()

    def _drop(self) -> None:
        partial, self.file = self.file, BytesIO()
        try:
            partial.close()
        except OSError as error:
            # Closing writes what was buffered, and the disk is still full. The file is gone all the same.
            if error.errno not in _FULL:
                raise

    def file_complete(self, file_size: int) -> HashedUpload:
        if self._refused is None:
            with self._refusing(), refuse_when_full():
                self.file.flush()
        self.file.seek(0)
        return HashedUpload(
            file=self.file,
            name=self.file_name,
            content_type=self.content_type,
            size=self._size,
            charset=self.charset,
            content_type_extra=self.content_type_extra,
            sha256=self._sha256.hexdigest(),
            refused=self._refused,
        )

    def upload_interrupted(self) -> None:
        self._drop()
