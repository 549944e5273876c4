"""Check that the disk has room, recognise the errors of a full disk, and the Refusal for them."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import OperationalError

from rest.refusals import Refusal

# EFBIG means that the file system, or a limit of the process, allows no larger file.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
POSTGRES_DISK_FULL = "53100"

DISK_CHECK_BYTES = 16 * 1024 * 1024
"""The free space is checked again each time this much was written."""

NO_ROOM = "The server has no room left for this file. Nothing was stored; tell its administrator."


class StorageFull(Refusal):
    status = 507
    code = "storage_full"
    sentence = "The server has no room left. Nothing was changed; tell its administrator."


def is_full(error: BaseException) -> bool:
    """Whether an error means that this disk, or that of the database, has no room left."""
    if isinstance(error, OperationalError):
        cause = error.__cause__
        return (
            getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            or getattr(cause, "pgcode", None) == POSTGRES_DISK_FULL
        )
    return isinstance(error, OSError) and error.errno in FULL


def check_disk(n_bytes: int = 0) -> None:
    """Check that the disk has room for `n_bytes`.

    Raises:
        StorageFull: less than MIN_FREE_DISK_BYTES would be free after they are written.
    """
    if shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).free < n_bytes + settings.MIN_FREE_DISK_BYTES:
        raise StorageFull(NO_ROOM)


@contextmanager
def refuse_when_full() -> Iterator[None]:
    """In this context, raise StorageFull for errors of a full disk, also for those of the database's disk."""
    try:
        yield
    except (OSError, OperationalError) as error:
        if is_full(error):
            raise StorageFull(NO_ROOM) from error
        raise
