"""Finish recordings whose recorder has vanished, so that the audio that has come gets its transcript."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from sessions_app.arrival.chunks import mark_finished
from sessions_app.models import AudioChunk, RecordingSession

logger = logging.getLogger(__name__)


def abandoned() -> QuerySet[RecordingSession]:
    """Return recordings that are not finished and have sent nothing for ABANDONED_AFTER_S."""
    # Only the clock of the database counts here, because those of web server and worker may differ.
    since = Now() - timedelta(seconds=settings.ABANDONED_AFTER_S)
    lately = AudioChunk.objects.filter(session=OuterRef("pk"), received_at__gte=since)
    return RecordingSession.objects.filter(
        ~Exists(lately), ~Q(seen_at__gte=since), finished_at=None, started_at__lt=since
    )


def sweep() -> None:
    """Finish the abandoned recordings. Each job runner calls this every few seconds."""
    for session_id in abandoned().values_list("pk", flat=True):
        with transaction.atomic():
            session = RecordingSession.objects.select_for_update(no_key=True).filter(pk=session_id).first()
            # This is checked again under the lock: until now, a new chunk may have held it.
            if session is not None and abandoned().filter(pk=session_id).exists():
                mark_finished(session)
                logger.warning("%s: nothing has come for %s s", session_id, settings.ABANDONED_AFTER_S)
