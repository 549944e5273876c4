"""Audio of a recording that came by a socket and is in no chunk yet, and who sends it."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Subquery
from django.db.models.functions import Coalesce

SAMPLE_BYTES = 2


class LivePieceQuerySet(models.QuerySet["LivePiece"]):
    def of(self, session_id: uuid.UUID) -> LivePieceQuerySet:
        return self.filter(session=session_id)

    def sound_from(self, first_sample: int, most: int) -> bytes:
        """Return up to `most` samples from `first_sample` on, as far as the pieces follow each other.

        The queryset has the pieces of one recording. The result is empty if no piece has `first_sample`.
        """
        before = self.filter(first_sample__lte=first_sample).order_by("-first_sample")
        first = Coalesce(Subquery(before.values("first_sample")[:1]), first_sample)
        rows = self.filter(first_sample__gte=first, first_sample__lt=first_sample + most)
        sound = bytearray()
        for begins, pcm in rows.order_by("first_sample").values_list("first_sample", "pcm"):
            reached = first_sample + len(sound) // SAMPLE_BYTES
            if begins > reached:
                break
            sound += memoryview(pcm)[SAMPLE_BYTES * (reached - begins) :]
        return bytes(sound[: SAMPLE_BYTES * most])


class LivePiece(models.Model):
    """About half a second of audio that came by a socket. It goes when a chunk holds it."""

    session = models.ForeignKey(
        "sessions_app.RecordingSession", on_delete=models.CASCADE, related_name="live_pieces", db_index=False
    )
    first_sample = models.PositiveBigIntegerField(help_text="Its place in the recording, at 16 kHz.")
    pcm = models.BinaryField(help_text="int16, little endian, 16 kHz, mono.")

    objects = LivePieceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "first_sample"], name="live_piece_once"),
        ]

    def __str__(self) -> str:
        return f"live piece of {self.session_id} from sample {self.first_sample}"


class LiveSender(models.Model):
    """The socket that sends a recording. A newer one takes the recording over from an older one."""

    session = models.OneToOneField(
        "sessions_app.RecordingSession",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="live_sender",
    )
    sender = models.UUIDField(help_text="Drawn by the socket when it starts.")

    def __str__(self) -> str:
        return f"sender of {self.session_id}"
