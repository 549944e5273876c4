"""The step PREPARE: give new chunks their place on the timeline, and plan windows as far as possible.

For an upload this is one run. It publishes windows while it goes on decoding, so that other workers can
already transcribe the beginning. For a recording that goes on, the step runs again for each chunk, and
continues where the last window ended. Each run computes everything from what is stored, so the run of a
killed worker is simply repeated.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from django.db.models import Max, Min

from jobs_app.engines.offered import capabilities_of, longer_on_gpu
from jobs_app.lifecycle.sound_tracks import wish_of
from jobs_app.models import JobStep, PlacedChunk, TranscriptionJob
from jobs_app.models.sound import UNREADABLE, StoredGap
from jobs_app.recordings import Chunk
from jobs_app.work import timeline
from jobs_app.work.guard import Run
from jobs_app.work.placement import NOT_HEARD, Placement
from speech.engines.base import Capabilities
from speech.errors import NoAudio, NotSupported, SpeechError, UnreadableAudio
from speech.sound.working_copy import Block
from speech.types import DecodeReport, ms_to_samples, samples_to_ms
from speech.windows.cuts import Window
from speech.windows.planner import Planner, plan_windows

EARLY_MS = 40_000
"""While a recording goes on, windows that begin before this are cut at the first good pause, for somebody
waits for the first words.
"""
SHORT_PIECE_MS = 6_000
"""Pieces of this length or less are sent by a recorder whose words cannot come by a live connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """The result of one run of the step PREPARE. Moments are on the session's timeline.

    `places` has (start_sample, sample_count) of the chunks whose place is new, by their ids. `windows` are
    new ones. They replace the windows that were planned before and lie in `dropped`. `moved` is true if audio
    that had a place has another one now. `peaks` are those of the only chunk, if it was decoded. `complete`
    means that no more audio will come. With `live`, live hosts transcribe what is not planned yet, so nothing
    of it is planned here. `chunks_seen`, `last_seen` and `finished_seen` say how many chunks of
    the session this run knew, when the last of them had come, and whether the session had ended. After
    `wait_s` the step must run again.
    """

    windows: Sequence[Window]
    places: Mapping[uuid.UUID, tuple[int | None, int | None]]
    report: Mapping[str, Any]
    duration_ms: int
    planned_ms: int
    gaps: Sequence[StoredGap] = ()
    dropped: Sequence[tuple[int, int]] = ()
    moved: bool = False
    peaks: bytes = b""
    complete: bool = True
    live: bool = False
    chunks_seen: int = 1
    last_seen: datetime | None = None
    finished_seen: bool = True
    wait_s: float | None = None


Publish: TypeAlias = Callable[[Sequence[Window], Mapping[uuid.UUID, int]], None]
"""The function that stores windows before the run ends.

It also gets the sample of the timeline on which each of these chunks begins.
"""


def prepare(
    step: JobStep,
    run: Run,
    pieces: Sequence[PlacedChunk],
    *,
    finished: bool,
    publish: Publish,
    live: bool = False,
) -> Preparation:
    """Decode those of `pieces` that are new, and plan the windows that are not planned yet.

    `pieces` are the chunks that have come. `finished` means that no more will come. With `live`, live hosts
    transcribe what is not planned yet.

    Raises:
        SpeechError: the recording has ended and nothing of it can be used, or it is too long.
    """
    job = step.job
    assert job is not None  # noqa: S101  a preparation is of a job
    able = _able(job)
    if job.interactive:
        able = able.while_recording()
    # Windows on an earlier timeline are of no use any more.
    outdated = job.planned_version != job.sound.version
    planned_ms = 0 if outdated else job.planned_ms
    search = None
    only = pieces[0] if len(pieces) == 1 and pieces[0].chunk.number == 0 else None
    if finished and only is not None and only.sample_count is None and not outdated and not live:
        planner = Planner(able, start_ms=planned_ms)
        search = _Search(planner, only.chunk, publish, from_ms=planned_ms)
    placement = Placement(
        job.sound,
        pieces,
        planned_ms=planned_ms,
        finished=finished,
        on_block=None if search is None else search.hear,
    )
    placement.place_all(run)
    report = _merged(job.sound.report, placement.reports)
    if finished and (not pieces or not report["duration_ms"]):
        raise _nothing_heard(placement)
    heard_ms = samples_to_ms(placement.end)
    sound = timeline.Timeline(
        pieces,
        unreadable={gap["chunk"] for gap in placement.gaps if gap["reason"] in NOT_HEARD},
        wish=wish_of(job.sound),
    )

    def windows_of(start_ms: int, end_ms: int, *, more_to_come: bool, early: bool = False) -> list[Window]:
        return plan_windows(
            lambda a, b: sound.read(a, b, on_progress=lambda: run.advance(0)),
            end_ms,
            able,
            start_ms=start_ms,
            more_to_come=more_to_come,
            early_until_ms=_early_until_ms(able, pieces, end_ms),
            # Decoding takes about half of the time of a preparation; the search for speech takes the other
            # half.
            on_progress=lambda done_ms: run.advance((heard_ms + done_ms) // 2),
            on_windows=(lambda windows: publish(windows, {})) if early else None,
        )

    from_ms, dropped, windows = planned_ms, [], []
    changed = (0, None) if outdated else placement.changed
    if changed is not None:
        start_ms, end_ms = _windows_around(job, *changed)
        if end_ms is None and live:
            # What live hosts have heard of audio that has no place yet stays.
            end_ms = max(start_ms, _windows_end(job, heard_ms))
        if end_ms is None:
            # The timeline may have been longer before.
            dropped, from_ms = [(start_ms, max(heard_ms, job.planned_ms))], start_ms
        elif end_ms > start_ms:
            dropped, windows = [(start_ms, end_ms)], windows_of(start_ms, end_ms, more_to_come=False)
    if search is not None:
        windows = search.finish()
    elif not live:
        # Windows on a timeline that is not stored yet cannot be published, and neither can windows beside
        # those of another timeline.
        early = finished and not placement.places and not outdated
        windows += windows_of(from_ms, heard_ms, more_to_come=not finished, early=early)
    return Preparation(
        windows=windows,
        dropped=dropped,
        moved=placement.changed is not None,
        peaks=placement.peaks.peaks(),
        places=placement.places,
        gaps=placement.gaps,
        report=report,
        duration_ms=heard_ms,
        planned_ms=heard_ms if finished else max([from_ms, *(window.end_ms for window in windows)]),
        complete=finished,
        live=live,
        chunks_seen=len(pieces),
        last_seen=max((piece.chunk.received_at for piece in pieces), default=None),
        finished_seen=finished,
        wait_s=placement.wait_s,
    )


class _Search:
    """Plan the windows of the only chunk while it is decoded, and publish those that can already be read."""

    def __init__(self, planner: Planner, chunk: Chunk, publish: Publish, *, from_ms: int) -> None:
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
    """Return the capabilities to plan for. If there is a fallback, both engines can take the windows.

    Raises:
        NotSupported: none of the job's engines exists any more.
    """
    options = job.options
    able = _known(options.engine, options.model, alone=not options.fallback_engine)
    if options.fallback_engine:
        fallback = _known(options.fallback_engine, options.fallback_model, alone=able is None)
        if able is None or fallback is None:
            able = able or fallback
        else:
            able = replace(
                able,
                min_window_s=min(able.min_window_s, fallback.min_window_s),
                max_window_s=min(able.max_window_s, fallback.max_window_s),
                needs_voice_activity=able.needs_voice_activity or fallback.needs_voice_activity,
                short_windows=able.short_windows and fallback.short_windows,
            )
    assert able is not None  # noqa: S101  the last one that could be raised
    return able


def _early_until_ms(able: Capabilities, pieces: Sequence[PlacedChunk], heard_ms: int) -> int:
    """Return the moment before which windows begin that may be cut early.

    These are the first ones of a recording. While its pieces are short, these are all, if the engine takes
    little time for a short window.
    """
    newest = [piece.duration_ms for piece in pieces[-2:]]
    in_short_pieces = len(newest) == 2 and all(ms is not None and ms <= SHORT_PIECE_MS for ms in newest)
    return max(heard_ms, EARLY_MS) if in_short_pieces and able.short_windows else EARLY_MS


def _known(engine: str, model: str, *, alone: bool) -> Capabilities | None:
    """Return the capabilities of an engine. If it was removed, return None, or raise if it is `alone`."""
    try:
        return longer_on_gpu(engine, model, capabilities_of(engine, model))
    except NotSupported:
        if alone:
            raise
        return None


def _nothing_heard(placement: Placement) -> SpeechError:
    if not placement.pieces:
        return NoAudio("Nothing was recorded. Check the microphone, and record again.")
    if all(piece.chunk.continues for piece in placement.pieces):
        return UnreadableAudio(
            "The first piece of this recording, which says how to read the others, never came. Record again."
        )
    if placement.problem is None and any(gap["reason"] == UNREADABLE for gap in placement.gaps):
        return UnreadableAudio()
    return placement.problem or NoAudio()


def _windows_around(job: TranscriptionJob, start: int, end: int | None) -> tuple[int, int | None]:
    """Return the part between the planned windows around `[start, end)`, which is in samples.

    Its end is None if no window follows.
    """
    before = _windows_end(job, samples_to_ms(start))
    if end is None:
        return before, None
    return before, job.windows.filter(start_ms__gte=samples_to_ms(end)).aggregate(at=Min("start_ms"))["at"]


def _windows_end(job: TranscriptionJob, most_ms: int) -> int:
    """Return where the last window ends that ends at `most_ms` or before."""
    return job.windows.filter(end_ms__lte=most_ms).aggregate(at=Max("end_ms"))["at"] or 0


def _merged(before: Mapping[str, Any], reports: Sequence[DecodeReport]) -> dict[str, Any]:
    """Merge the reports about decoding all chunks."""
    total = {**DecodeReport().as_json(), **before}
    for report in reports:
        for name, value in report.as_json().items():
            if name == "notes":
                total[name] = [*total[name], *(note for note in value if note not in total[name])]
            elif name in ("audio_streams", "peak_dbfs", "raised_db"):
                total[name] = max((v for v in (total[name], value) if v is not None), default=None)
            elif isinstance(value, str | dict | bool):
                # The value of the first chunk that has one is kept, for example the tracks of a file that has
                # several.
                total[name] = total[name] or value
            else:
                total[name] += value
    return total
