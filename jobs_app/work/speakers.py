"""Who speaks: hear the voices in the windows of a job, and tell its speakers apart when all are heard.

Windows that are transcribed on this machine are heard with their text, from the same samples. The step
SPEAKERS hears the others, and then finds the speakers in everything that was heard. The slow part is outside
of any transaction.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Protocol, TypeVar

from django.db import InterfaceError, OperationalError

from jobs_app.lifecycle.speakers import Found, count_of, end_hearing, store_speakers
from jobs_app.lifecycle.voices import store_voices, unheard
from jobs_app.models import (
    ChunkTranscription,
    JobKind,
    JobStatus,
    JobStep,
    Segment,
    SpeakerTurns,
    TranscriptionJob,
    WindowVoices,
)
from jobs_app.models.speakers import StoredTurn
from jobs_app.models.stored_words import decode_words, encode_words
from jobs_app.vocabulary.vocabulary import Vocabulary, correction_columns, vocabulary_of
from jobs_app.work.guard import LeaseLost, Run
from jobs_app.work.timeline import Timeline
from speech import speakers
from speech.errors import SpeechError, UnreadableVoices
from speech.samples import Samples
from speech.speakers import Count, HeardWindow, Said, Speakers, label_of
from speech.text.spacing import join_texts
from speech.types import SpeechSegment

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Persist(Protocol):
    """Calls a function that changes the database, again if the database does not answer."""

    def __call__(self, change: Callable[[], T], /) -> T: ...


class SpeakersFailed(SpeechError):
    """Speakers were not told apart. A job goes on without them."""

    code = "speakers_failed"
    permanent = True
    message = "The speakers could not be told apart. The transcript is complete without them."


def hear(samples: Samples, window: ChunkTranscription) -> bytes | None:
    """Return the voices in a window, packed, or None if that failed: the step SPEAKERS tries it again."""
    try:
        return speakers.load_hearing().hear(samples)
    except Exception:
        # Whatever goes wrong here must not cost the text.
        logger.exception("%s: its voices could not be heard", window)
        return None


def tell(step: JobStep, run: Run, timeline: Timeline, persist: Persist) -> None:
    """Hear the windows that are not heard yet. When there are no more to come, store who speaks.

    Raises:
        LeaseLost: the step no longer belongs to this run.
        SpeakersFailed: for whatever else goes wrong.
    """
    try:
        try:
            _tell_once(step, run, timeline, persist)
        except UnreadableVoices:
            # Another version has heard them, so they are heard anew.
            persist(WindowVoices.objects.filter(window__job=step.job_id).delete)
            _tell_once(step, run, timeline, persist)
    except (LeaseLost, OperationalError, InterfaceError):
        raise
    except Exception as e:
        logger.exception("%s", step)
        raise SpeakersFailed from e


def _tell_once(step: JobStep, run: Run, timeline: Timeline, persist: Persist) -> None:
    _hear_all(step, run, timeline, persist)
    ended = persist(partial(end_hearing, step))
    while ended is False:
        found = persist(partial(_find, step, run))
        ended = persist(partial(store_speakers, step, found))
    if ended is None:
        raise LeaseLost(str(step))


def _hear_all(step: JobStep, run: Run, timeline: Timeline, persist: Persist) -> None:
    windows = persist(lambda: list(unheard(_fresh(step))))
    for window in windows:
        samples = timeline.read(window.start_ms, window.end_ms, on_progress=lambda: run.advance(0))
        packed = speakers.load_hearing().hear(samples)
        if not persist(partial(store_voices, step, window, packed)):
            raise LeaseLost(str(step))
        run.advance(window.end_ms)


def _fresh(step: JobStep) -> TranscriptionJob:
    jobs = TranscriptionJob.objects.select_related("sound", "session")
    job = None if step.job_id is None else jobs.filter(pk=step.job_id).first()
    if job is None:
        raise LeaseLost(f"the job of {step} was deleted")
    return job


def _find(step: JobStep, run: Run) -> Found:
    """Tell the speakers of a job apart, and give its segments to them."""
    job = _fresh(step)
    vocabulary = vocabulary_of(step.owner_id)
    count = count_of(job.short_options)
    voices = WindowVoices.objects.filter(window__job=job).values_list(
        "window__start_ms", "window__end_ms", "packed"
    )
    heard = [HeardWindow(start_ms, end_ms, bytes(packed)) for start_ms, end_ms, packed in voices]
    run.advance(0)
    who = speakers.tell_apart(heard, Count(*count))
    run.advance(0)
    turns = [(turn.start_ms, turn.end_ms, label_of(turn.speaker)) for turn in who.turns]
    labels = [label_of(number) for number in range(who.n)]
    cut = _Cut(job, who, vocabulary)
    return Found(
        turns=turns,
        overlaps=[(span.start_ms, span.end_ms) for span in who.overlaps],
        labels=labels,
        names=_names(job, turns, labels),
        hard_to_tell=who.hard_to_tell,
        changed=cut.changed,
        new=cut.new,
        gone=cut.gone,
        windows=cut.windows(),
        count=count,
        vocabulary=vocabulary,
        next_segment=job.next_segment,
    )


class _Cut:
    """The segments of a job, given to those who speak, and cut where another one begins.

    What an earlier run has cut is joined first. Segments that people edited are neither joined nor cut.
    """

    def __init__(self, job: TranscriptionJob, who: Speakers, vocabulary: Vocabulary) -> None:
        self.changed: list[Segment] = []
        self.new: list[Segment] = []
        self.gone: list[Segment] = []
        self._job = job
        self._vocabulary = vocabulary
        self._texts: dict[int | None, list[tuple[int, str]]] = defaultdict(list)
        self._recut: set[int] = set()
        edited = job.session.edited_segments(job)
        sources = list(_sources(job, edited))
        said = speakers.assign([segment for _, segment in sources], who)
        for at, parts in groupby(said, key=lambda one: one.source):
            rows, _ = sources[at]
            if rows[0].number in edited:
                self._keep(rows[0], _most_heard(list(parts)))
            else:
                self._cut(rows, list(parts))

    def _keep(self, row: Segment, speaker: str) -> None:
        if row.speaker != speaker:
            row.speaker = speaker
            self.changed.append(row)
        self._texts[row.window_id].append((row.start_ms, row.text))

    def _cut(self, rows: Sequence[Segment], parts: Sequence[Said]) -> None:
        first = rows[0]
        if len(rows) == len(parts) == 1:
            self._keep(first, parts[0].segment.speaker)
            return
        if first.window_id is not None:
            self._recut.add(first.window_id)
        self.gone += rows[1:]
        for number, part in enumerate(parts):
            row = first
            if number:
                row = Segment(job=self._job, window_id=first.window_id, kind=first.kind)
                row.part_of = first.number
            self._fill(row, part.segment)
            (self.new if number else self.changed).append(row)
            self._texts[row.window_id].append((row.start_ms, row.text))

    def _fill(self, row: Segment, raw: SpeechSegment) -> None:
        row.start_ms, row.end_ms, row.speaker = raw.start_ms, raw.end_ms, raw.speaker
        row.confidence = raw.confidence
        row.raw_text, row.raw_words = raw.text, encode_words(raw.words, raw.text)
        for name, value in correction_columns(raw, self._vocabulary.correct(raw)).items():
            setattr(row, name, value)

    def windows(self) -> list[ChunkTranscription]:
        """Return the windows whose corrected text is another one, because segments in them were cut."""
        changed = []
        for window in ChunkTranscription.objects.filter(pk__in=self._recut):
            text = join_texts([text for _, text in sorted(self._texts[window.pk])])
            if text != window.corrected_text:
                window.corrected_text, window.word_counts = text, self._vocabulary.count(text)
                changed.append(window)
        return changed


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


def _names(job: TranscriptionJob, turns: Sequence[StoredTurn], labels: Sequence[str]) -> Mapping[str, str]:
    """Return the names of the new speakers: those of before for the same voices, or else those asked for."""
    before = _named_before(job)
    if before is None:
        asked = [name.strip()[:100] for name in job.short_options.speaker_names.split(",")]
        return dict(zip(labels, asked, strict=False))
    names, stored = before
    shared = shared_ms(stored, turns)
    given: dict[str, str] = {}
    for old, new in sorted(shared, key=lambda pair: (-shared[pair], pair)):
        if names.get(old) and new not in given and names[old] not in given.values():
            given[new] = names[old]
    return given


def _named_before(job: TranscriptionJob) -> tuple[dict[str, str], list[StoredTurn]] | None:
    """Return the names by labels, and the turns, of the run before this one; None if there was none.

    A second hearing of a recording goes on with the names of the first.
    """
    source = job
    if job.kind == JobKind.REFINE and not job.speakers.exists():
        first = job.session.jobs.runs().filter(status=JobStatus.COMPLETED, created_at__lt=job.created_at)
        source = first.order_by("-created_at").first() or job
    found = SpeakerTurns.objects.filter(job=source).first()
    if found is None:
        return None
    rows = source.speakers.select_related("merged_into")
    return {one.label: (one.merged_into or one).name for one in rows}, found.turns


def shared_ms(before: Sequence[StoredTurn], after: Sequence[StoredTurn]) -> dict[tuple[str, str], int]:
    """Return how long each label of `before` speaks at the same time as each of `after`.

    Both are in order of time.
    """
    shared: Counter[tuple[str, str]] = Counter()
    starts = [start_ms for start_ms, _, _ in before]
    longest = max((end_ms - start_ms for start_ms, end_ms, _ in before), default=0)
    for start_ms, end_ms, label in after:
        first = bisect_right(starts, start_ms - longest - 1)
        for at in range(first, bisect_right(starts, end_ms)):
            old_start, old_end, old = before[at]
            both = min(end_ms, old_end) - max(start_ms, old_start)
            if both > 0:
                shared[old, label] += both
    return dict(shared)
