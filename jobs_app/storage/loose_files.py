"""Files of the storage that no row names: they are still being stored, or are to be removed.

A file is announced before it is stored, and adopted in the transaction of the row that names it. When that
row is deleted, the same transaction dooms the file. So each file that no other row names has a row here, and
what a crash leaves is found without a search of the storage, which holds years of recordings.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models.functions import Now

from jobs_app.models import LooseFile

logger = logging.getLogger(__name__)

REMOVED_AT_ONCE = 500


class RemovedMeanwhile(Exception):
    """The file took longer than ORPHAN_AFTER_HOURS to be stored, and has been removed."""


def announce(name: str) -> None:
    """Note that a file of this name is going to be stored."""
    LooseFile.objects.create(name=name)


def adopt(name: str) -> None:
    """Note that a row names the file. Call it in the transaction that stores that row.

    Raises:
        RemovedMeanwhile: the file is gone, and the row must not be stored.
    """
    deleted, _ = LooseFile.objects.filter(name=name, doomed=False).delete()
    if not deleted:
        raise RemovedMeanwhile(name)


def doom(names: Iterable[str]) -> None:
    """Have files removed when the transaction that deletes their rows commits."""
    doomed = list(names)
    LooseFile.objects.bulk_create(LooseFile(name=name, doomed=True) for name in doomed)
    # robust: the rows are already gone, so an error here must not fail the request. The sweep removes what
    # stays.
    transaction.on_commit(lambda: remove(doomed), robust=True)


def remove_unless_adopted(name: str) -> None:
    """Remove a file that was announced, if no row names it."""
    try:
        if not LooseFile.objects.filter(name=name).update(doomed=True):
            return
    except DatabaseError:
        logger.warning("Nobody knows whether %s is in use; the sweep will find out.", name)
        return
    remove([name])


def remove(names: Iterable[str]) -> None:
    """Remove files that no row names, and the folders that become empty.

    A missing file is no error. A file that cannot be removed does not keep the others.
    """
    removed = []
    for name in names:
        try:
            default_storage.delete(name)
            remove_folder(str(PurePosixPath(name).parent))
        except Exception:
            # Any kind of storage can raise any error. The sweep tries this file again, after all others.
            logger.exception("%s could not be removed", name)
            LooseFile.objects.filter(name=name).update(since=Now())
        else:
            removed.append(name)
    LooseFile.objects.filter(name__in=removed).delete()


def remove_folder(name: str) -> None:
    """Remove a folder of the storage if it is empty. Object stores have no folders."""
    if isinstance(default_storage, FileSystemStorage):
        with suppress(OSError):  # it is not empty, or already gone
            Path(default_storage.path(name)).rmdir()


def sweep() -> None:
    """Remove files that broken-off uploads have left.

    One of all job runners calls this every PRUNE_EVERY_S.
    """
    long_ago = Now() - timedelta(seconds=settings.ORPHAN_AFTER_S)
    # This comes first, so that no row can adopt a file that is being removed.
    lost = LooseFile.objects.filter(doomed=False, since__lt=long_ago).update(doomed=True)
    if lost:
        logger.warning("%s files of uploads that broke off are removed", lost)
    doomed = LooseFile.objects.filter(doomed=True).order_by("since")
    remove(list(doomed.values_list("name", flat=True)[:REMOVED_AT_ONCE]))
