"""The audio that one socket sends: where each sample belongs, and when it is stored."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid

from django.conf import settings
from django.db import IntegrityError

from jobs_app.api.errors import RefusedBySpeech
from rest.disk import StorageFull, is_full
from rest.refusals import Refusal, TryAgain
from sessions_app.arrival.pieces import Reach, reach_of
from sessions_app.arrival.refusals import SessionFinished, SessionGone
from sessions_app.live import storing, threads
from sessions_app.live.protocol import MAX_FRAME_BYTES, BadFrame, Start, TakenOver, TooFast
from sessions_app.live.storing import Outcome, Piece, Store
from sessions_app.models.live import SAMPLE_BYTES
from speech.errors import AudioTooLong
from speech.sound.resampling import Resampling
from speech.types import SAMPLE_RATE, ms_to_samples, samples_to_ms

logger = logging.getLogger(__name__)

PIECE_S = 0.5
LARGE_PIECE_S = 4
"""So much is stored at once of what comes faster than it is spoken, after a drop."""
AHEAD_S = 30
AHEAD_AFTER_RESUME_S = 60
"""So much more audio than time may come after the start: a client may have recorded while it was away."""
KEEP_TRYING_S = 30
"""While the database does not answer, nothing more is read from the client, which keeps it."""
PAUSE_S = 0.1
SIGN_OF_LIFE_S = 60


class Sender:
    """Brings the audio of a socket into the database.

    `reach` is how far the recording had come at the last look, and `end` how far it has come now, in samples.
    """

    def __init__(self, session_id: uuid.UUID, start: Start, store: Store) -> None:
        self.session_id = session_id
        self.id = uuid.uuid4()
        self._store = store
        self._rate = start.sample_rate
        self._resampling = None if start.sample_rate == SAMPLE_RATE else Resampling(start.sample_rate)
        self._ahead_s = AHEAD_AFTER_RESUME_S if start.resume else AHEAD_S
        self._unsaved = bytearray()
        self._skip = 0  # bytes that are here already
        self._came = 0  # samples, at the rate of the client
        self._flush_at = float("inf")
        self._stored_at = float("-inf")
        self._sign_of_life_at = 0.0
        self.n_pieces = 0
        self.reach = Reach((), 0, 0)
        self.end = 0

    @property
    def received_ms(self) -> int:
        return samples_to_ms(self.end)

    @property
    def flush_at(self) -> float:
        """When `flush` is due, on the clock of `time.monotonic`."""
        return self._flush_at

    async def begin(self) -> None:
        """Become the sender of the recording.

        Raises:
            Refusal, SpeechError: the recording takes nothing from this socket.
        """
        self.reach = await threads.run(lambda: storing.begin_sending(self.session_id, self.id))
        self.end = self.reach.end
        # The client sends from the last whole millisecond.
        self._skip = (self.end - ms_to_samples(self.received_ms)) * SAMPLE_BYTES
        self._began = time.monotonic()
        logger.info("recording %s: a socket sends from %s ms on", self.session_id, self.received_ms)

    async def add(self, frame: bytes) -> bool:
        """Take a frame of the client. Return whether `end` has grown.

        Raises:
            BadFrame: it has no whole samples, or too many.
            TooFast: too much has come in too little time.
            Refusal: the recording takes nothing more.
        """
        if not frame or len(frame) % SAMPLE_BYTES or len(frame) > MAX_FRAME_BYTES:
            raise BadFrame
        self._came += len(frame) // SAMPLE_BYTES
        if self._came / self._rate > time.monotonic() - self._began + self._ahead_s:
            raise TooFast
        self._take(frame if self._resampling is None else self._resampling.add(frame))
        return await self.flush() if self._is_piece_full() else False

    def _is_piece_full(self) -> bool:
        seconds = len(self._unsaved) / (SAMPLE_RATE * SAMPLE_BYTES)
        hurries = time.monotonic() - self._stored_at < PIECE_S / 2
        return seconds >= (LARGE_PIECE_S if hurries else PIECE_S)

    def _take(self, pcm: bytes) -> None:
        skipped = min(self._skip, len(pcm))
        self._skip -= skipped
        if not self._unsaved and skipped < len(pcm):
            self._flush_at = time.monotonic() + PIECE_S
        self._unsaved += pcm[skipped:]

    async def flush(self) -> bool:
        """Store what has come. Return whether `end` has grown.

        Raises:
            Refusal: the recording takes nothing more, or the database does not answer.
        """
        self._flush_at = float("inf")
        give_up_at = time.monotonic() + KEEP_TRYING_S
        before = self.end
        while self._unsaved:
            try:
                if await self._flush():
                    break
            except threads.DATABASE_AWAY as error:
                if is_full(error):
                    raise StorageFull from error
                if time.monotonic() > give_up_at:
                    raise TryAgain from error
            await asyncio.sleep(PAUSE_S)
        self._stored_at = time.monotonic()
        return self.end > before

    async def _flush(self) -> bool:
        """Try to store what has come. Return whether it is stored."""
        pcm = bytes(self._unsaved)
        if self.end + len(pcm) // SAMPLE_BYTES > settings.MAX_AUDIO_S * SAMPLE_RATE:
            raise RefusedBySpeech(AudioTooLong())
        sign_of_life = self._is_sign_of_life_due()
        piece = Piece(self.session_id, self.id, self.end, pcm, self.reach.n_chunks, sign_of_life)
        try:
            outcome = await self._store.add(piece)
        except IntegrityError:
            reach = await threads.run(lambda: reach_of(self.session_id))
            if reach.end <= self.end:
                raise
            # The last try had stored the piece, but its answer was lost.
            self._look(reach)
            return False
        match outcome:
            case Outcome.STORED:
                self.n_pieces += 1
                self.end += len(pcm) // SAMPLE_BYTES
                self._unsaved.clear()
                if sign_of_life:
                    self._note_sign_of_life()
                if self.end >= self.reach.next_cut:
                    self._look(await threads.run(lambda: storing.filled(self.session_id)))
                return True
            case Outcome.MOVED:
                self._look(await threads.run(lambda: reach_of(self.session_id)))
            case Outcome.TAKEN_OVER:
                raise TakenOver
            case Outcome.FINISHED:
                raise SessionFinished
            case Outcome.GONE:
                raise SessionGone
        return False

    async def keep_alive(self) -> bool:
        """Note that the recorder is there, so that a long pause does not end the recording, and store what
        has come. Return whether `end` has grown.

        Raises:
            Refusal: as `flush`.
        """
        if self._is_sign_of_life_due():
            await threads.run(lambda: storing.note_sign_of_life([self.session_id]))
            self._note_sign_of_life()
        return await self.flush()

    def _is_sign_of_life_due(self) -> bool:
        return time.monotonic() >= self._sign_of_life_at

    def _note_sign_of_life(self) -> None:
        self._sign_of_life_at = time.monotonic() + min(SIGN_OF_LIFE_S, settings.ABANDONED_AFTER_S / 2)

    def log_end(self, ending: Refusal | None) -> None:
        why = f": {ending.code}" if ending else ""
        logger.info(
            "recording %s: the socket has ended at %s ms, after %s pieces%s",
            *(self.session_id, self.received_ms, self.n_pieces, why),
        )

    def _look(self, reach: Reach) -> None:
        """Go on from where the recording is now. A chunk may hold what is still to come here."""
        self.reach = reach
        self._skip += max(reach.end - self.end, 0) * SAMPLE_BYTES
        self.end = max(reach.end, self.end)
        skipped = min(self._skip, len(self._unsaved))
        self._skip -= skipped
        del self._unsaved[:skipped]

    async def finish(self) -> None:
        """Store the rest, and finish the recording.

        Raises:
            Refusal: as `flush`.
        """
        if self._resampling is not None:
            self._take(self._resampling.rest())
        await self.flush()
        self.reach = await threads.run(lambda: storing.finish_recording(self.session_id))
