"""Who speaks: hear the voices in the windows of a job, and tell its speakers apart when all are heard.

Windows that are transcribed on this machine are heard with their text, from the same samples. The step
SPEAKERS hears the others, and then finds the speakers in everything that was heard. The slow part is outside
of any transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from django.db import InterfaceError, OperationalError

from jobs_app.lifecycle.speakers import Found, count_of, end_hearing, store_speakers
from jobs_app.lifecycle.suggesting import profiles_for
from jobs_app.lifecycle.voices import store_voices, unheard
from jobs_app.models import (
    ChunkTranscription,
    JobStep,
    TranscriptionJob,
    WindowVoices,
)
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


def tell(step: JobStep, run: Run, look: Callable[[], Timeline], persist: Persist) -> None:
    """Hear the windows that are not heard yet. When there are no more to come, store who speaks.

    `look` returns the audio as it is placed at that moment.

    Raises:
        LeaseLost: the step no longer belongs to this run.
        SpeakersFailed: for whatever else goes wrong.
    """
    try:
        try:
            _tell_once(step, run, look, persist)
        except UnreadableVoices:
            # Another version has heard them, so they are heard anew.
            persist(WindowVoices.objects.filter(window__job=step.job_id).delete)
            _tell_once(step, run, look, persist)
    except (LeaseLost, OperationalError, InterfaceError):
        raise
    except Exception as e:
        logger.exception("%s", step)
        raise SpeakersFailed from e


def _tell_once(step: JobStep, run: Run, look: Callable[[], Timeline], persist: Persist) -> None:
    _hear_all(step, run, look, persist)
    ended = persist(partial(end_hearing, step))
    by_channel = look().people_on_channels(lambda: run.advance(0)) if ended is False else None
    while ended is False:
        found = persist(partial(_find, step, run, by_channel))
        ended = persist(partial(store_speakers, step, found))
    if ended is None:
        raise LeaseLost(str(step))


def _hear_all(step: JobStep, run: Run, look: Callable[[], Timeline], persist: Persist) -> None:
    windows = persist(lambda: list(unheard(_fresh(step))))
    # After the windows, so that the audio of each of them has its place. What has none would be silence.
    timeline = look()
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
    sounds_like = speakers.suggest(who.voices, profiles_for(job))
    cut = Cut(job, who, vocabulary)
    return Found(
        turns=turns,
        overlaps=[(span.start_ms, span.end_ms) for span in who.overlaps],
        labels=labels,
        voices={labels[n]: (one.vector, round(1000 * one.clean_s)) for n, one in enumerate(who.voices)},
        suggested={labels[n]: (one.person, one.certainty) for n, one in sounds_like.items()},
        hard_to_tell=who.hard_to_tell,
        labelled=cut.labelled,
        changed=cut.changed,
        new=cut.new,
        gone=cut.gone,
        edited=cut.edited,
        count=count,
        vocabulary=vocabulary,
        next_segment=job.next_segment,
    )
