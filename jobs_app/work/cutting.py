"""Give the segments of a job to those who speak, and cut them where another one begins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from jobs_app.models import Segment, TranscriptionJob
from jobs_app.models.stored_words import decode_words, encode_words
from jobs_app.vocabulary.vocabulary import Vocabulary, correction_columns
from speech import speakers
from speech.speakers import Said, Speakers
from speech.text.spacing import join_texts
from speech.types import SpeechSegment


class Cut:
    """The segments of a job, given to those who speak, and cut where another one begins.

    What an earlier run has cut is joined first. Segments that people edited are neither joined nor cut.
    `labelled` differ in nothing but their speaker.
    """

    def __init__(self, job: TranscriptionJob, who: Speakers, vocabulary: Vocabulary) -> None:
        self.labelled: list[Segment] = []
        self.changed: list[Segment] = []
        self.new: list[Segment] = []
        self.gone: list[Segment] = []
        self.edited = job.session.edited_segments(job)
        self._job = job
        self._vocabulary = vocabulary
        sources = list(_sources(job, self.edited))
        said = speakers.assign([segment for _, segment in sources], who)
        for at, parts in groupby(said, key=lambda one: one.source):
            rows, _ = sources[at]
            if rows[0].number in self.edited:
                self._keep(rows[0], _most_heard(list(parts)))
            else:
                self._cut(rows, list(parts))

    def _keep(self, row: Segment, speaker: str) -> None:
        if row.speaker != speaker:
            row.speaker = speaker
            self.labelled.append(row)

    def _cut(self, rows: Sequence[Segment], parts: Sequence[Said]) -> None:
        first = rows[0]
        if len(rows) == len(parts) == 1:
            self._keep(first, parts[0].segment.speaker)
            return
        self.gone += rows[1:]
        for number, part in enumerate(parts):
            row = first
            if number:
                row = Segment(job=self._job, window_id=first.window_id, kind=first.kind)
                row.part_of, row.language = first.number, first.language
            self._fill(row, part.segment)
            (self.new if number else self.changed).append(row)

    def _fill(self, row: Segment, raw: SpeechSegment) -> None:
        row.start_ms, row.end_ms, row.speaker = raw.start_ms, raw.end_ms, raw.speaker
        row.confidence = raw.confidence
        row.raw_text, row.raw_words = raw.text, encode_words(raw.words, raw.text)
        row.translated_text = None
        for name, value in correction_columns(raw, self._vocabulary.correct(raw)).items():
            setattr(row, name, value)


def _sources(job: TranscriptionJob, edited: set[int]) -> Iterator[tuple[list[Segment], SpeechSegment]]:
    """Return the segments as the engine gave them, each with its present rows, in order of time."""
    families: dict[int, list[Segment]] = defaultdict(list)
    for row in job.segments.order_by("start_ms", "number"):
        families[row.number if row.part_of is None else row.part_of].append(row)
    for family in families.values():
        apart = any(row.number in edited for row in family)
        for rows in ([row] for row in family) if apart else [family]:
            # The first one keeps its number, which people may know.
            rows.sort(key=lambda row: (row.part_of is not None, row.start_ms, row.number))
            yield rows, _joined(sorted(rows, key=lambda row: row.start_ms))


def _joined(rows: Sequence[Segment]) -> SpeechSegment:
    return SpeechSegment(
        rows[0].start_ms,
        max(row.end_ms for row in rows),
        join_texts([row.raw_text for row in rows]),
        rows[0].confidence,
        tuple(word for row in rows for word in decode_words(row.raw_words, row.raw_text)),
    )


def _most_heard(parts: Sequence[Said]) -> str:
    """Return the label of who speaks most of a segment."""
    lengths: Counter[str] = Counter()
    for part in parts:
        lengths[part.segment.speaker] += part.segment.end_ms - part.segment.start_ms
    return lengths.most_common(1)[0][0]
