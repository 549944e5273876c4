"""Finish recordings whose recorder has vanished, so that the audio that has come gets its transcript."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from rest.refusals import Refusal
from sessions_app.arrival.finishing import compose, mark_finished
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
    for session in abandoned():
        try:
            _finish(session)
        except Refusal as refused:
            # The disk may be full, or the recording is deleted. The next sweep tries again.
            logger.warning("%s cannot be finished: %s", session.pk, refused)


def _finish(session: RecordingSession) -> None:
    n_chunks = session.chunks.count()
    if not abandoned().filter(pk=session.pk).exists():
        return
    n_chunks += compose(session, rest=True)[1]
    with transaction.atomic():
        locked = session.lock()
        # This is checked again under the lock: until now, a new chunk may have held it.
        if locked is None or locked.finished_at is not None or locked.seen_at != session.seen_at:
            return
        if locked.chunks.count() == n_chunks and not locked.live_pieces.exists():
            mark_finished(locked)
            logger.warning("%s: nothing has come for %s s", session.pk, settings.ABANDONED_AFTER_S)
