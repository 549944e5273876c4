"""Put together what people and programs read: the engine's words, the corrections, and people's edits.

Pages, downloads and the API all take transcripts from here, so that all show the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from heapq import merge

from django.db.models import QuerySet

from jobs_app.models import JOB_ACTIVE, JobStatus, LiveText, Speaker, SpeakerTurns, TranscriptionJob
from jobs_app.models.speakers import StoredTurn
from jobs_app.models.transcripts import SPEAKERS_KNOWN, TRANSLATED, Segment, SegmentKind, Transcript, as_read
from sessions_app.transcripts.edits import Changes, changes_in
from sessions_app.transcripts.gaps import Gap, gap_captions, gaps_of
from speech.text.corrections import timed_words
from speech.text.spacing import join_texts
from speech.transcript_warnings import TranscriptWarning, transcript_warnings
from speech.types import SpeechSegment

ROWS_AT_ONCE = 2000
READ_WITH = ("session", "sound", "transcript")
"""The query of a job must fetch these rows with it for `read`, and "transcript__texts" if texts are read."""


class Shown(StrEnum):
    """Which text of a translated transcript is read. Of any other there is only one."""

    TRANSLATION = "translation"
    ORIGINAL = "original"
    BOTH = "both"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSpeaker:
    """Somebody who speaks in a transcript.

    `name` is empty if nobody has said it; `shown_name` is "Speaker 1", then. `number` counts from 0. `merged`
    has the labels of those that people take for the same.
    """

    label: str
    name: str
    shown_name: str
    number: int
    speaking_ms: int
    turns: int
    merged: tuple[str, ...]


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
    shown: Shown = Shown.TRANSLATION
    transcript: Transcript
    gaps: tuple[Gap, ...]
    warnings: tuple[TranscriptWarning, ...]

    @property
    def growing(self) -> bool:
        """Whether more text may come."""
        return self.status in JOB_ACTIVE

    @property
    def translated(self) -> bool:
        """Whether there is a translation with what was said beside it."""
        return self.transcript.translation_state in TRANSLATED

    @property
    def by_engine(self) -> bool:
        """Whether the engine has translated as it heard, so that nobody knows what was said."""
        options = self.transcript.job.short_options
        state = self.transcript.translation_state
        return bool(options.translate_to) and not options.translator and not state

    @property
    def timing(self) -> str:
        """The coarsest times of the text that is read. The words of a translation have none."""
        return self.transcript.timing if self.shown == Shown.ORIGINAL else self.transcript.read_timing

    def showing(self, shown: Shown) -> Reading:
        """Return the same, of which another text is read."""
        language = self.transcript.spoken_language if shown == Shown.ORIGINAL else self.language
        return replace(self, shown=shown, language=language)

    @property
    def original_text(self) -> str:
        """What was said, as one text; empty if it is not translated."""
        return self.transcript.texts.original if self.translated else ""

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
        columns = ("number", "translated_text", "corrected_text", "raw_text")
        rows = _final_segments(self.job_id).values_list(*columns)
        return join_texts(
            [
                texts.get(number, translation or as_read(raw, corrected))
                for number, translation, corrected, raw in rows
            ]
        )

    @cached_property
    def speakers(self) -> tuple[ReadSpeaker, ...]:
        """Those who speak, in the order in which they begin.

        It takes one SQL statement if speakers were told apart, else none.
        """
        if self.transcript.speakers_state not in SPEAKERS_KNOWN:
            return ()
        return speakers_of(self.job_id)

    @cached_property
    def shown_labels(self) -> dict[str, str]:
        """The label under which each label is shown, which is another one for those who were merged."""
        return {label: one.label for one in self.speakers for label in (one.label, *one.merged)}

    def turns(self) -> Iterator[StoredTurn]:
        """Return start, end and shown label of each turn, in the order of time, by two SQL statements."""
        stored = SpeakerTurns.objects.filter(job=self.job_id).values_list("turns", flat=True).first()
        for start_ms, end_ms, label in stored or []:
            yield start_ms, end_ms, self.shown_labels.get(label, label)

    def overlaps(self) -> list[tuple[int, int]]:
        """Return start and end of the stretches in which two speak at once. Without speakers, it costs
        nothing.
        """
        if not self.speakers:
            return []
        overlaps = SpeakerTurns.objects.filter(job=self.job_id).values_list("overlaps", flat=True)
        return overlaps.first() or []

    def segments(self) -> Iterator[ReadSegment]:
        """Return the final segments in the order of time. This takes two SQL statements, and one more if
        speakers were told apart.

        While the job goes on, what was heard live and is not stored as segments yet comes after them, which
        takes one more.
        """
        labels = self.shown_labels
        for segment in segments_of(self.job_id, live=self.growing, shown=self.shown):
            label = labels.get(segment.speaker, segment.speaker)
            language = segment.language
            if self.translated and not segment.original and self.shown != Shown.ORIGINAL:
                # It was not translated, so it is not in the language of the transcript.
                language = language or self.transcript.spoken_language
            same = (label, language) == (segment.speaker, segment.language)
            yield segment if same else replace(segment, speaker=label, language=language)

    def named_segments(self) -> Iterator[ReadSegment]:
        """Return the same, with the names of the speakers in place of their labels, for people."""
        names = {one.label: one.shown_name for one in self.speakers}
        for segment in self.segments():
            name = names.get(segment.speaker, segment.speaker)
            yield segment if name == segment.speaker else replace(segment, speaker=name)

    def with_gaps(self) -> Iterator[SpeechSegment]:
        """Return the segments for text files and captions: with names, and with sentences for gaps."""
        return merge(self.named_segments(), gap_captions(self.gaps), key=lambda segment: segment.start_ms)


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
        warnings=tuple(
            transcript_warnings(
                sound.report,
                sound.gaps,
                wordless=wordless,
                speakers=transcript.speakers_state,
                translation=transcript.translation_state,
                untranslated=transcript.n_untranslated,
            )
        ),
    )


def speakers_of(job_id: uuid.UUID) -> tuple[ReadSpeaker, ...]:
    """Return those who speak, without those who were merged into others. This takes one SQL statement."""
    rows = list(Speaker.objects.filter(job=job_id).order_by("number"))
    return tuple(
        ReadSpeaker(
            label=row.label,
            name=row.name,
            shown_name=row.shown_name,
            number=row.number,
            speaking_ms=row.speaking_ms,
            turns=row.n_turns,
            merged=tuple(other.label for other in rows if other.merged_into_id == row.pk),
        )
        for row in rows
        if row.merged_into_id is None
    )


def segments_of(
    job_id: uuid.UUID,
    *,
    start_ms: int = 0,
    end_ms: int | None = None,
    live: bool = False,
    shown: Shown = Shown.TRANSLATION,
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
        yield read_segment(row, changes.get(row.number, {}), shown)
    for segment in heard.values():
        yield read_segment(segment, changes.get(segment.number, {}), shown)


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


def read_segment(row: Segment, changes: Changes, shown: Shown = Shown.TRANSLATION) -> ReadSegment:
    """Return the segment with the changes that people made in it.

    What they typed into a translated segment stands for its translation. The words of a translation have no
    times, because those that were heard are the original's.
    """
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
    if row.translated_text and shown == Shown.ORIGINAL:
        changes = {name: value for name, value in changes.items() if name != "text"}
    elif row.translated_text:
        segment = replace(segment, text=row.translated_text.strip(), original=row.text, words=(), language="")
    if "text" in changes:
        changes = {**changes, "words": timed_words(changes["text"], segment.words)}
    return replace(segment, **changes) if changes else segment


def _final_segments(job_id: uuid.UUID) -> QuerySet[Segment]:
    return Segment.objects.filter(job=job_id, kind=SegmentKind.FINAL).order_by("start_ms", "number")
