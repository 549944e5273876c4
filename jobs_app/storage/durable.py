"""Make sure that stored files survive a power cut, before an answer or a row says that they are stored."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.files.storage import FileSystemStorage, default_storage


def sync_to_disk(path: Path) -> None:
    """Write a file or a folder to the disk. A new name is on disk only when its folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_stored(name: str) -> None:
    """Write a stored file and its folders to the disk, where it is now. It may have been copied there."""
    if isinstance(default_storage, FileSystemStorage):
        path = Path(default_storage.path(name))
        for part in (path, path.parent, path.parent.parent):
            sync_to_disk(part)
