"""The working copies of chunks: where they are, and how they are deleted.

They are a cache beside the workers.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings


def working_copy_path(chunk_id: uuid.UUID, heard: str = "") -> Path:
    """Return the path of a working copy. `heard` names which of several audio tracks it holds."""
    return Path(settings.WORK_DIR) / f"{chunk_id}{f'_{heard}' if heard else ''}"


def lock_file(copy: Path) -> Path:
    """Return the lock that a process holds while it makes a lost working copy again.

    `forget_unused` deletes it with the others.
    """
    return copy.with_suffix(".lock")


def forget(chunk_ids: Iterable[uuid.UUID]) -> None:
    """Delete the working copies of these chunks."""
    for chunk_id in chunk_ids:
        copy = working_copy_path(chunk_id)
        for path in (copy, *copy.parent.glob(f"{copy.name}_*")):
            shutil.rmtree(path, ignore_errors=True)
            lock_file(path).unlink(missing_ok=True)


def forget_unused(*, in_use: set[uuid.UUID], older_than_s: float) -> int:
    """Delete the working copies, and the remains of unfinished ones, that were not read for `older_than_s`.

    Those in `in_use` stay. Return how many were deleted.
    """
    kept = {working_copy_path(chunk_id).name for chunk_id in in_use}
    deleted = 0
    for path in Path(settings.WORK_DIR).iterdir():
        try:
            old = path.stat().st_mtime < time.time() - older_than_s
        except FileNotFoundError:
            continue
        if old and path.name.partition("_")[0] not in kept:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            deleted += 1
    return deleted
