"""Finishes recordings whose recorder has vanished, with what has come of them."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from sessions_app.chunks import end
from sessions_app.models import AudioChunk, RecordingSession

logger = logging.getLogger(__name__)


def abandoned() -> QuerySet[RecordingSession]:
    """Recordings that are not finished and of which nothing has come for ABANDONED_AFTER_S."""
    # By the clock of the database alone: those of web server and worker may differ.
    since = Now() - timedelta(seconds=settings.ABANDONED_AFTER_S)
    lately = AudioChunk.objects.filter(session=OuterRef("pk"), received_at__gte=since)
    return RecordingSession.objects.filter(
        ~Exists(lately), ~Q(seen_at__gte=since), finished_at=None, started_at__lt=since
    )


def sweep() -> None:
    """Called every few seconds by each job runner."""
    for session_id in abandoned().values_list("pk", flat=True):
        with transaction.atomic():
            session = RecordingSession.objects.select_for_update(no_key=True).filter(pk=session_id).first()
            # Asked again under the lock, which a chunk may have held until now.
            if session is not None and abandoned().filter(pk=session_id).exists():
                end(session)
                logger.warning("%s: nothing has come for %s s", session_id, settings.ABANDONED_AFTER_S)
