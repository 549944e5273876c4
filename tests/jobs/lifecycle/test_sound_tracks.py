"""What workers find out about the sound of a recording: whose it is, its one file, its peaks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import soundfile

from jobs_app.engines.resolving import resolve_options
from jobs_app.lifecycle.choices import cancel_job, delete_job, retry_job
from jobs_app.lifecycle.joining import is_being_joined
from jobs_app.lifecycle.starting import start_job
from jobs_app.models import JobStatus, JobStep, SoundTrack, StepKind, WorkStatus
from jobs_app.work import guard, unit
from sessions_app.arrival.intake import delete_session
from speech.engines.fake import make_numbered_audio
from speech.sound.peaks import N_PEAKS, read_peaks
from speech.types import SAMPLE_RATE
from tests.jobs.conftest import take
from tests.jobs.work.growing import Recording, numbers
from tests.jobs.work.test_work import run_to_end

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast(monkeypatch, settings):
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    settings.RETRY_BACKOFF_S = 0
    settings.CHUNK_WAIT_S = 60


def assert_peaks_of(sound: SoundTrack, expected: np.ndarray) -> None:
    peaks = read_peaks(sound.waveform.peaks)
    assert len(peaks) == N_PEAKS
    loudness = np.abs(np.rint(expected * 32767)).astype(int)
    edges = [len(loudness) * n // N_PEAKS for n in range(N_PEAKS + 1)]
    for peak, (start, end) in zip(peaks, itertools.pairwise(edges), strict=True):
        more = (end - start) // 8 + 16
        assert loudness[start:end].max() - 2 <= peak
        assert peak <= loudness[max(0, start - more) : end + more].max() + 2


# --- Peaks ---------------------------------------------------------------------------------------


def test_an_upload_has_its_peaks_when_it_is_decoded(alice, new_job):
    job = new_job(alice, seconds=100)
    assert unit.do_next()
    assert_peaks_of(job.sound, make_numbered_audio(0, 100))


def test_a_recording_of_one_chunk_has_its_peaks(alice, wakes):
    recording = Recording(alice, seconds=20)
    recording.send(0)
    recording.work()
    recording.finish()
    recording.work()
    assert_peaks_of(recording.job.sound, make_numbered_audio(0, 20))


def test_a_recording_in_pieces_has_the_peaks_of_all_of_them_and_none_in_gaps(alice, wakes):
    recording = Recording(alice, seconds=90)
    recording.send(0)
    recording.work()
    recording.send(2)
    recording.finish()
    recording.work()
    expected = make_numbered_audio(0, 90)
    expected[30 * SAMPLE_RATE : 60 * SAMPLE_RATE] = 0
    assert_peaks_of(recording.job.sound, expected)


# --- One file ------------------------------------------------------------------------------------


def test_a_recording_is_joined_while_its_last_windows_are_transcribed(alice, wakes):
    recording = Recording(alice, seconds=90)
    recording.send(0, 1, 2)
    recording.finish()
    assert unit.do_next()
    step = JobStep.objects.get(kind=StepKind.JOIN)
    unit.do_unit(take(step))
    recording.job.refresh_from_db()
    assert recording.job.status == JobStatus.PROCESSING
    assert soundfile.info(recording.job.sound.joined.path).duration == 90
    recording.work()
    assert recording.job.transcript.text == numbers(range(90))


def test_joining_does_not_end_with_the_job_that_asked_for_it(alice, wakes):
    recording = Recording(alice, seconds=60)
    recording.send(0, 1)
    recording.finish()
    assert unit.do_next()
    delete_job(recording.job.pk)
    while unit.do_next():
        pass
    sound = SoundTrack.objects.get()
    assert soundfile.info(sound.joined.path).duration == 60
    assert not is_being_joined(recording.session)


def test_joining_that_failed_fails_no_job_and_is_tried_with_the_next(alice, wakes, settings, monkeypatch):
    settings.MAX_ATTEMPTS = 1
    recording = Recording(alice, seconds=60)
    recording.send(0, 1)
    recording.finish()
    with monkeypatch.context() as broken:
        broken.setattr("jobs_app.work.timeline.store_joined", lambda *args, **options: 1 / 0)
        recording.work()
    assert recording.job.status == JobStatus.COMPLETED
    assert recording.job.sound.steps.get().status == WorkStatus.FAILED
    recording.job = start_job(recording.session, resolve_options(engine="fake"))
    recording.work()
    assert soundfile.info(recording.job.sound.joined.path).duration == 60
    assert recording.job.sound.steps.get().status == WorkStatus.DONE


def test_a_lost_worker_that_joined_is_replaced(alice, wakes):
    from jobs_app.workers import lost_work
    from tests.jobs.conftest import expire

    recording = Recording(alice, seconds=60)
    recording.send(0, 1)
    recording.finish()
    assert unit.do_next()
    expire(take(JobStep.objects.get(kind=StepKind.JOIN)))
    assert lost_work.expire_leases() == 1
    recording.work()
    assert recording.job.sound.joined


def test_what_was_joined_goes_with_the_recording(alice, wakes):
    from pathlib import Path

    recording = Recording(alice, seconds=60)
    recording.send(0, 1)
    recording.finish()
    recording.work()
    joined = Path(recording.job.sound.joined.path)
    assert joined.exists()
    delete_session(recording.session)
    assert not joined.exists()
    assert not SoundTrack.objects.exists()


# --- Whose ---------------------------------------------------------------------------------------


def test_jobs_that_hear_the_same_have_one_sound(alice, new_job):
    first = run_to_end(new_job(alice, seconds=20))
    first.session.chunks.update(audio_tracks=1)
    for options in ({"language": "de"}, {"audio_track": "all"}):
        job = start_job(first.session, resolve_options(engine="fake", **options))
        assert (job.sound, job.duration_ms) == (first.sound, 20_000)
        cancel_job(job.pk)


def test_jobs_that_hear_other_tracks_of_a_file_each_have_a_sound(alice, new_job):
    first = run_to_end(new_job(alice, seconds=20))
    first.session.chunks.update(audio_tracks=2)
    job = start_job(first.session, resolve_options(engine="fake", audio_track="1"))
    assert (job.sound == first.sound, job.sound.places.exists()) == (False, False)
    SoundTrack.objects.filter(pk=job.sound_id).update(duration_ms=7, gaps=[], report={})
    first.refresh_from_db()
    assert (first.duration_ms, bool(first.sound.report)) == (20_000, True)


def test_a_timeline_that_moves_has_other_jobs_planned_anew_when_they_are_tried_again(
    alice, wakes, settings, monkeypatch
):
    """A chunk that comes late moves what the failed job has transcribed."""
    settings.MAX_ATTEMPTS = 1
    recording = Recording(alice, seconds=120)
    recording.pieces[1] = recording.pieces[1][: 10 * SAMPLE_RATE]
    recording.send(0, 2)
    recording.give_up_waiting()
    recording.work()
    with monkeypatch.context() as broken:
        broken.setattr(unit, "prepare", lambda *args, **options: 1 / 0)
        recording.send(3)
        recording.work()
    failed = recording.job
    assert (failed.status, failed.windows.count()) == (JobStatus.FAILED, 3)
    recording.send(1)
    recording.finish()
    recording.job = start_job(recording.session, resolve_options(engine="fake"))
    assert unit.do_next()
    cancel_job(recording.job.pk)
    # Kept until it is tried again.
    assert failed.windows.count() == 3
    assert retry_job(failed.pk)
    recording.job = failed
    recording.work()
    assert (failed.status, failed.transcript.text) == (
        JobStatus.COMPLETED,
        numbers(range(40), range(60, 120)),
    )
    edges = [0, *itertools.chain(*recording.windows), failed.duration_ms]
    assert edges[::2] == edges[1::2]
