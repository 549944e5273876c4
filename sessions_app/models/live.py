"""Audio of a recording that came by a socket and is in no chunk yet, and who sends it."""

from __future__ import annotations

from django.db import models

from sessions_app.models.recordings import RecordingSession


class LivePiece(models.Model):
    """About half a second of audio that came by a socket. It goes when a chunk holds it."""

    session = models.ForeignKey(
        RecordingSession, on_delete=models.CASCADE, related_name="live_pieces", db_index=False
    )
    first_sample = models.PositiveBigIntegerField(help_text="Its place in the recording, at 16 kHz.")
    pcm = models.BinaryField(help_text="int16, little endian, 16 kHz, mono.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "first_sample"], name="live_piece_once"),
        ]

    def __str__(self) -> str:
        return f"live piece of {self.session_id} from sample {self.first_sample}"


class LiveSender(models.Model):
    """The socket that sends a recording. A newer one takes the recording over from an older one."""

    session = models.OneToOneField(
        RecordingSession, on_delete=models.CASCADE, primary_key=True, related_name="live_sender"
    )
    sender = models.UUIDField(help_text="Drawn by the socket when it starts.")

    def __str__(self) -> str:
        return f"sender of {self.session_id}"
