"""A file without content that keeps room for deletions on a full disk.

SQLite writes a deletion into its log first. On a disk without a free byte nothing could be deleted, and
people could not make room in the application.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import OperationalError, connection

from rest.disk import is_full

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

SPARE_BYTES = 8 * 1024 * 1024


def path() -> Path:
    return settings.DATA_DIR / "spare_room"


def keep() -> None:
    """Make the file if it is missing and there is enough room for it. It is harmless at any time."""
    file = path()
    try:
        if file.exists() and file.stat().st_size >= SPARE_BYTES:
            return
        if shutil.disk_usage(file.parent).free < 2 * SPARE_BYTES:
            return
        with file.open("wb") as opened:
            os.posix_fallocate(opened.fileno(), 0, SPARE_BYTES)
    except OSError as error:
        logger.warning("No room is kept for deletions on a full disk: %s", error)


def may_use_spare_room(delete: Callable[P, T]) -> Callable[P, T]:
    """Try `delete` once more, with the spare room, if the disk is full.

    `delete` must undo its work if it fails.
    """

    @wraps(delete)
    def deleting(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return delete(*args, **kwargs)
        except (OperationalError, OSError) as error:
            # In a transaction of the caller nothing can be tried again.
            if not is_full(error) or connection.in_atomic_block or not path().exists():
                raise
        logger.warning("The disk is full: the room that is kept for deletions is used")
        path().unlink(missing_ok=True)
        try:
            return delete(*args, **kwargs)
        finally:
            keep()

    return deleting
