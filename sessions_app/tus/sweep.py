"""End or remove resumable uploads whose clients do not come back."""

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

from rest.refusals import Refusal
from sessions_app.models import ResumableUpload
from sessions_app.tus import uploads as tus
from sessions_app.tus.files import UploadGone, folder, locked
from speech.errors import SpeechError

logger = logging.getLogger(__name__)

LEFT_ALONE = timedelta(minutes=5)
"""The sweep ends a complete upload if no client has asked for this long."""


def sweep() -> None:
    """End complete uploads, and remove expired uploads and files without an upload."""
    before = timezone.now() - timedelta(seconds=settings.UPLOAD_EXPIRES_S)
    for upload in ResumableUpload.objects.unfinished().filter(last_part_at__lt=Now() - LEFT_ALONE):
        try:
            _end_or_expire(upload, before)
        except (Refusal, SpeechError, ValidationError) as error:
            logger.warning("%s: could not be ended: %s", upload.pk, error)
        except DatabaseError:
            raise
        except Exception:
            # If one file meets a bug, the other uploads must still be ended.
            logger.exception("%s could not be ended", upload.pk)
    # The files of these uploads have become the audio of recordings, so only the rows are deleted.
    ResumableUpload.objects.filter(last_part_at__lt=before, session__isnull=False).delete()
    _remove_files_without_upload(before)


def _end_or_expire(upload: ResumableUpload, before: datetime) -> None:
    try:
        with locked(upload) as part:
            # A request writes the row only at its end, perhaps after hours. So the time of the file counts,
            # too.
            expired = max(upload.last_part_at.timestamp(), part.path.stat().st_mtime) < before.timestamp()
            if part.size == upload.length:
                # A process was killed after the last byte, and the client has not asked again.
                try:
                    tus.end(upload, part)
                except Exception:
                    # Each sweep until now has tried to end it, so it is given up when it has expired.
                    if expired:
                        tus.give_up(upload, part)
                    raise
            elif expired:
                tus.give_up(upload, part)
    except UploadGone:
        # Another machine may have the files of this upload.
        if upload.last_part_at < before:
            ResumableUpload.objects.unfinished().filter(pk=upload.pk).delete()


def _remove_files_without_upload(before: datetime) -> None:
    for file in folder().glob("*"):
        # The upload may have ended just now, or the file may belong to something else, such as the .nfs files
        # of a network file system.
        with suppress(FileNotFoundError, ValueError):
            if file.stat().st_mtime >= before.timestamp():
                continue
            if not ResumableUpload.objects.unfinished().filter(pk=uuid.UUID(file.stem)).exists():
                file.unlink()
