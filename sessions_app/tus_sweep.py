"""Resumable uploads that nobody comes back for."""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from sessions_app import tus
from sessions_app.models import ResumableUpload
from sessions_app.tus_files import UploadGone, folder, locked
from sessions_app.upload_handler import UploadRefused
from speech.errors import SpeechError

logger = logging.getLogger(__name__)

LEFT_ALONE = timedelta(minutes=5)
"""After this time without a client a complete upload is ended by the sweep."""


def sweep() -> None:
    """End uploads that are complete, remove those that have expired, and files that no upload has."""
    before = timezone.now() - timedelta(seconds=settings.UPLOAD_EXPIRES_S)
    for upload in ResumableUpload.objects.unfinished().filter(last_part_at__lt=Now() - LEFT_ALONE):
        try:
            _end_or_expire(upload, before)
        except (UploadRefused, SpeechError, ValidationError) as error:
            logger.warning("%s: could not be ended: %s", upload.pk, error)
        except DatabaseError:
            raise
        except Exception:
            # A bug that one file meets must not keep the others from their end.
            logger.exception("%s could not be ended", upload.pk)
    # Their files have become the audio of recordings.
    ResumableUpload.objects.filter(last_part_at__lt=before, session__isnull=False).delete()
    _remove_files_without_upload(before)


def _end_or_expire(upload: ResumableUpload, before: datetime) -> None:
    try:
        with locked(upload) as part:
            if part.size == upload.length:
                # A process was killed after the last byte, and its client does not ask.
                tus.end(upload, part)
            # The row is written at the end of a request, which may go on for hours.
            elif max(upload.last_part_at.timestamp(), part.path.stat().st_mtime) < before.timestamp():
                tus.give_up(upload, part)
    except UploadGone:
        # Perhaps another machine has its files.
        if upload.last_part_at < before:
            ResumableUpload.objects.unfinished().filter(pk=upload.pk).delete()


def _remove_files_without_upload(before: datetime) -> None:
    for file in folder().glob("*"):
        # Its upload ended just now; or it is none of ours, as the .nfs files of a network file system.
        with suppress(FileNotFoundError, ValueError):
            if file.stat().st_mtime >= before.timestamp():
                continue
            if not ResumableUpload.objects.unfinished().filter(pk=uuid.UUID(file.stem)).exists():
                file.unlink()
