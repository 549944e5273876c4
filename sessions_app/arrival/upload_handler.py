"""Write uploaded files to disk while they come, never into memory, and hash and count their bytes."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

from rest.disk import DISK_CHECK_BYTES, check_disk, is_full, refuse_when_full
from rest.refusals import FileTooLarge, Refusal

PART_PREFIX = "upload-"


class HashedUpload(UploadedFile):
    """A file on disk that is removed when it is closed, unless it was moved away.

    `sha256` is the hash of the content, in hex. If there is no content, `refused` says why: forms and
    serializers see an ordinary file, and `intake.store_upload` raises `refused`.
    """

    file: IO[bytes]
    size: int

    def __init__(
        self,
        file: IO[bytes],
        name: str | None,
        *,
        size: int,
        sha256: str,
        refused: Refusal | None,
        content_type: str | None = None,
        charset: str | None = None,
        content_type_extra: dict[str, bytes] | None = None,
    ) -> None:
        super().__init__(file, name, content_type, size, charset, content_type_extra)
        self.sha256 = sha256
        self.refused = refused

    def temporary_file_path(self) -> str:
        """Return the path of the file. Django's storages move a file from there instead of copying it."""
        return self.file.name

    def close(self) -> None:
        try:
            super().close()
        except FileNotFoundError:
            # The file was moved into the storage.
            return


class HashingUploadHandler(FileUploadHandler):
    """Write each file of a request into FILE_UPLOAD_TEMP_DIR and make a HashedUpload of it.

    If a file is too large or does not fit on the disk, it is removed at once and the rest of its bytes are
    skipped. So the other fields of the form are still read; the CSRF token may come after the file.
    """

    def new_file(
        self,
        field_name: str,
        file_name: str,
        content_type: str,
        content_length: int | None,
        charset: str | None = None,
        content_type_extra: dict[str, bytes] | None = None,
    ) -> None:
        super().new_file(field_name, file_name, content_type, content_length, charset, content_type_extra)
        self._sha256 = hashlib.sha256()
        self._refused: Refusal | None = None
        self._size = 0
        self._next_disk_check = 0
        self.file: IO[bytes] = BytesIO()
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
        except Refusal as refused:
            self._refused = refused
            self._drop()

    def _drop(self) -> None:
        partial, self.file = self.file, BytesIO()
        try:
            partial.close()
        except OSError as error:
            # Closing the file writes its buffer, and the disk is still full. The file is removed in any case.
            if not is_full(error):
                raise

    def file_complete(self, file_size: int) -> HashedUpload:
        if self._refused is None:
            with self._refusing(), refuse_when_full():
                self.file.flush()
        self.file.seek(0)
        return HashedUpload(
            self.file,
            self.file_name,
            content_type=self.content_type,
            size=self._size,
            charset=self.charset,
            content_type_extra=self.content_type_extra,
            sha256=self._sha256.hexdigest(),
            refused=self._refused,
        )

    def upload_interrupted(self) -> None:
        self._drop()
