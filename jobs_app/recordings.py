"""The protocols of a recording and of its chunks: what this app needs of them.

Their tables belong to another app, which imports this one.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from django.db.models.fields.files import FieldFile

    from jobs_app.models import TranscriptionJob
    from people_app.models import User

UPLOAD = "upload"
"""The `source` of a recording that came as one file."""
STREAM_CONTAINERS = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "ogg")
"""The container formats into which browsers record, by the names that ffmpeg gives them."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What has come of a recording that goes on. It is another one whenever more has come.

    `newest_sample` is where its newest piece by the socket begins; None if there is none.
    """

    newest_sample: int | None
    n_chunks: int
    finished: bool


class Recording(Protocol):
    """The protocol of a recording.

    This app tells a recording when its jobs start, are completed or are deleted, because one of the jobs
    stands for it.
    """

    pk: uuid.UUID
    owner: User
    owner_id: int
    source: str
    finished_at: datetime | None

    def chunks_in_order(self) -> Iterable[Chunk]:
        """Return the chunks by their numbers, each with its `age`."""

    def chunk_ids(self) -> set[uuid.UUID]: ...

    def newest_chunk(self) -> tuple[int, datetime | None]:
        """Return how many chunks there are, and when the last of them came."""

    def is_in_pieces(self) -> bool:
        """Return whether the recording has, or had, more than one chunk."""

    def may_have_several_tracks(self) -> bool:
        """Return whether a file of the recording has, or may have, more than one audio track."""

    def lock(self) -> Recording | None:
        """Lock the row in this transaction, and return its present state, or None if it was deleted."""

    @classmethod
    def arrivals(cls, session_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Arrival]:
        """Return what has come of these recordings, without those that were deleted. It takes one query."""

    def plain_sound_from(self, first_sample: int, most: int) -> bytes | None:
        """Return up to `most` samples from `first_sample` on, int16, little endian, mono, at 16 kHz.

        Positions count from the start of the first chunk; each chunk begins where the one before it ends, and
        pieces that came by the socket follow the chunks. The result is empty if nothing has come there, and
        None if it is in a chunk that must be decoded first.
        """

    def edited_segments(self, job: TranscriptionJob) -> set[int]:
        """Return the numbers of the segments of `job` in which people changed something."""

    def job_started(self, job: TranscriptionJob) -> None: ...

    def job_completed(self, job: TranscriptionJob) -> None:
        """The caller holds the lock that `lock` takes, and the lock on `job`."""

    def job_deleted(self) -> None:
        """The caller holds the lock that `lock` takes."""


class Chunk(Protocol):
    """A stored piece of audio.

    `duration_ms` is the length in its header, and `claimed_ms` the length that its sender gave. `age` is the
    time since it came, by the database's clock. Only rows of `Recording.chunks_in_order` have it.
    """

    pk: uuid.UUID
    number: int
    file: FieldFile
    container: str
    audio_tracks: int
    continues: bool
    duration_ms: int | None
    claimed_ms: int | None
    received_at: datetime
    age: timedelta
