"""Put together what people and programs read: the engine's words, the corrections, and people's edits.

Pages, downloads and the API all take transcripts from here, so that all show the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import merge

from django.db.models import QuerySet

from jobs_app.models import JOB_ACTIVE, JobStatus, LiveText, TranscriptionJob
from jobs_app.models.transcripts import Segment, SegmentKind, Transcript, as_read
from sessions_app.transcripts.edits import Changes, changes_in
from sessions_app.transcripts.gaps import Gap, gap_captions, gaps_of
from speech.text.corrections import timed_words
from speech.text.spacing import join_texts
from speech.transcript_warnings import TranscriptWarning, transcript_warnings
from speech.types import SpeechSegment

ROWS_AT_ONCE = 2000
READ_WITH = ("session", "sound", "transcript")
"""The query of a job must fetch these rows with it for `read`, and "transcript__texts" if texts are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSegment(SpeechSegment):
    """A segment as people and programs read it.

    `break_before` is None if pauses and length decide where a paragraph begins. `raw_text` is what the engine
    said. `speaker` is the label that the engine gave, unless a person chose another one.
    """

    id: str
    kind: str
    raw_text: str
    break_before: bool | None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The transcript of one job as people and programs read it.

    `status` is the status of the job; `transcript` has its statistics. Making a Reading costs no SQL
    statement. The text and the segments are fetched when they are needed, and the segments come as a stream,
    so that a transcript of many hours need not be in memory as a whole.
    """

    job_id: uuid.UUID
    status: str
    title: str
    filename: str
    language: str
    duration_ms: int
    transcript: Transcript
    gaps: tuple[Gap, ...]
    warnings: tuple[TranscriptWarning, ...]

    @property
    def growing(self) -> bool:
        """Whether more text may come."""
        return self.status in JOB_ACTIVE

    @cached_property
    def text(self) -> str:
        """The whole transcript as one text; empty until the job is completed. It takes at most three SQL
        statements.
        """
        if self.status != JobStatus.COMPLETED:
            return self.transcript.text
        texts = {
            number: changes["text"]
            for number, changes in changes_in(self.job_id).items()
            if "text" in changes
        }
        if not texts:
            return self.transcript.text
        rows = _final_segments(self.job_id).values_list("number", "raw_text", "corrected_text")
        return join_texts([texts.get(number, as_read(raw, corrected)) for number, raw, corrected in rows])

    def segments(self) -> Iterator[ReadSegment]:
        """Return the final segments in the order of time. This takes two SQL statements.

        While the job goes on, what was heard live and is not stored as segments yet comes after them, which
        takes one more.
        """
        return segments_of(self.job_id, live=self.growing)

    def with_gaps(self) -> Iterator[SpeechSegment]:
        """Return the segments, with a sentence where sound is missing, for text files and captions."""
        return merge(self.segments(), gap_captions(self.gaps), key=lambda segment: segment.start_ms)


def read(job: TranscriptionJob) -> Reading:
    """Return the reading of `job`. The query of the job needs `select_related(*READ_WITH)`."""
    transcript, sound = job.transcript, job.sound
    # While a job goes on, nobody knows whether it will find words.
    wordless = job.status == JobStatus.COMPLETED and not transcript.total_segments
    return Reading(
        job_id=job.pk,
        status=job.status,
        title=job.session.title,
        filename=job.filename,
        language=transcript.language,
        duration_ms=sound.duration_ms or 0,
        transcript=transcript,
        gaps=gaps_of(sound),
        warnings=tuple(transcript_warnings(sound.report, sound.gaps, wordless=wordless)),
    )


def segments_of(
    job_id: uuid.UUID, *, start_ms: int = 0, end_ms: int | None = None, live: bool = False
) -> Iterator[ReadSegment]:
    """Return the final segments of a job that touch `[start_ms, end_ms)`, in the order of time.

    This takes two SQL statements. With `live`, which takes one more, what was heard live of the whole
    recording and is not stored as segments yet comes after them.
    """
    # These are read first. If they become segments meanwhile, they are among the rows.
    heard = {segment.number: segment for segment in heard_live(job_id)} if live else {}
    rows = _final_segments(job_id)
    if start_ms:
        rows = rows.filter(end_ms__gte=start_ms)
    if end_ms is not None:
        rows = rows.filter(start_ms__lt=end_ms)
    changes = changes_in(job_id)
    for row in rows.iterator(chunk_size=ROWS_AT_ONCE):
        heard.pop(row.number, None)
        yield read_segment(row, changes.get(row.number, {}))
    for segment in heard.values():
        yield read_segment(segment, changes.get(segment.number, {}))


def heard_live(job_id: uuid.UUID) -> list[Segment]:
    """Return what was heard live of a recording that goes on, and is not stored as segments yet.

    This takes one SQL statement.
    """
    live = LiveText.objects.filter(job=job_id).first()
    return live.segments() if live else []


class SegmentsSoFar:
    """The segments of a job for pages of a list, in the order of time: those that are stored, then those that
    were heard live and are not stored yet.
    """

    def __init__(self, job: TranscriptionJob) -> None:
        heard = heard_live(job.pk) if job.status in JOB_ACTIVE else []
        self._rows = job.segments.order_by("start_ms", "number")
        stored = set()
        if heard:
            numbers = [segment.number for segment in heard]
            stored = set(self._rows.filter(number__in=numbers).values_list("number", flat=True))
        self._heard = [segment for segment in heard if segment.number not in stored]
        self._n_rows = self._rows.count()

    def __len__(self) -> int:
        return self._n_rows + len(self._heard)

    def __getitem__(self, part: slice) -> list[Segment]:
        rows = list(self._rows[part]) if part.start < self._n_rows else []
        first, end = (max(0, n - self._n_rows) for n in (part.start, part.stop))
        return rows + self._heard[first:end]


def read_segment(row: Segment, changes: Changes) -> ReadSegment:
    """Return the segment with the changes that people made in it."""
    segment = ReadSegment(
        row.start_ms,
        row.end_ms,
        row.text,
        row.confidence,
        row.words,
        row.speaker,
        row.language,
        id=row.public_id,
        kind=row.kind,
        raw_text=row.raw_text,
        break_before=row.break_before,
    )
    if "text" in changes:
        changes = {**changes, "words": timed_words(changes["text"], segment.words)}
    return replace(segment, **changes) if changes else segment


def _final_segments(job_id: uuid.UUID) -> QuerySet[Segment]:
    return Segment.objects.filter(job=job_id, kind=SegmentKind.FINAL).order_by("start_ms", "number")
