"""The step PREPARE: give new chunks their place on the timeline, and plan windows as far as can be.

Of an upload that is one run, which publishes windows while it goes on decoding: others transcribe the
beginning meanwhile. While a recording goes on it runs again for each chunk, and takes up where the last
window ended. All of it is worked out from what is stored, so a killed worker's run is simply done again.
"""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from django.conf import settings
from django.db.models import Max, Min

from jobs_app import timeline
from jobs_app.guard import Guard
from jobs_app.models import JobStep, TranscriptionJob
from jobs_app.options import capabilities_of
from speech.engines.base import Capabilities
from speech.errors import AudioTooLong, NoAudio, NotSupported, SpeechError, UnreadableAudio
from speech.plan import Planner, plan
from speech.types import SAMPLE_RATE, DecodeReport, ms_to_samples, samples_to_ms
from speech.windows import Window
from speech.working_copy import Block

MISSING, DAMAGED, UNREADABLE = "missing", "damaged", "unreadable"
USUAL_CHUNK_S = 30
"""The length of a missing chunk where nothing else tells it."""
LONGEST_EXPECTED = 4
"""Of a chunk that cannot be read, in usual lengths, whatever its header says."""
SHORTEST_GAP = SAMPLE_RATE // 2
"""Of what a chunk that can be read lacks, in samples. A chunk that is lost is noted however short it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What one run of the step PREPARE found. Moments are on the session's timeline.

    `places`: (start_sample, sample_count) of the chunks by their ids, where that is new. `windows` are new
    ones; those that were planned before and lie in `dropped` are replaced by them. `complete`: no more audio
    will come. `chunks_seen` and `finished_seen`: what this run knew of the session. `wait_s`: look again
    after so long.
    """

    windows: Sequence[Window]
    places: Mapping[uuid.UUID, tuple[int, int]]
    report: Mapping[str, Any]
    duration_ms: int
    planned_ms: int
    gaps: Sequence[Mapping[str, Any]] = ()
    dropped: Sequence[tuple[int, int]] = ()
    complete: bool = True
    chunks_seen: int = 1
    finished_seen: bool = True
    wait_s: float | None = None


Publish: TypeAlias = Callable[[Sequence[Window], Mapping[uuid.UUID, int]], None]
"""Store windows before the run ends, and on which sample of the timeline those chunks begin."""


def prepare(
    step: JobStep, guard: Guard, chunks: Sequence[timeline.Chunk], *, finished: bool, publish: Publish
) -> Preparation:
    """Decode what is new of `chunks`, which are all that have come, and plan what is not planned.

    `finished`: no more will come.

    Raises:
        SpeechError: nothing of a recording that has ended can be used, or it is too long.
    """
    job = step.job
    able = _able(job)
    if job.interactive:
        able = able.while_recording()
    search = None
    if finished and len(chunks) == 1 and chunks[0].number == 0 and chunks[0].sample_count is None:
        planner = Planner(able, start_ms=job.planned_ms)
        search = _Search(planner, chunks[0], publish, from_ms=job.planned_ms)
    placement = _Placement(job, chunks, finished=finished, search=search)
    placement.place_all(guard)
    report = _merged(job.decode_report, placement.reports)
    if finished and not report["duration_ms"]:
        raise _nothing_heard(placement)
    heard_ms = samples_to_ms(placement.end)
    sound = timeline.Timeline(
        chunks, unreadable={gap["chunk"] for gap in placement.gaps if gap["reason"] == UNREADABLE}
    )

    def windows_of(start_ms: int, end_ms: int, *, more_to_come: bool, early: bool = False) -> list[Window]:
        return plan(
            lambda a, b: sound.read(a, b, on_progress=lambda: guard.advance(0)),
            end_ms,
            able,
            start_ms=start_ms,
            more_to_come=more_to_come,
            # Decoding is about half of preparing, finding speech the other half.
            on_progress=lambda done_ms: guard.advance((heard_ms + done_ms) // 2),
            on_windows=(lambda windows: publish(windows, {})) if early else None,
        )

    from_ms, dropped, windows = job.planned_ms, [], []
    if placement.changed is not None:
        start_ms, end_ms = _windows_around(job, *placement.changed)
        if end_ms is None:
            # The timeline may have been longer.
            dropped, from_ms = [(start_ms, max(heard_ms, job.planned_ms))], start_ms
        else:
            dropped, windows = [(start_ms, end_ms)], windows_of(start_ms, end_ms, more_to_come=False)
    if search is not None:
        windows = search.finish()
    else:
        # What lies on a timeline that is not stored yet cannot be published.
        early = finished and not placement.places
        windows += windows_of(from_ms, heard_ms, more_to_come=not finished, early=early)
    return Preparation(
        windows=windows,
        dropped=dropped,
        places=placement.places,
        gaps=placement.gaps,
        report=report,
        duration_ms=heard_ms,
        planned_ms=heard_ms if finished else max([from_ms, *(window.end_ms for window in windows)]),
        complete=finished,
        chunks_seen=len(chunks),
        finished_seen=finished,
        wait_s=placement.wait_s,
    )


class _Search:
    """Plans windows of the only chunk while it is decoded, and publishes those that can be read."""

    def __init__(self, planner: Planner, chunk: timeline.Chunk, publish: Publish, *, from_ms: int) -> None:
        self._planner = planner
        self._chunk = chunk
        self._publish = publish
        self._skip = ms_to_samples(from_ms)
        self._windows: list[Window] = []
        self._heard = 0

    def hear(self, block: Block, readable: int) -> None:
        new = block[max(0, self._skip - self._heard) :]
        self._heard += len(block)
        self._windows += self._planner.feed(new)
        ready = [window for window in self._windows if ms_to_samples(window.end_ms) <= readable]
        if ready:
            self._publish(ready, {self._chunk.pk: 0})
            del self._windows[: len(ready)]

    def finish(self) -> list[Window]:
        return self._windows + self._planner.finish()


def _able(job: TranscriptionJob) -> Capabilities:
    """What to plan for: with a fallback, windows that both engines can take.

    Raises:
        NotSupported: there is none of its engines any more.
    """
    able = _known(job.engine, job.model, alone=not job.fallback_engine)
    if job.fallback_engine:
        fallback = _known(job.fallback_engine, job.fallback_model, alone=able is None)
        if able is None or fallback is None:
            able = able or fallback
        else:
            able = replace(
                able,
                min_window_s=min(able.min_window_s, fallback.min_window_s),
                max_window_s=min(able.max_window_s, fallback.max_window_s),
                needs_voice_activity=able.needs_voice_activity or fallback.needs_voice_activity,
            )
    assert able is not None  # noqa: S101  the last one that could be raised
    return able


def _known(engine: str, model: str, *, alone: bool) -> Capabilities | None:
    """None for an engine that was removed, unless it is needed."""
    try:
        return capabilities_of(engine, model)
    except NotSupported:
        if alone:
            raise
        return None


@dataclass(slots=True)
class _Placement:
    """The chunks side by side on the timeline, up to a missing one that may still come. In samples.

    What an earlier run of the job has placed stays where it is, unless a chunk that was given up comes late
    and is not as long as was thought. `changed`: from where to where the timeline is not what it was; None:
    to its end.
    """

    job: TranscriptionJob
    chunks: Sequence[timeline.Chunk]
    finished: bool = field(kw_only=True)
    search: _Search | None = field(kw_only=True, default=None)
    places: dict[uuid.UUID, tuple[int, int]] = field(default_factory=dict)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    reports: list[DecodeReport] = field(default_factory=list)
    end: int = 0
    wait_s: float | None = None
    changed: tuple[int, int | None] | None = None
    problem: SpeechError | None = None

    def place_all(self, guard: Guard) -> None:
        chunks = {chunk.number: chunk for chunk in self.chunks}
        gaps = {gap["chunk"]: gap for gap in self.job.gaps}
        last_known = max((c.number for c in self.chunks if c.sample_count is not None), default=-1)
        for number in range(max(chunks, default=-1) + 1):
            gap = gaps.get(number)
            if number not in chunks:
                length = self._length_of_missing(number, gap)
                if length is None:
                    return
                self._add_gap(number, MISSING, self.end, length)
                self.end += length
                if self.end > settings.MAX_AUDIO_S * SAMPLE_RATE:
                    raise AudioTooLong(
                        f"With the chunks that are missing up to number {number} this recording is longer "
                        "than is allowed. Number the chunks from 0, one after the other."
                    )
                continue
            chunk = chunks[number]
            if chunk.sample_count is None:
                start = self.end
                self._decode(chunk, guard)
                if number < last_known:
                    self._came_late(chunk, start, gap)
            else:
                if gap is not None:
                    self.gaps.append(_moved(gap, self.end - chunk.start_sample))
                self._put(chunk, chunk.sample_count)

    def _put(self, chunk: timeline.Chunk, length: int) -> None:
        if (chunk.start_sample, chunk.sample_count) != (self.end, length):
            chunk.start_sample, chunk.sample_count = self.end, length
            self.places[chunk.pk] = (self.end, length)
        self.end += length

    def _decode(self, chunk: timeline.Chunk, guard: Guard) -> None:
        before_ms = samples_to_ms(self.end)
        passes = 2 if self.search is None else 1
        try:
            report = timeline.prepare_chunk(
                chunk,
                self.chunks,
                max_duration_s=settings.MAX_AUDIO_S - before_ms // 1000,
                on_progress=lambda done_ms, _: guard.advance((before_ms + done_ms) // passes),
                on_block=None if self.search is None else self.search.hear,
            )
        except SpeechError as e:
            if isinstance(e, AudioTooLong) or not e.permanent:
                raise
            self.problem = self.problem or e
            # What holds nothing, as the last chunk of a recorder may, takes no room.
            length = self._expected(chunk) or (0 if isinstance(e, NoAudio) else self._usual_length())
            self._add_gap(chunk.number, UNREADABLE, self.end, length)
            self._put(chunk, length)
            return
        self.reports.append(report)
        length = report.samples
        if chunk.continues:
            # A piece that was lost before it shows in the stream's own clock.
            self._add_gap(chunk.number, MISSING, self.end, report.filled_samples, shortest=SHORTEST_GAP)
        elif report.damaged and len(self.chunks) > 1:
            # So that what comes after it does not shift.
            length = max(length, self._expected(chunk))
            lost = length - report.samples
            self._add_gap(chunk.number, DAMAGED, self.end + report.samples, lost, shortest=SHORTEST_GAP)
        self._put(chunk, length)

    def _came_late(self, chunk: timeline.Chunk, start: int, gap: Mapping[str, Any] | None) -> None:
        end: int | None = None
        if gap is not None and self.end == start + _length(gap):
            end = self.end
        for piece in self.chunks:
            # Each was decoded as what comes after the piece before it.
            if piece.number > chunk.number:
                if not piece.continues:
                    break
                piece.start_sample = piece.sample_count = end = None
        if self.changed is None:
            self.changed = (start, end)
        else:
            before = self.changed[1]
            self.changed = (self.changed[0], None if before is None or end is None else end)

    def _length_of_missing(self, number: int, gap: Mapping[str, Any] | None) -> int | None:
        """How much room a missing chunk gets; None: it may still come."""
        after = [chunk for chunk in self.chunks if chunk.number > number]
        if gap is None and not self.finished:
            waited = max(chunk.age for chunk in after)
            wait_s = settings.CHUNK_WAIT_S - waited.total_seconds()
            if wait_s > 0:
                self.wait_s = wait_s
                return None
        if after[0].continues:
            return 0
        return self._usual_length() if gap is None else _length(gap)

    def _usual_length(self) -> int:
        known = [chunk.sample_count for chunk in self.chunks if chunk.sample_count]
        return int(statistics.median_low(known)) if known else USUAL_CHUNK_S * SAMPLE_RATE

    def _expected(self, chunk: timeline.Chunk) -> int:
        """The length that its sender or its header gives; 0: neither does."""
        told = ms_to_samples(chunk.claimed_ms or chunk.duration_ms or 0)
        # Either may be wrong, and by much.
        return min(told, LONGEST_EXPECTED * self._usual_length())

    def _add_gap(self, number: int, reason: str, start: int, length: int, *, shortest: int = 1) -> None:
        if length >= shortest:
            self.gaps.append(
                {
                    "start_ms": samples_to_ms(start),
                    "end_ms": samples_to_ms(start + length),
                    "samples": length,
                    "chunk": number,
                    "reason": reason,
                }
            )


def _length(gap: Mapping[str, Any]) -> int:
    return int(gap["samples"])


def _moved(gap: Mapping[str, Any], samples: int) -> dict[str, Any]:
    """The same gap, so much later."""
    by_ms = samples_to_ms(samples)
    return {**gap, "start_ms": gap["start_ms"] + by_ms, "end_ms": gap["end_ms"] + by_ms}


def _nothing_heard(placement: _Placement) -> SpeechError:
    if not placement.chunks:
        return NoAudio("Nothing was recorded. Check the microphone, and record again.")
    if all(chunk.continues for chunk in placement.chunks):
        return UnreadableAudio(
            "The first piece of this recording, which says how to read the others, never came. Record again."
        )
    if placement.problem is None and any(gap["reason"] == UNREADABLE for gap in placement.gaps):
        return UnreadableAudio()
    return placement.problem or NoAudio()


def _windows_around(job: TranscriptionJob, start: int, end: int | None) -> tuple[int, int | None]:
    """Between which windows of the plan `[start, end)`, in samples, lies; None: behind it there is none."""
    windows = job.chunktranscriptions
    before = windows.filter(end_ms__lte=samples_to_ms(start)).aggregate(at=Max("end_ms"))["at"]
    if end is None:
        return before or 0, None
    return before or 0, windows.filter(start_ms__gte=samples_to_ms(end)).aggregate(at=Min("start_ms"))["at"]


def _merged(before: Mapping[str, Any], reports: Sequence[DecodeReport]) -> dict[str, Any]:
    """What decoding has met in all chunks."""
    total = {**DecodeReport().as_json(), **before}
    for report in reports:
        for name, value in report.as_json().items():
            if name == "notes":
                total[name] = [*total[name], *(note for note in value if note not in total[name])]
            elif name == "audio_streams":
                total[name] = max(total[name], value)
            elif isinstance(value, str):
                total[name] = total[name] or value
            else:
                total[name] += value
    return total
