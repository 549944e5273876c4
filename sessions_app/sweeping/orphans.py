"""Remove old idempotency keys, and the parts of uploads that a killed web process left on disk."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from sessions_app.arrival.upload_handler import PART_PREFIX
from sessions_app.models import IdempotencyKey

KEEP_KEYS = timedelta(hours=24)


def sweep_keys() -> None:
    """Remove old idempotency keys. One of all job runners calls this every PRUNE_EVERY_S."""
    IdempotencyKey.objects.filter(created_at__lt=Now() - KEEP_KEYS).delete()


def sweep_parts() -> None:
    """Remove old parts of uploads. Each job runner calls this every PRUNE_EVERY_S, for its own machine."""
    remove_parts(timezone.now() - timedelta(seconds=settings.ORPHAN_AFTER_S))


def remove_parts(before: datetime) -> int:
    """Remove the parts of uploads that were last written before `before`, and return how many.

    A killed web process left them. The part of an upload that goes on is newer.
    """
    removed = 0
    for part in Path(settings.FILE_UPLOAD_TEMP_DIR).glob(f"{PART_PREFIX}*"):
        with suppress(FileNotFoundError):  # the upload ended just now
            if part.stat().st_mtime < before.timestamp():
                part.unlink()
                removed += 1
    return removed
