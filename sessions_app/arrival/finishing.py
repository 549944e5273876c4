"""Make chunks of the audio that came by a socket, and finish recordings.

A chunk made here is what the recorder page would have sent, byte for byte. So it does not matter which of
them brings it.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from jobs_app.lifecycle.starting import audio_arrived
from rest.disk import check_disk, refuse_when_full
from sessions_app.arrival.chunks import keep_chunk, missing_below
from sessions_app.arrival.pieces import Reach, reach_of, wav_of
from sessions_app.arrival.refusals import ChunkConflict, ChunksMissing, SessionFinished, SessionGone
from sessions_app.arrival.upload_handler import PART_PREFIX, HashedUpload
from sessions_app.models import LivePiece, RecordingSession
from speech.types import SAMPLE_RATE, MediaInfo, samples_to_ms

logger = logging.getLogger(__name__)


def compose(session: RecordingSession, *, rest: bool = False) -> tuple[Reach, int]:
    """Make chunks of the pieces, as many as they fill. With `rest`, a last one of what is left, too.

    Return how far the recording has come then, and how many chunks were made.

    Raises:
        StorageFull: the disk is full. The pieces stay.
        SessionGone, SessionFinished: the recording is deleted or finished.
    """
    made = 0
    while True:
        reach = reach_of(session.pk)
        start, end = reach.saved, min(reach.end, reach.next_cut)
        if end < reach.next_cut and not (rest and end > start):
            if not rest or not _bring_in(session, start):
                return reach, made
            continue
        wav = wav_of(LivePiece.objects.of(session.pk).sound_from(start, end - start))
        info = MediaInfo("wav", "pcm_s16le", 1, 0, SAMPLE_RATE, 1, samples_to_ms(end - start))
        number = len(reach.ends)
        try:
            with _upload_of(wav, f"{number}.wav") as upload:
                _, is_new = keep_chunk(session, upload, info, number=number)
            made += is_new
        except ChunkConflict:
            # The same chunk has just come by a POST. What is left of the pieces is looked at anew.
            continue


def _bring_in(session: RecordingSession, end: int) -> bool:
    """Move the first piece to `end`, where the chunks end. Return whether there is one.

    Pieces are stored without a hole. But if rows were removed by hand, no piece may keep a recording from
    being finished, and none may be lost.
    """
    piece = session.live_pieces.order_by("first_sample").first()
    if piece is None:
        return False
    if piece.first_sample > end:
        logger.error("%s: sound is missing before sample %s", session.pk, piece.first_sample)
        session.live_pieces.filter(pk=piece.pk).update(first_sample=end)
    return True


def _upload_of(content: bytes, name: str) -> HashedUpload:
    check_disk(len(content))
    with refuse_when_full():
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115  closed with the upload
            prefix=PART_PREFIX, dir=settings.FILE_UPLOAD_TEMP_DIR
        )
        file.write(content)
        file.flush()
    file.seek(0)
    sha256 = hashlib.sha256(content).hexdigest()
    return HashedUpload(file, name, size=len(content), sha256=sha256, refused=None)


def finish(session: RecordingSession, *, chunks: int | None = None, force: bool = False) -> None:
    """End a recording. If it has ended already, nothing changes.

    What came by a socket and is in no chunk yet becomes its last chunk. `chunks` is the number of chunks that
    the recording must have, this one included.

    Raises:
        ChunksMissing: not all chunks have come, and `force` is not set.
        SessionGone: the recording was deleted just now.
        StorageFull: the disk is full, so that the last chunk cannot be made.
    """
    while not _finished(session, None if force else chunks):
        # Pieces that come meanwhile make another chunk.
        try:
            compose(session, rest=True)
        except SessionFinished:
            return


@transaction.atomic
def _finished(session: RecordingSession, chunks: int | None) -> bool:
    """Mark a recording as finished, unless there are pieces that are in no chunk. Return whether it is."""
    locked = session.lock()
    if locked is None:
        raise SessionGone
    if locked.finished_at is not None:
        return True
    in_pieces = locked.live_pieces.exists()
    if chunks is not None:
        numbers = set(locked.chunks.values_list("number", flat=True))
        if in_pieces:
            numbers.add(len(reach_of(locked.pk).ends))
        if missing := missing_below(chunks, numbers):
            raise ChunksMissing(missing)
    if not in_pieces:
        mark_finished(locked)
    return not in_pieces


def mark_finished(session: RecordingSession) -> None:
    """Mark a recording as finished: no more audio will come.

    The caller holds the lock on its row, and no pieces are left.
    """
    RecordingSession.objects.filter(pk=session.pk).update(finished_at=Now())
    session.refresh_from_db(fields=["finished_at"])
    audio_arrived(session)
