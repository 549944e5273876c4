"""Speakers are told apart while something else goes on, or goes wrong: no text and no name is lost by it."""

from __future__ import annotations

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.db import transaction

from jobs_app.leases import claims
from jobs_app.lifecycle import finishing
from jobs_app.lifecycle.choices import cancel_job
from jobs_app.lifecycle.naming import ask_for_speakers, merge_speakers, rename_speaker, speakers_step_of
from jobs_app.lifecycle.starting import start_refinement
from jobs_app.lifecycle.voices import hear_voices_so_far
from jobs_app.models import (
    JobStatus,
    JobStep,
    StepKind,
    TranscriptionJob,
    WindowVoices,
    WorkStatus,
)
from jobs_app.models.speakers import SpeakerCount
from jobs_app.models.vocabulary import Correction
from jobs_app.storage import working_copies
from jobs_app.work import correcting, speakers, unit
from jobs_app.work.correcting import apply_again
from jobs_app.workers import lost_work
from sessions_app.models import Edit, RecordingSession
from tests.jobs.conftest import expire
from tests.jobs.voices import IN_TURN, do_all_work, names, said

pytestmark = pytest.mark.django_db

UNTOLD = [("", "w0000 w0001 w0002 w0003 w0004"), ("", "w0005 w0006 w0007")]


def speakers_step(job: TranscriptionJob) -> JobStep:
    return job.steps.get(kind=StepKind.SPEAKERS)


@pytest.fixture
def meanwhile(monkeypatch):
    """Have something done once, when speakers are told apart and not stored yet."""

    def make(change) -> None:
        store, changes = speakers.store_speakers, [change]

        def change_first(step, found):
            if changes:
                changes.pop()()
            return store(step, found)

        monkeypatch.setattr(speakers, "store_speakers", change_first)

    return make


# --- What goes wrong -----------------------------------------------------------------------------


def test_a_step_that_ends_its_worker_each_time_costs_only_the_speakers(
    alice, new_job, monkeypatch, voices, settings
):
    monkeypatch.setattr(unit.speakers, "hear", lambda *_: None)
    job = new_job(alice, seconds=8, diarize=True)
    while (work := claims.claim()) and getattr(work, "kind", None) != StepKind.SPEAKERS:
        unit.do_unit(work)
    for attempt in range(1, settings.MAX_ATTEMPTS + 1):
        assert (work, work.attempt) == (speakers_step(job), attempt)
        expire(work)
        assert lost_work.expire_leases() == 1
        JobStep.objects.filter(status=WorkStatus.WAITING).update(not_before="2000-01-01T00:00Z")
        if attempt < settings.MAX_ATTEMPTS:
            work = claims.claim()
    do_all_work()
    job.refresh_from_db()
    step = speakers_step(job)
    assert (job.status, job.error, step.status, step.error_code) == (
        JobStatus.COMPLETED,
        "",
        WorkStatus.FAILED,
        "crashed",
    )
    assert job.transcript.speakers_state == "failed"
    assert said(job) == UNTOLD


def test_while_a_recording_goes_on_what_ends_workers_is_left_for_its_end(alice, new_job, voices, settings):
    job = new_job(alice, seconds=8, diarize=True)
    for _ in range(2):
        unit.do_next()
    WindowVoices.objects.all().delete()
    job = TranscriptionJob.objects.get()
    hear_voices_so_far(job, owner_id=alice.pk)
    step = JobStep.objects.filter(kind=StepKind.SPEAKERS)
    for attempt, status in ((settings.MAX_ATTEMPTS, WorkStatus.FAILED), (1, WorkStatus.WAITING)):
        step.update(status=WorkStatus.FAILED, attempt=attempt)
        hear_voices_so_far(job, owner_id=alice.pk)
        assert step.get().status == status


@pytest.mark.parametrize("error", [MemoryError(), FileNotFoundError("voices.onnx")])
def test_whatever_is_lacking_the_text_is_there(alice, new_job, voices, error):
    voices.error = error
    job = new_job(alice, seconds=8, diarize=True)
    do_all_work()
    job.refresh_from_db()
    assert (job.status, job.transcript.speakers_state) == (JobStatus.COMPLETED, "failed")
    assert said(job) == UNTOLD


def test_without_the_audio_what_was_told_before_stays(alice, told, voices):
    job = told(alice)
    rename_speaker(job.pk, "S2", "Ben")
    WindowVoices.objects.update(packed=b"of old")
    chunk = job.session.chunks.get()
    default_storage.delete(chunk.file.name)
    working_copies.forget([chunk.pk])
    ask_for_speakers(job.pk, SpeakerCount(exactly=1))
    do_all_work()
    job.refresh_from_db()
    assert (job.status, speakers_step_of(job), job.transcript.speakers_state) == (
        JobStatus.COMPLETED,
        "failed",
        "told",
    )
    assert said(job) == IN_TURN
    assert names(job) == [("S1", ""), ("S2", "Ben")]


def test_a_job_that_is_cancelled_in_the_middle_stores_nothing_more(alice, new_job, voices, monkeypatch):
    monkeypatch.setattr(unit.speakers, "hear", lambda *_: None)
    job = new_job(alice, seconds=8, diarize=True)
    hear = voices.hear

    def cancelled(samples):
        cancel_job(job.pk)
        return hear(samples)

    monkeypatch.setattr(voices, "hear", cancelled)
    do_all_work()
    job.refresh_from_db()
    assert (job.status, speakers_step(job).status) == (JobStatus.CANCELLED, WorkStatus.CANCELLED)
    assert not WindowVoices.objects.exists()
    assert said(job) == UNTOLD


# --- What people do meanwhile --------------------------------------------------------------------


def test_a_name_that_is_given_meanwhile_is_kept(alice, told, meanwhile):
    job = told(alice)
    meanwhile(lambda: rename_speaker(job.pk, "S2", "Ben"))
    ask_for_speakers(job.pk, SpeakerCount())
    do_all_work()
    assert names(job) == [("S1", ""), ("S2", "Ben")]


def test_what_is_edited_meanwhile_is_neither_joined_nor_cut(alice, told, voices, meanwhile):
    job = told(alice)
    part = job.segments.get(part_of=0)
    edit = Edit(job=job, segment_number=part.number, kind="text", value="Three and four", made_by=alice)
    meanwhile(edit.save)
    voices.every_ms = 8000
    ask_for_speakers(job.pk, SpeakerCount())
    do_all_work()
    assert said(job) == [("S1", "w0000 w0001 w0002"), ("S1", "w0003 w0004"), ("S1", "w0005 w0006 w0007")]
    assert job.segments.filter(number=part.number).exists()


def test_what_is_corrected_meanwhile_stays_so_in_segments_that_only_get_another_speaker(
    alice, told, voices, meanwhile
):
    voices.every_ms = 4000
    job = told(alice)
    assert said(job)[1:] == [("S2", "w0004"), ("S2", "w0005 w0006 w0007")]
    Correction.objects.create(owner=alice, from_text="w0006", to_text="six")
    meanwhile(lambda: apply_again(job.pk))
    voices.every_ms = 5000
    ask_for_speakers(job.pk, SpeakerCount())
    do_all_work()
    assert said(job)[-1] == ("S2", "w0005 six w0007")
    job.refresh_from_db()
    assert job.transcript.text.split()[6] == "six"


def test_a_correction_keeps_the_order_of_parts(alice, told):
    job = told(alice)
    Correction.objects.create(owner=alice, from_text="w0000", to_text="zero")
    apply_again(job.pk)
    job.refresh_from_db()
    assert job.transcript.text.split() == ["zero", *(f"w{n:04}" for n in range(1, 8))]
    assert job.windows.get().corrected_text == job.transcript.text


def test_a_correction_writes_no_text_over_segments_that_are_cut_meanwhile(
    alice, told, voices, monkeypatch, settings
):
    voices.every_ms = 8000
    job = told(alice)
    assert [speaker for speaker, _ in said(job)] == ["S1", "S1"]
    Correction.objects.create(owner=alice, from_text="w0001", to_text="one")
    settings.CORRECT_AT_ONCE_S = 0
    apply_again(job.pk)
    step = claims.claim()
    assert step.kind == StepKind.CORRECT
    store, read_while = correcting._store, []

    def cut_first(*given):
        if not read_while:
            read_while.append("before")
            voices.every_ms = 3000
            ask_for_speakers(job.pk, SpeakerCount())
            do_all_work()
            result = store(*given)
            read_while.append(said(job)[0][1])
            return result
        return store(*given)

    monkeypatch.setattr(correcting, "_store", cut_first)
    unit.do_unit(step)
    # Nobody has read the words of the second part twice, not even for a moment.
    assert read_while == ["before", "w0000 one w0002"]
    assert [text for _, text in said(job)] == ["w0000 one w0002", "w0003 w0004", "w0005", "w0006 w0007"]


def test_sound_that_is_placed_meanwhile_is_not_heard_as_silence(
    alice, new_speaker, host, voices, settings, monkeypatch
):
    settings.LIVE_BATCH_S, settings.LIVE_BATCH_FINALS, settings.LIVE_REFINE = 5, 1, False
    speaker = new_speaker(alice, diarize=True).open()
    loudness, hear, look = [], voices.hear, speakers._fresh

    def measure(samples):
        loudness.append(float(np.abs(samples).max()))
        return hear(samples)

    def more_comes(step):
        monkeypatch.setattr(speakers, "_fresh", look)
        say()
        return look(step)

    def say():
        speaker.say(20)
        host.run(6)
        speaker.cut_chunk()
        unit.do_unit(claims.claim())

    monkeypatch.setattr(voices, "hear", measure)
    monkeypatch.setattr(speakers, "_fresh", more_comes)
    say()
    do_all_work()
    assert len(loudness) >= 2
    assert min(loudness) > 0.01


# --- A second hearing ----------------------------------------------------------------------------


@pytest.fixture
def heard_twice(told):
    """A completed job with speakers, and its second hearing, of which only the end is left."""

    def make(owner) -> tuple[TranscriptionJob, TranscriptionJob, JobStep]:
        job = told(owner)
        with transaction.atomic():
            start_refinement(RecordingSession.objects.get(pk=job.session_id), job)
        while (step := claims.claim()) and getattr(step, "kind", None) != StepKind.FINISH:
            unit.do_unit(step)
        return job, TranscriptionJob.objects.refinements().get(), step

    return make


def test_a_name_that_is_given_before_the_second_hearing_ends_is_kept(alice, heard_twice):
    job, refinement, step = heard_twice(alice)
    rename_speaker(job.pk, "S2", "Ben")
    assert finishing.finish_job(step)
    assert RecordingSession.objects.get().current_job == refinement
    assert names(refinement) == [("S1", ""), ("S2", "Ben")]
    # From now on it has names of its own.
    rename_speaker(refinement.pk, "S1", "Anna")
    ask_for_speakers(refinement.pk, SpeakerCount())
    do_all_work()
    assert names(refinement) == [("S1", "Anna"), ("S2", "Ben")]


@pytest.mark.parametrize("what", ["merged", "counted"])
def test_what_people_say_of_speakers_is_not_replaced_by_a_second_hearing(alice, heard_twice, what):
    job, _, step = heard_twice(alice)
    if what == "merged":
        merge_speakers(job.pk, "S2", into="S1")
    else:
        ask_for_speakers(job.pk, SpeakerCount(exactly=1))
    assert finishing.finish_job(step)
    assert RecordingSession.objects.get().current_job == job
