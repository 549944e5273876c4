"""Store who speaks in a job, as the step SPEAKERS has found it.

Each function is one short transaction, or part of one, which locks the job before its work.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from jobs_app.leases.held import held, release
from jobs_app.leases.locks import lock_job
from jobs_app.lifecycle.carrying import job_before, names_for
from jobs_app.lifecycle.finishing import close_if_complete
from jobs_app.lifecycle.laying import lay_translations
from jobs_app.lifecycle.suggesting import carry_rejections, store_suggestions
from jobs_app.lifecycle.summary import summarise
from jobs_app.lifecycle.untranslated import begin_translation
from jobs_app.lifecycle.voices import begin_speakers, unheard
from jobs_app.models import (
    JOB_ACTIVE,
    WORK_OPEN,
    JobStatus,
    JobStep,
    Segment,
    Speaker,
    SpeakersState,
    SpeakerTurns,
    SpeakerVoice,
    Transcript,
    TranscriptionJob,
    WorkStatus,
)
from jobs_app.models.options import JobOptions
from jobs_app.models.speakers import SpeakerCount, StoredTurn
from jobs_app.models.transcripts import as_read
from jobs_app.vocabulary.vocabulary import Vocabulary, vocabulary_of
from speech.text.spacing import join_texts

ROWS_AT_ONCE = 500
CUT_COLUMNS = (
    "end_ms",
    "speaker",
    "part_of",
    "raw_text",
    "raw_words",
    "corrected_text",
    "corrected_words",
    "translated_text",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a run of the step SPEAKERS has found.

    `voices` are the vectors of the speakers, with how many milliseconds they are the mean of, and `suggested`
    the known voices that they sound like, with the certainty; both by labels.

    Of `labelled` segments, only the speaker differs now. `changed` have other texts and times, too, `new` are
    cut from them, and `gone` were joined again to others. `count` and `vocabulary` are what the run went by,
    `next_segment` is the number after all segments that it knew, and `edited` are those that people had
    edited.
    """

    turns: Sequence[StoredTurn]
    overlaps: Sequence[tuple[int, int]]
    labels: Sequence[str]
    voices: Mapping[str, tuple[bytes, int]]
    suggested: Mapping[str, tuple[uuid.UUID, float]]
    hard_to_tell: bool
    labelled: Sequence[Segment]
    changed: Sequence[Segment]
    new: Sequence[Segment]
    gone: Sequence[Segment]
    edited: Collection[int]
    count: SpeakerCount
    vocabulary: Vocabulary
    next_segment: int


def count_of(options: JobOptions) -> SpeakerCount:
    return SpeakerCount(options.num_speakers, options.min_speakers, options.max_speakers)


@transaction.atomic
def end_hearing(step: JobStep) -> bool | None:
    """End a run that has heard what there is, if more will come. Return whether it was ended.

    Return None if the step no longer belongs to this run.
    """
    job = lock_job(step.job_id)
    if job is None or not held(step).exists():
        return None
    windows_open = job.windows.filter(status__in=WORK_OPEN).exists()
    if job.status not in JOB_ACTIVE or (job.planned and not windows_open and not unheard(job).exists()):
        return False
    release(step, WorkStatus.DONE, attempt=0, error_code="", error="")
    if unheard(job).exists():
        begin_speakers(job, owner_id=step.owner_id)
    close_if_complete(job, owner_id=step.owner_id)
    return True


@transaction.atomic
def store_speakers(step: JobStep, found: Found) -> bool | None:
    """Store who speaks, and end the step.

    Return None if the step no longer belongs to this run, and False if something that the run went by has
    changed, so that it must be done again.
    """
    job = lock_job(step.job_id)
    if job is None or not held(step).exists():
        return None
    as_before = (
        found.count == count_of(job.short_options)
        and found.next_segment == job.next_segment
        and found.vocabulary == vocabulary_of(step.owner_id)
        and not _edited_since(job, found)
    )
    if not as_before:
        return False
    # Before the turns are replaced, because names go by them.
    names = names_for(job, found.turns, found.labels)
    carry_rejections(job, job_before(job))
    _store_segments(job, found)
    SpeakerTurns.objects.update_or_create(
        job=job, defaults={"turns": list(found.turns), "overlaps": list(found.overlaps)}
    )
    _store_who(job, found, names)
    measure(job)
    state = SpeakersState.UNSURE if found.hard_to_tell else SpeakersState.TOLD
    Transcript.objects.filter(job=job).update(speakers_state=state)
    release(step, WorkStatus.DONE, error_code="", error="")
    if job.status == JobStatus.COMPLETED:
        summarise(job, owner_id=step.owner_id)
        if job.short_options.translator:
            # What was cut anew is another sentence.
            begin_translation(job, owner_id=step.owner_id)
    close_if_complete(job, owner_id=step.owner_id)
    return True


def _store_who(job: TranscriptionJob, found: Found, names: Mapping[str, str]) -> None:
    job.speakers.all().delete()
    speakers = Speaker.objects.bulk_create(
        Speaker(job=job, label=label, number=number, name=names.get(label, ""))
        for number, label in enumerate(found.labels)
    )
    if settings.KNOWN_VOICES:
        SpeakerVoice.objects.bulk_create(
            SpeakerVoice(speaker=one, packed=packed, clean_ms=clean_ms)
            for one in speakers
            for packed, clean_ms in [found.voices[one.label]]
            if packed
        )
    store_suggestions(job, found.suggested)


def _edited_since(job: TranscriptionJob, found: Found) -> bool:
    """Return whether people have edited a segment, after the run has read it, that it joins or cuts."""
    touched = {segment.number for segment in (*found.changed, *found.gone)}
    return bool(touched & job.session.edited_segments(job) - set(found.edited))


def _store_segments(job: TranscriptionJob, found: Found) -> None:
    by_label = defaultdict(list)
    for segment in found.labelled:
        by_label[segment.speaker].append(segment.pk)
    for label, pks in by_label.items():
        for i in range(0, len(pks), ROWS_AT_ONCE):
            # The other columns may have been corrected since the run has read them.
            job.segments.filter(pk__in=pks[i : i + ROWS_AT_ONCE]).update(speaker=label)
    job.segments.filter(pk__in=[segment.pk for segment in found.gone]).delete()
    for i in range(0, len(found.changed), ROWS_AT_ONCE):
        # `bulk_update` would take a hundred times as long.
        Segment.objects.bulk_create(
            found.changed[i : i + ROWS_AT_ONCE],
            update_conflicts=True,
            unique_fields=["pk"],
            update_fields=CUT_COLUMNS,
        )
    for number, segment in enumerate(found.new, start=job.next_segment):
        segment.number = number
    Segment.objects.bulk_create(found.new, batch_size=ROWS_AT_ONCE)
    if found.new or found.gone:
        # Also where none is new, so that whoever works on the segments finds that they have changed.
        job.next_segment += max(1, len(found.new))
        job.save(update_fields=["next_segment"])
    recut = {segment.window_id for segment in (*found.changed, *found.new) if segment.window_id is not None}
    _store_texts(job, recut, found.vocabulary)
    lay_translations(job.windows.filter(pk__in=recut).exclude(translation=[]))


def _store_texts(job: TranscriptionJob, window_ids: Collection[int], vocabulary: Vocabulary) -> None:
    """Store the corrected texts of windows in which segments were cut or joined."""
    texts = defaultdict(list)
    rows = job.segments.filter(window__in=window_ids).order_by("start_ms", "number")
    for window_id, raw, corrected in rows.values_list("window", "raw_text", "corrected_text"):
        texts[window_id].append(as_read(raw, corrected))
    for window in job.windows.filter(pk__in=window_ids):
        text = join_texts(texts[window.pk])
        if text != window.corrected_text:
            window.corrected_text, window.word_counts = text, vocabulary.count(text)
            window.save(update_fields=["corrected_text", "word_counts"])


def give_up_speakers(job: TranscriptionJob, *, owner_id: int) -> None:
    """Go on without speakers: they never cost a job its text. The caller holds the lock on `job`.

    While windows are open, speakers are tried again with the next ones.
    """
    if job.planned and not job.windows.filter(status__in=WORK_OPEN).exists():
        Transcript.objects.filter(job=job, speakers_state=SpeakersState.NONE).update(
            speakers_state=SpeakersState.FAILED
        )
    close_if_complete(job, owner_id=owner_id)


def measure(job: TranscriptionJob) -> None:
    """Store how long and how often each speaker of `job` speaks, with those who are merged into it.

    The caller holds the lock on `job`.
    """
    speakers = list(job.speakers.select_related("merged_into"))
    shown = {one.label: (one.merged_into or one).label for one in speakers}
    lengths, turns = measured(SpeakerTurns.objects.get(job=job).turns, shown)
    for one in speakers:
        one.speaking_ms, one.n_turns = lengths.get(one.label, 0), turns.get(one.label, 0)
    Speaker.objects.bulk_update(speakers, ["speaking_ms", "n_turns"])
    n = sum(one.merged_into_id is None for one in speakers)
    Transcript.objects.filter(job=job).update(n_speakers=n)


def measured(turns: Sequence[StoredTurn], shown: Mapping[str, str]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many milliseconds each speaker speaks, and how many turns that are.

    `turns` are in order of time. `shown` has the label under which a label is shown. Stretches of one speaker
    are one turn if nobody else begins between them.
    """
    lengths: dict[str, int] = {}
    counts: dict[str, int] = {}
    ends: dict[str, int] = {}
    last = ""
    for start_ms, end_ms, label in turns:
        who = shown.get(label, label)
        # Two who are merged may speak at the same time; that counts once.
        new_ms = max(0, end_ms - max(start_ms, ends.get(who, 0)))
        lengths[who] = lengths.get(who, 0) + new_ms
        ends[who] = max(end_ms, ends.get(who, 0))
        counts[who] = counts.get(who, 0) + (who != last)
        last = who
    return lengths, counts
