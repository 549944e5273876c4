"""The reasons why a file, a chunk of a recording or a part of an upload is refused."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings

from rest.refusals import FileTooLarge, NotFound, Refusal


class ChunkTooLarge(FileTooLarge):
    def __init__(self) -> None:
        most = settings.MAX_CHUNK_BYTES // settings.MIB
        super().__init__(f"This chunk is larger than {most} MB. Send shorter ones; 30 seconds are usual.")


class ChecksumMismatch(Refusal):
    """The content does not match its checksum.

    `what` is "chunk" or "part"; `checksum` is the name of the checksum that the sender gave.
    """

    status = 422
    code = "checksum_mismatch"

    def __init__(self, what: str, checksum: str) -> None:
        super().__init__(
            f"What arrived is not what was sent: its {checksum} is another one. Send this {what} again."
        )


class ChunkConflict(Refusal):
    status = 409
    code = "chunk_conflict"
    sentence = "This number belongs to a chunk with other content. Send this one under a number of its own."


class SessionFinished(Refusal):
    status = 409
    code = "session_finished"
    sentence = "This recording is finished and takes no more chunks. Begin a new one for the rest."


class NumberTooHigh(Refusal):
    status = 422
    code = "chunk_number_too_high"

    def __init__(self, number: int, missing: int) -> None:
        super().__init__(
            f"Before chunk {number}, {missing} chunks have not come: with them the recording would be longer "
            "than is allowed. Number the chunks from 0, one after the other, and send the earlier ones first."
        )


class ChunkNeeded(Refusal):
    status = 409
    code = "chunk_needed"
    sentence = (
        "The chunks after this one are pieces of the same stream and cannot be read without it. Remove them "
        "first, or leave it."
    )


class ChunksMissing(Refusal):
    """The recording cannot be finished yet. `missing` has the numbers of the chunks that have not come."""

    status = 409
    code = "chunks_missing"

    def __init__(self, missing: Sequence[int]) -> None:
        super().__init__(
            f"Chunks that have not come: {len(missing)}. Send them, or finish with `force`.", missing=missing
        )
        self.missing = missing


class TooManyRecordings(Refusal):
    status = 429
    code = "too_many_open_recordings"

    def __init__(self) -> None:
        super().__init__(
            f"You have {settings.MAX_OPEN_RECORDINGS} recordings that are not finished. Finish or delete one "
            "of them first (GET /api/sessions/?state=recording lists them)."
        )


class SessionGone(NotFound):
    sentence = "This recording was deleted just now. Begin a new one."
