"""Who speaks: hear the voices in the windows of a job, and tell its speakers apart when all are heard.

Windows that are transcribed on this machine are heard with their text, from the same samples. The step
SPEAKERS hears the others, and then finds the speakers in everything that was heard. The slow part is outside
of any transaction.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from django.db import InterfaceError, OperationalError

from jobs_app.lifecycle.speakers import Found, count_of, end_hearing, store_speakers
from jobs_app.lifecycle.suggesting import profiles_of, rejected_in
from jobs_app.lifecycle.voices import store_voices, unheard
from jobs_app.models import (
    ChunkTranscription,
    JobKind,
    JobStatus,
    JobStep,
    SpeakerTurns,
    TranscriptionJob,
    WindowVoices,
)
from jobs_app.models.speakers import StoredTurn
from jobs_app.vocabulary.vocabulary import vocabulary_of
from jobs_app.work.cutting import Cut
from jobs_app.work.guard import LeaseLost, Run
from jobs_app.work.timeline import Timeline
from speech import speakers
from speech.errors import SpeechError, UnreadableVoices
from speech.samples import Samples
from speech.speakers import Count, HeardWindow, Speakers, label_of

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
    by_channel = timeline.people_on_channels(lambda: run.advance(0)) if ended is False else None
    while ended is False:
        found = persist(partial(_find, step, run, by_channel))
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


def _find(step: JobStep, run: Run, by_channel: Speakers | None) -> Found:
    """Tell the speakers of a job apart, `by_channel` if possible, and give its segments to them."""
    job = _fresh(step)
    vocabulary = vocabulary_of(step.owner_id)
    count = count_of(job.short_options)
    voices = WindowVoices.objects.filter(window__job=job).values_list(
        "window__start_ms", "window__end_ms", "packed"
    )
    heard = [HeardWindow(start_ms, end_ms, bytes(packed)) for start_ms, end_ms, packed in voices]
    run.advance(0)
    wanted = Count(*count)
    if by_channel is not None and wanted.allows(by_channel.n):
        who = speakers.with_voices(by_channel, heard)
    else:
        who = speakers.tell_apart(heard, wanted)
    run.advance(0)
    turns = [(turn.start_ms, turn.end_ms, label_of(turn.speaker)) for turn in who.turns]
    labels = [label_of(number) for number in range(who.n)]
    before = _job_before(job)
    rejected = rejected_in([job, before])
    profiles = {id: known for id, known in profiles_of(step.owner_id).items() if id not in rejected}
    sounds_like = speakers.suggest(who.voices, profiles)
    cut = Cut(job, who, vocabulary)
    return Found(
        turns=turns,
        overlaps=[(span.start_ms, span.end_ms) for span in who.overlaps],
        labels=labels,
        names=_names(job, before, turns, labels),
        voices={labels[n]: (one.vector, round(1000 * one.clean_s)) for n, one in enumerate(who.voices)},
        suggested={labels[n]: (one.person, one.certainty) for n, one in sounds_like.items()},
        rejected=rejected,
        hard_to_tell=who.hard_to_tell,
        changed=cut.changed,
        new=cut.new,
        gone=cut.gone,
        windows=cut.windows(),
        count=count,
        vocabulary=vocabulary,
        next_segment=job.next_segment,
    )


def _names(
    job: TranscriptionJob, before: TranscriptionJob, turns: Sequence[StoredTurn], labels: Sequence[str]
) -> Mapping[str, str]:
    """Return the names of the new speakers: those of before for the same voices, or else those asked for."""
    told = SpeakerTurns.objects.filter(job=before).first()
    if told is None:
        asked = [name.strip()[:100] for name in job.short_options.speaker_names.split(",")]
        return dict(zip(labels, asked, strict=False))
    rows = before.speakers.select_related("merged_into")
    names = {one.label: (one.merged_into or one).name for one in rows}
    stored = told.turns
    shared = shared_ms(stored, turns)
    given: dict[str, str] = {}
    for old, new in sorted(shared, key=lambda pair: (-shared[pair], pair)):
        if names.get(old) and new not in given and names[old] not in given.values():
            given[new] = names[old]
    return given


def _job_before(job: TranscriptionJob) -> TranscriptionJob:
    """Return the job of which people may have said who speaks: this one, in an earlier run.

    A second hearing of a recording goes on with what people said of the first.
    """
    if job.kind != JobKind.REFINE or job.speakers.exists():
        return job
    first = job.session.jobs.runs().filter(status=JobStatus.COMPLETED, created_at__lt=job.created_at)
    return first.order_by("-created_at").first() or job


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
