"""Store the audio that sockets bring, in pieces of about half a second.

All sockets of a process store together: what has come while the last transaction ran is in the next one. So a
process needs one connection for this, and a slow disk makes the pieces no smaller.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Now

from jobs_app.lifecycle.live import open_live
from rest.disk import check_disk
from sessions_app.arrival.chunks import check_has_track
from sessions_app.arrival.finishing import compose, finish
from sessions_app.arrival.pieces import Reach, reach_of
from sessions_app.arrival.refusals import SessionFinished, SessionGone
from sessions_app.live import threads
from sessions_app.models import AudioChunk, LivePiece, LiveSender, RecordingSession
from sessions_app.models.prepared import ById, Insert


@dataclass(frozen=True)
class Piece:
    """Samples of a recording, and what its socket knows of the recording.

    `is_sign_of_life` is set once in a while, so that the recording does not count as abandoned.
    """

    session_id: uuid.UUID
    sender: uuid.UUID
    first_sample: int
    pcm: bytes
    n_chunks: int
    is_sign_of_life: bool


class Outcome(Enum):
    """What became of a piece.

    BUSY: the recording is locked at the moment. MOVED: there are other chunks than its socket knows, so that
    it must look again where it is. All others: the recording takes nothing more from this socket.
    """

    STORED = auto()
    BUSY = auto()
    MOVED = auto()
    TAKEN_OVER = auto()
    FINISHED = auto()
    GONE = auto()


class Store:
    """Stores the pieces of all sockets of a process."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Piece, asyncio.Future[Outcome]]] = []
        self._running: asyncio.Task[None] | None = None

    async def add(self, piece: Piece) -> Outcome:
        """Store a piece, and return when it is on disk.

        Raises:
            OperationalError, InterfaceError: the database does not answer. Nothing is stored.
        """
        stored: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((piece, stored))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await stored

    async def _run(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting, []
                await self._store(together)
        finally:
            self._running = None

    async def _store(self, together: list[tuple[Piece, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await threads.run(lambda: store([piece for piece, _ in together]), threads.storing)
        except IntegrityError as error:
            # One of them cannot be stored; the others can.
            if len(together) == 1:
                _settle(together[0][1], error)
            for one in together if len(together) > 1 else ():
                await self._store([one])
        except Exception as error:  # noqa: BLE001  each socket gets it
            for _, stored in together:
                _settle(stored, error)
        else:
            for (_, stored), outcome in zip(together, outcomes, strict=True):
                _settle(stored, outcome)


def _settle(stored: asyncio.Future[Outcome], outcome: Outcome | Exception) -> None:
    if stored.done():
        return  # its socket has ended meanwhile
    if isinstance(outcome, Exception):
        stored.set_exception(outcome)
    else:
        stored.set_result(outcome)


# While a recording is locked, it is being finished, or gets a chunk. The others need not wait for that.
_LOCKED = ById(
    lambda ids: (
        RecordingSession.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(pk__in=ids)
        .order_by("pk")
        .values_list("pk", "finished_at")
    )
)
_N_CHUNKS = AudioChunk.objects.filter(session=OuterRef("session")).order_by().values("session")
_SENDERS = ById(
    lambda ids: (
        LiveSender.objects.filter(pk__in=ids)
        .order_by()
        .values_list("pk", "sender", Subquery(_N_CHUNKS.annotate(n=Count("pk")).values("n")))
    )
)


insert_pieces = Insert(LivePiece, "session", "first_sample", "pcm")


@transaction.atomic
def store(pieces: Sequence[Piece]) -> list[Outcome]:
    """Store pieces of several recordings in one transaction."""
    ids = {piece.session_id for piece in pieces}
    finished = dict(_LOCKED(ids))
    # This is asked after the rows are locked, so that nothing of it changes before the pieces are stored.
    known = {pk: (sender, n_chunks or 0) for pk, sender, n_chunks in _SENDERS(ids)}
    there = ids & finished.keys()
    if len(there) < len(ids):
        there |= set(RecordingSession.objects.filter(pk__in=ids - there).values_list("pk", flat=True))

    def outcome(piece: Piece) -> Outcome:
        if piece.session_id not in there:
            return Outcome.GONE
        if piece.session_id not in finished:
            return Outcome.BUSY
        if finished[piece.session_id] is not None:
            return Outcome.FINISHED
        sender, n_chunks = known.get(piece.session_id, (None, 0))
        if sender != piece.sender:
            return Outcome.TAKEN_OVER
        return Outcome.STORED if n_chunks == piece.n_chunks else Outcome.MOVED

    outcomes = [outcome(piece) for piece in pieces]
    stored = [piece for piece, became in zip(pieces, outcomes, strict=True) if became is Outcome.STORED]
    insert_pieces((piece.session_id, piece.first_sample, piece.pcm) for piece in stored)
    if alive := [piece.session_id for piece in stored if piece.is_sign_of_life]:
        note_sign_of_life(alive)
    return outcomes


def note_sign_of_life(session_ids: Sequence[uuid.UUID]) -> None:
    RecordingSession.objects.filter(pk__in=session_ids).update(seen_at=Now())


def begin_sending(session_id: uuid.UUID, sender: uuid.UUID) -> Reach:
    """Make a socket the sender of a recording, and return how far the recording has come.

    Raises:
        SessionGone, SessionFinished: the recording takes nothing more.
        StorageFull: the disk is full.
        NoSuchTrack: the job asks for a track that audio of a socket does not have.
    """
    check_disk()
    with transaction.atomic():
        session = RecordingSession(pk=session_id).lock()
        if session is None:
            raise SessionGone
        if session.finished_at is not None:
            raise SessionFinished
        check_has_track(session, 1)
        LiveSender.objects.update_or_create(session=session, defaults={"sender": sender})
    return filled(session_id)


def begin_hearing(session_id: uuid.UUID) -> None:
    """Have the recording heard live, if it is not yet.

    Raises:
        SessionGone: the recording was deleted.
        LiveUnavailable: nobody can hear it now.
    """
    session = RecordingSession.objects.filter(pk=session_id).first()
    if session is None:
        raise SessionGone
    open_live(session)


def filled(session_id: uuid.UUID) -> Reach:
    """Make the chunks that the pieces fill, and return how far the recording has come.

    Raises:
        SessionGone, SessionFinished: the recording takes nothing more.
        StorageFull: the disk is full. The pieces stay.
    """
    session = RecordingSession.objects.filter(pk=session_id).first()
    if session is None:
        raise SessionGone
    reach, _ = compose(session)
    return reach


def finish_recording(session_id: uuid.UUID) -> Reach:
    """Finish a recording, with what is in pieces as its last chunk, and return how far it has come.

    Raises:
        SessionGone: the recording was deleted.
        StorageFull: the disk is full.
    """
    session = RecordingSession.objects.filter(pk=session_id).first()
    if session is None:
        raise SessionGone
    finish(session)
    return reach_of(session_id)
