"""Removes what a crash left, audio without rows and parts of uploads, and what was kept for a while."""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models.functions import Now
from django.utils import timezone

from sessions_app import tus_sweep
from sessions_app.intake import AUDIO_FOLDER, remove_audio, remove_folder
from sessions_app.models import AudioChunk, IdempotencyKey, RecordingSession
from sessions_app.upload_handler import PART_PREFIX

logger = logging.getLogger(__name__)

EVERY_S = 600
KEEP_KEYS = timedelta(hours=24)
FOLDERS_AT_ONCE = 500

_next_at = 0.0


def sweep() -> None:
    """Called every few seconds by each job runner; does something every EVERY_S."""
    global _next_at
    if time.monotonic() < _next_at:
        return
    _next_at = time.monotonic() + EVERY_S
    before = timezone.now() - timedelta(seconds=settings.ORPHAN_AFTER_S)
    remove_parts(before)
    remove_audio_without_rows(before)
    tus_sweep.sweep()
    IdempotencyKey.objects.filter(created_at__lt=Now() - KEEP_KEYS).delete()


def remove_parts(before: datetime) -> int:
    """Remove what a killed web process left of uploads; how many. An upload that goes on is newer."""
    removed = 0
    for part in Path(settings.FILE_UPLOAD_TEMP_DIR).glob(f"{PART_PREFIX}*"):
        with suppress(FileNotFoundError):  # its upload ended just now
            if part.stat().st_mtime < before.timestamp():
                part.unlink()
                removed += 1
    return removed


def remove_audio_without_rows(before: datetime) -> int:
    """Remove stored files older than `before` that no row names, and empty folders; how many files."""
    if not default_storage.exists(AUDIO_FOLDER):
        return 0
    folders = [name for name in default_storage.listdir(AUDIO_FOLDER)[0] if _is_session_id(name)]
    removed = 0
    for i in range(0, len(folders), FOLDERS_AT_ONCE):
        removed += _remove_from(folders[i : i + FOLDERS_AT_ONCE], before)
    if removed:
        logger.warning("Removed %s audio files without a recording", removed)
    return removed


def _remove_from(folders: list[str], before: datetime) -> int:
    # First the files, then the rows: a row that is committed in between is seen.
    stored = []
    for folder in folders:
        files = default_storage.listdir(f"{AUDIO_FOLDER}/{folder}")[1]
        stored += [f"{AUDIO_FOLDER}/{folder}/{file}" for file in files]
        if not files and default_storage.get_modified_time(f"{AUDIO_FOLDER}/{folder}") < before:
            remove_folder(f"{AUDIO_FOLDER}/{folder}")
    chunks = AudioChunk.objects.filter(session_id__in=folders).order_by().values_list("file")
    joined = RecordingSession.objects.filter(pk__in=folders).values_list("joined")
    known = {name for (name,) in chunks.union(joined)}
    orphans = [
        name for name in stored if name not in known and default_storage.get_modified_time(name) < before
    ]
    remove_audio(orphans)
    return len(orphans)


def _is_session_id(name: str) -> bool:
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True
